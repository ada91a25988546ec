//! What was said to one seat and not yet acknowledged: gap-free numbers, bounded memory.

use std::collections::VecDeque;

use chrono::TimeDelta;

use crate::base::column::Instant;

/// How many messages are kept.
pub const MAILBOX_LEN_MAX: usize = 256;
/// How many bytes are kept.
pub const MAILBOX_BYTES_MAX: usize = 256 * 1024;
/// How long a message is kept, in seconds.
pub const MAILBOX_SECS_MAX: i64 = 180;

#[derive(Debug, Clone)]
struct Letter {
    seq: u64,
    at: Instant,
    /// The negotiation it belongs to, if any.
    edge: Option<String>,
    text: String,
}

/// The numbered messages to one seat.
#[derive(Debug, Clone, Default)]
pub struct Mailbox {
    last: u64,
    bytes: usize,
    letters: VecDeque<Letter>,
    /// The other end counts on from numbers that this memory never saw.
    is_strange: bool,
}

impl Mailbox {
    /// The mailbox of a seat from before a restart: what was said to it is not known any more.
    pub fn of_another_process() -> Self {
        Self { is_strange: true, ..Self::default() }
    }

    /// An empty mailbox whose next number is `last + 1`.
    pub fn starting_after(last: u64) -> Self {
        Self { last, ..Self::default() }
    }

    /// The number of the newest message.
    pub fn last_seq(&self) -> u64 {
        self.last
    }

    /// Numbers a message, which `write` makes with its number, and keeps it.
    pub fn post(
        &mut self,
        now: Instant,
        edge: Option<&str>,
        write: impl FnOnce(u64) -> String,
    ) -> String {
        self.last = self.last.saturating_add(1);
        let text = write(self.last);
        self.bytes = self.bytes.saturating_add(text.len());
        let edge = edge.map(str::to_owned);
        self.letters.push_back(Letter { seq: self.last, at: now, edge, text: text.clone() });
        self.prune(now);
        text
    }

    /// What belongs to `edge` is no longer good: its numbers stay, its words go.
    pub fn withdraw(&mut self, edge: &str) {
        for letter in &mut self.letters {
            if letter.edge.as_deref() == Some(edge) {
                let seq = letter.seq;
                let text = format!(r#"{{"v":1,"seq":{seq},"t":"withdrawn","body":{{}}}}"#);
                self.bytes = self.bytes.saturating_sub(letter.text.len());
                self.bytes = self.bytes.saturating_add(text.len());
                (letter.edge, letter.text) = (None, text);
            }
        }
    }

    /// Everything up to `seq` has arrived.
    pub fn acknowledge(&mut self, seq: u64) {
        while self.letters.front().is_some_and(|letter| letter.seq <= seq) {
            self.drop_first();
        }
    }

    /// What came after `last_seq`; `None` when some of it is no longer kept, or never was sent.
    pub fn replay(&mut self, last_seq: u64, now: Instant) -> Option<Vec<String>> {
        self.prune(now);
        let first = self.letters.front().map_or(self.last.saturating_add(1), |letter| letter.seq);
        if self.is_strange || last_seq > self.last || last_seq.saturating_add(1) < first {
            return None;
        }
        let missed = self.letters.iter().filter(|letter| letter.seq > last_seq);
        Some(missed.map(|letter| letter.text.clone()).collect())
    }

    /// The edges of whose negotiations something is kept.
    #[cfg(test)]
    pub fn edges(&self) -> impl Iterator<Item = &str> {
        self.letters.iter().filter_map(|letter| letter.edge.as_deref())
    }

    fn prune(&mut self, now: Instant) {
        let oldest = now.minus(TimeDelta::seconds(MAILBOX_SECS_MAX));
        while self.letters.len() > MAILBOX_LEN_MAX
            || self.bytes > MAILBOX_BYTES_MAX
            || self.letters.front().is_some_and(|letter| letter.at < oldest)
        {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(letter) = self.letters.pop_front() {
            self.bytes = self.bytes.saturating_sub(letter.text.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_micros(1_700_000_000_000_000 + seconds * 1_000_000).unwrap()
    }

    proptest! {
        #[test]
        fn numbers_have_no_gap_and_a_replay_is_whole_or_refused(
            acts in prop::collection::vec((0_u8..4, 0_u64..400, 0_i64..30, 1_usize..9000), 1..400)
        ) {
            let mut mailbox = Mailbox::starting_after(7);
            let (mut now, mut sent, mut acknowledged) = (0, Vec::new(), 7);
            for (act, number, seconds, length) in acts {
                now += seconds;
                match act {
                    0 | 1 => {
                        let text = mailbox.post(at(now), None, |seq| format!("{seq}:{}", "x".repeat(length)));
                        sent.push(text);
                        prop_assert_eq!(mailbox.last_seq(), 7 + u64::try_from(sent.len()).unwrap());
                    }
                    2 => {
                        acknowledged = acknowledged.max(number.min(mailbox.last_seq()));
                        mailbox.acknowledge(acknowledged);
                    }
                    _ => {
                        let from = number.min(mailbox.last_seq() + 2);
                        if let Some(missed) = mailbox.replay(from, at(now)) {
                            prop_assert!(from >= 7);
                            prop_assert_eq!(&missed[..], &sent[usize::try_from(from - 7).unwrap()..]);
                        } else if from == mailbox.last_seq() {
                            prop_assert!(false, "nothing was missed, so nothing can be lost");
                        }
                    }
                }
                prop_assert!(mailbox.letters.len() <= MAILBOX_LEN_MAX);
                prop_assert!(mailbox.bytes <= MAILBOX_BYTES_MAX);
            }
        }
    }

    #[test]
    fn what_was_withdrawn_keeps_its_number_and_nothing_else() {
        let mut mailbox = Mailbox::default();
        mailbox.post(at(0), Some("e1"), |seq| format!("{seq} an offer"));
        mailbox.post(at(0), Some("e2"), |seq| format!("{seq} another edge"));
        mailbox.post(at(0), None, |seq| format!("{seq} a peer"));
        mailbox.withdraw("e1");
        let kept = mailbox.replay(0, at(1)).unwrap();
        assert_eq!(kept[0], r#"{"v":1,"seq":1,"t":"withdrawn","body":{}}"#);
        assert_eq!(&kept[1..], ["2 another edge", "3 a peer"]);
        assert_eq!(mailbox.bytes, kept.iter().map(String::len).sum::<usize>());
    }

    #[test]
    fn nobody_is_told_the_numbers_of_a_process_they_never_spoke_to() {
        let mut mailbox = Mailbox::of_another_process();
        mailbox.post(at(0), None, |seq| format!("{seq}"));
        assert_eq!(mailbox.replay(1, at(0)), None);
        assert_eq!(mailbox.replay(0, at(0)), None);
    }

    #[test]
    fn messages_grow_old() {
        let mut mailbox = Mailbox::default();
        mailbox.post(at(0), None, |seq| format!("{seq}"));
        assert!(mailbox.replay(0, at(MAILBOX_SECS_MAX)).is_some());
        assert_eq!(mailbox.replay(0, at(MAILBOX_SECS_MAX + 1)), None);
    }
}
