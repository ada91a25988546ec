//! Telephone numbers (E.164).

use serde::{Deserialize, Deserializer};

use crate::base::error::Error;
use crate::base::seal::Seal;

const DIGITS_MIN: usize = 8;
const DIGITS_MAX: usize = 15;

/// A telephone number in E.164 form, such as `+79131234567`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Phone(String);

/// A text that is no E.164 number. The display form is the problem code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid_phone")]
pub struct InvalidPhone;

impl Phone {
    /// The number, with its plus sign.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it is kept: sealed for its place (`accounts|phone|…`), so that it is nobody else's.
    pub(crate) fn sealed(&self, seal: &Seal, place: &str) -> Result<Vec<u8>, Error> {
        Ok(seal.seal(place, self.0.as_bytes())?)
    }

    /// What was kept so, if anything was.
    pub(crate) fn unsealed(
        seal: &Seal,
        place: &str,
        sealed: Option<&[u8]>,
    ) -> Result<Option<Self>, Error> {
        let number = seal.open_text(place, sealed)?.map(|text| text.parse::<Self>());
        number.transpose().map_err(|_wrong| Error::Internal("a sealed phone is not a number"))
    }
}

impl std::fmt::Debug for Phone {
    /// A number names a person, so it stays out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Phone(***)")
    }
}

impl std::str::FromStr for Phone {
    type Err = InvalidPhone;

    /// Takes the marks that people write between digits. The country code is never guessed:
    /// a leading 8 means another thing in every country.
    fn from_str(text: &str) -> Result<Self, InvalidPhone> {
        let rest = text.trim().strip_prefix('+').ok_or(InvalidPhone)?;
        let mut number = String::from("+");
        for c in rest.chars() {
            match c {
                '0'..='9' => number.push(c),
                ' ' | '\u{a0}' | '\u{2009}' | '-' | '\u{2011}' | '\u{2013}' | '(' | ')' | '.' => {}
                _ => return Err(InvalidPhone),
            }
            if number.len() > DIGITS_MAX.saturating_add(1) {
                return Err(InvalidPhone);
            }
        }
        let digits = number.len().saturating_sub(1);
        if digits < DIGITS_MIN || number.starts_with("+0") {
            return Err(InvalidPhone);
        }
        Ok(Self(number))
    }
}

impl<'de> Deserialize<'de> for Phone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Phone {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some(r"^\+[1-9][0-9]{7,14}$"))
            .examples(["+79131234567"])
            .into()
    }
}
impl utoipa::ToSchema for Phone {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_be_written_as_people_write_it() {
        for text in
            ["+79131234567", "+7 (913) 123-45-67", " +7\u{a0}913 123 45 67", "+7.913.1234567"]
        {
            assert_eq!(text.parse::<Phone>().unwrap().as_str(), "+79131234567", "{text}");
        }
    }

    #[test]
    fn a_country_code_is_never_guessed_and_letters_are_no_digits() {
        let wrong = [
            "",
            "+",
            "89131234567",
            "9131234567",
            "+0131234567",
            "+7913",
            "+7913123456789012",
            "+7913 123 45 6x",
            "++79131234567",
            "+7913+1234567",
            "+٧٩١٣١٢٣٤٥٦٧",
        ];
        for text in wrong {
            assert_eq!(text.parse::<Phone>(), Err(InvalidPhone), "{text}");
        }
    }

    #[test]
    fn a_number_is_not_printed_and_its_error_is_the_problem_code() {
        let phone: Phone = serde_json::from_str("\"+7 913 123 45 67\"").unwrap();
        assert_eq!(format!("{phone:?}"), "Phone(***)");
        let error = serde_json::from_str::<Phone>("\"8 913 123 45 67\"").unwrap_err();
        assert!(error.to_string().starts_with("invalid_phone"), "{error}");
    }
}
