//! When a probe's connection ends. Pure: it is told what happened and how late it is.
//!
//! DTLS of the stack that answers can hang for good when packets are lost at the wrong moment:
//! the way is there, and the channel never opens. Nothing but a new connection helps, so it is
//! given up early, and the page tries anew.

use std::time::Duration;

/// How long a way may take to be found.
pub const FIND_MS_MAX: u64 = 10_000;
/// How long the channel may take to open once there is a way.
pub const OPEN_MS_MAX: u64 = 4_000;
/// How long a connection may last in all.
pub const WHOLE_MS_MAX: u64 = 20_000;
/// What both directions may carry together, in bytes.
pub const BYTES_MAX: usize = 2_000_000;

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The page has closed it, or another took its place.
    Closed,
    /// No packet of the browser came.
    NoWay,
    /// A way was found, but the channel did not open.
    Hung,
    /// It has lasted long enough.
    TimeOver,
    /// It has carried enough.
    BytesOver,
    /// A second channel was opened.
    Another,
}

impl End {
    /// The word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::NoWay => "no_way",
            Self::Hung => "hung",
            Self::TimeOver => "time_over",
            Self::BytesOver => "bytes_over",
            Self::Another => "another",
        }
    }
}

/// What is known of a connection.
#[derive(Debug, Default)]
pub struct Watch {
    found_at: Option<Duration>,
    is_open: bool,
    bytes: usize,
}

impl Watch {
    /// The browser's packets arrive. Times count from the beginning of the connection.
    pub fn found(&mut self, now: Duration) {
        self.found_at.get_or_insert(now);
    }

    /// The channel is open.
    pub fn opened(&mut self) {
        self.is_open = true;
    }

    /// So much came in or went out.
    pub fn carried(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Whether it is time to end.
    pub fn end(&self, now: Duration) -> Option<End> {
        let over = |since: Duration, limit_ms| now.saturating_sub(since).as_millis() >= limit_ms;
        if self.bytes > BYTES_MAX {
            return Some(End::BytesOver);
        }
        if over(Duration::ZERO, u128::from(WHOLE_MS_MAX)) {
            return Some(End::TimeOver);
        }
        match self.found_at {
            _ if self.is_open => None,
            Some(found_at) => over(found_at, u128::from(OPEN_MS_MAX)).then_some(End::Hung),
            None => over(Duration::ZERO, u128::from(FIND_MS_MAX)).then_some(End::NoWay),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_connection_that_hangs_is_given_up_four_seconds_after_its_way_was_found() {
        let mut watch = Watch::default();
        assert_eq!(watch.end(ms(9_999)), None);
        assert_eq!(watch.end(ms(10_000)), Some(End::NoWay));
        watch.found(ms(300));
        watch.found(ms(3_000));
        assert_eq!(watch.end(ms(4_299)), None);
        assert_eq!(watch.end(ms(4_300)), Some(End::Hung), "counted from the first time");
        watch.opened();
        assert_eq!(watch.end(ms(19_999)), None);
    }

    #[test]
    fn a_connection_lasts_twenty_seconds_and_carries_two_megabytes_at_most() {
        let mut watch = Watch::default();
        watch.opened();
        watch.carried(BYTES_MAX);
        assert_eq!(watch.end(ms(19_999)), None);
        assert_eq!(watch.end(ms(20_000)), Some(End::TimeOver));
        watch.carried(1);
        assert_eq!(watch.end(ms(5_000)), Some(End::BytesOver));
        watch.carried(usize::MAX);
        assert_eq!(watch.end(ms(5_000)), Some(End::BytesOver));
    }
}
