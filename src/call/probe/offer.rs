//! What of a browser's offer reaches the peer that answers. Pure.

/// The longest offer that is read, in bytes; a data channel's has about a thousand.
pub const OFFER_BYTES_MAX: usize = 16 * 1024;
/// The most lines of one.
const LINES_MAX: usize = 200;

/// The offer without any network address of the browser; `None` when it is not one for a data
/// channel alone.
///
/// The server is found under its own address, and learns where the browser is from the packets that
/// come from there with the right password. So it sends nothing to an address that somebody only
/// wrote down, and hears of no address that it does not need.
pub fn without_addresses(offer: &str) -> Option<String> {
    if offer.len() > OFFER_BYTES_MAX || offer.lines().count() > LINES_MAX {
        return None;
    }
    let mut media = offer.lines().filter(|line| line.starts_with("m="));
    if !media.next()?.starts_with("m=application ") || media.next().is_some() {
        return None;
    }
    let tells_address = |line: &&str| {
        ["a=candidate", "a=remote-candidates", "a=end-of-candidates"]
            .iter()
            .any(|attribute| line.starts_with(attribute))
    };
    let kept = offer.lines().filter(|line| !tells_address(line));
    Some(kept.map(|line| format!("{line}\r\n")).collect())
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
    fn what_is_not_one_data_channel_is_refused() {
        let sound = OFFER.replace("m=application 9", "m=audio 9");
        let both = format!("{OFFER}m=video 9 UDP/TLS/RTP/SAVPF 96\r\n");
        let long = format!("{OFFER}{}", "a=x\r\n".repeat(300));
        let large = format!("{OFFER}a={}\r\n", "x".repeat(OFFER_BYTES_MAX));
        for offer in ["", "v=0\r\n", &sound, &both, &long, &large] {
            assert_eq!(without_addresses(offer), None);
        }
    }
}
