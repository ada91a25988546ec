//! The code of a booking, by which a person names it on the telephone.

use crate::base::error::Error;
use crate::base::seal;

/// No O, 0, I, 1, L, U: a code is read out on a bad line.
const CODE_LETTERS: &[u8] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_LEN: usize = 6;

/// A code that can be read out on the telephone.
pub(crate) fn new_code() -> Result<String, Error> {
    let mut code = String::with_capacity(CODE_LEN);
    while code.len() < CODE_LEN {
        for byte in seal::random::<16>()? {
            // 240 is the largest multiple of 30 in a byte: no letter is likelier than another.
            if byte < 240
                && code.len() < CODE_LEN
                && let Some(letter) = CODE_LETTERS.get(usize::from(byte) % CODE_LETTERS.len())
            {
                code.push(char::from(*letter));
            }
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_can_be_read_out_on_a_bad_line() {
        for _ in 0..200 {
            let code = new_code().unwrap();
            assert_eq!(code.len(), CODE_LEN);
            assert!(
                code.chars().all(|c| c.is_ascii_alphanumeric() && !"OI01LU".contains(c)),
                "{code}"
            );
        }
    }
}
