//! What of a browser's offer reaches the peer that answers, and what of its answer the browser. Pure.

use std::net::IpAddr;

/// The longest offer that is read, in bytes; a data channel's has about a thousand.
pub const OFFER_BYTES_MAX: usize = 16 * 1024;
/// The most lines of one.
const LINES_MAX: usize = 200;

/// What a browser says in an offer for a data channel that the peer needs to know
/// (RFC 8839, RFC 8841, RFC 8842, RFC 9143).
const ATTRIBUTES: [&str; 12] = [
    "extmap-allow-mixed",
    "fingerprint",
    "group",
    "ice-options",
    "ice-pwd",
    "ice-ufrag",
    "max-message-size",
    "mid",
    "msid-semantic",
    "sctp-port",
    "sendrecv",
    "setup",
];

/// The offer without any network address of the browser; `None` when it is not one for a data
/// channel alone.
///
/// The server is found under its own address, and learns where the browser is from the packets that
/// come from there with the right password. So it sends nothing to an address that somebody only
/// wrote down, and hears of no address that it does not need.
///
/// The peer reads lines more generously than they are written here, so that a candidate can hide
/// from whoever looks for it: only what is known goes on.
pub fn without_addresses(offer: &str) -> Option<String> {
    if offer.len() > OFFER_BYTES_MAX || offer.lines().count() > LINES_MAX {
        return None;
    }
    let lines: Vec<(char, &str)> = offer.lines().map(read).collect::<Option<_>>()?;
    let mut media = lines.iter().filter(|(kind, _)| *kind == 'm');
    if !media.next()?.1.starts_with("application ") || media.next().is_some() {
        return None;
    }
    let kept = lines.into_iter().filter(|line| is_needed(*line));
    Some(kept.map(|(kind, value)| format!("{kind}={value}\r\n")).collect())
}

/// A line as RFC 8866 writes it: a letter, `=`, and a value that begins at once.
fn read(line: &str) -> Option<(char, &str)> {
    let (kind, value) = line.split_once('=')?;
    let mut letters = kind.chars();
    let kind = letters.next().filter(|_| letters.next().is_none())?;
    let is_sound = kind.is_ascii_lowercase()
        && value.starts_with(|first: char| first.is_ascii_graphic())
        && !value.contains(char::is_control);
    is_sound.then_some((kind, value))
}

fn is_needed((kind, value): (char, &str)) -> bool {
    let name = value.split(':').next().unwrap_or(value);
    match kind {
        'v' | 'o' | 's' | 't' | 'm' | 'c' => true,
        'a' => ATTRIBUTES.contains(&name),
        _ => false,
    }
}

/// The answer with the addresses that browsers reach this machine by, where a NAT stands before it:
/// each candidate stands under every one of `public` of its family, or stays where there is none.
pub fn under_addresses(answer: &str, public: &[IpAddr]) -> String {
    let lines = answer.lines().flat_map(|line| match public_lines(line, public) {
        Some(lines) => lines,
        None => vec![line.to_owned()],
    });
    lines.map(|line| format!("{line}\r\n")).collect()
}

/// `a=candidate:foundation component transport priority ADDRESS port …` (RFC 8839, 5.1).
fn public_lines(line: &str, public: &[IpAddr]) -> Option<Vec<String>> {
    line.strip_prefix("a=candidate:")?;
    let words: Vec<&str> = line.split(' ').collect();
    let local: IpAddr = words.get(4)?.parse().ok()?;
    let of_family = public.iter().filter(|ip| ip.is_ipv4() == local.is_ipv4());
    let under = |ip: &IpAddr| {
        let ip = ip.to_string();
        let words = words.iter().enumerate();
        let words: Vec<&str> =
            words.map(|(at, word)| if at == 4 { ip.as_str() } else { *word }).collect();
        words.join(" ")
    };
    Some(of_family.map(under).collect()).filter(|lines: &Vec<String>| !lines.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
        c=IN IP4 0.0.0.0\r\na=candidate:1 1 udp 2113937151 192.168.1.7 50000 typ host\r\n\
        a=ice-ufrag:Zx1f\r\na=end-of-candidates\r\na=sctp-port:5000\r\n";

    #[test]
    fn no_address_of_the_browser_is_left() {
        let kept = without_addresses(OFFER).unwrap();
        assert!(!kept.contains("candidate") && !kept.contains("192.168"), "{kept}");
        assert!(kept.contains("a=ice-ufrag:Zx1f\r\na=sctp-port:5000\r\n"), "{kept}");
        let bare = OFFER.replace("\r\n", "\n");
        assert_eq!(without_addresses(&bare).unwrap(), kept, "lines may end as they like");
    }

    #[test]
    fn behind_a_nat_the_answer_names_the_address_before_it() {
        let answer = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
            a=candidate:1 1 udp 2130706431 10.0.0.7 50003 typ host\r\n\
            a=candidate:2 1 udp 2130706431 2001:db8::7 50003 typ host\r\na=end-of-candidates\r\n";
        assert_eq!(under_addresses(answer, &[]), answer);
        let public = ["203.0.113.7".parse().unwrap()];
        let told = under_addresses(answer, &public);
        assert!(told.contains("a=candidate:1 1 udp 2130706431 203.0.113.7 50003 typ host\r\n"));
        assert!(told.contains(" 2001:db8::7 50003 ") && !told.contains("10.0.0.7"), "{told}");
    }

    #[test]
    fn what_is_not_one_data_channel_is_refused() {
        let sound = OFFER.replace("m=application 9", "m=audio 9");
        let both = format!("{OFFER}m=video 9 UDP/TLS/RTP/SAVPF 96\r\n");
        let long = format!("{OFFER}{}", "a=x\r\n".repeat(300));
        let large = format!("{OFFER}a={}\r\n", "x".repeat(OFFER_BYTES_MAX));
        let hidden = format!("{OFFER}\rm=audio 9 UDP/TLS/RTP/SAVPF 96\r\n");
        for offer in ["", "v=0\r\n", &sound, &both, &long, &large, &hidden] {
            assert_eq!(without_addresses(offer), None);
        }
    }
}
