//! The words of the probe's data channel: how the server answers them. Pure.
//!
//! The channel is unordered and resends nothing, so that what is lost on the line is lost here.
//! Every message begins with its kind; numbers are big-endian; `docs/probe.md` is the whole list.

use std::time::Duration;

/// The longest message that is read, in bytes: one packet.
pub const MESSAGE_BYTES_MAX: u16 = 1200;
/// Steps of a ramp.
pub const STEPS: [u32; 5] = [30, 80, 160, 320, 600];
/// How long a step lasts, in milliseconds.
pub const STEP_MS: u32 = 500;
/// Sizes of the packets of a step: small ones for thin lines, so that a step has enough of them.
const SMALL_BYTES: u32 = 160;
const LARGE_BYTES: u32 = 900;
/// From this rate on packets are large, in kbit/s.
const LARGE_FROM_KBITS: u32 = 160;

const PING: u8 = 1;
const PONG: u8 = 2;
const UP: u8 = 3;
const ASK_UP: u8 = 4;
const TOLD_UP: u8 = 5;
const ASK_DOWN: u8 = 6;
const DOWN: u8 = 7;

/// What the server does about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Silence,
    /// Sends this back.
    Send(Vec<u8>),
    /// Sends the packets of a step of the ramp.
    Ramp(Step),
}

/// One step of the ramp downwards: so many packets of one size, evenly over half a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    number: u8,
    packets: u32,
    bytes: u32,
    sent: u32,
}

/// What has arrived of a step upwards.
#[derive(Debug, Clone, Copy, Default)]
struct Arrived {
    packets: u32,
    bytes: u32,
    first: Option<Duration>,
    last: Duration,
}

/// What a client has sent so far.
#[derive(Debug, Default)]
pub struct Tally {
    pings: u32,
    steps: [Arrived; STEPS.len()],
}

impl Tally {
    /// Takes a message that arrived `now`, counted from the beginning of the connection.
    pub fn take(&mut self, message: &[u8], now: Duration) -> Answer {
        if message.len() > usize::from(MESSAGE_BYTES_MAX) {
            return Answer::Silence;
        }
        match message {
            [PING, a, b, c, d, ..] => {
                self.pings = self.pings.saturating_add(1);
                // As long as the question, so that both ways carry the same.
                let mut pong = vec![0; message.len().max(9)];
                let head = [PONG, *a, *b, *c, *d].into_iter().chain(self.pings.to_be_bytes());
                pong.iter_mut().zip(head).for_each(|(to, byte)| *to = byte);
                Answer::Send(pong)
            }
            [UP, step, ..] => {
                if let Some(arrived) = self.steps.get_mut(usize::from(*step)) {
                    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
                    arrived.packets = arrived.packets.saturating_add(1);
                    arrived.bytes = arrived.bytes.saturating_add(length);
                    arrived.first.get_or_insert(now);
                    arrived.last = now;
                }
                Answer::Silence
            }
            [ASK_UP, step] => match self.steps.get(usize::from(*step)) {
                None => Answer::Silence,
                Some(arrived) => {
                    let span = arrived.last.saturating_sub(arrived.first.unwrap_or(arrived.last));
                    let span_ms = u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
                    let mut told = vec![TOLD_UP, *step];
                    for number in [arrived.packets, arrived.bytes, span_ms] {
                        told.extend(number.to_be_bytes());
                    }
                    Answer::Send(told)
                }
            },
            [ASK_DOWN, step] => Step::of(*step).map_or(Answer::Silence, Answer::Ramp),
            _ => Answer::Silence,
        }
    }
}

impl Step {
    /// The step of this number; the page makes the same packets on the way up.
    pub fn of(number: u8) -> Option<Self> {
        let kbits = *STEPS.get(usize::from(number))?;
        let bytes = if kbits < LARGE_FROM_KBITS { SMALL_BYTES } else { LARGE_BYTES };
        // kbit/s over milliseconds are bits.
        let packets = (kbits * STEP_MS / 8).div_ceil(bytes);
        Some(Self { number, packets, bytes, sent: 0 })
    }

    /// The packets that are due `elapsed` after the beginning of the step.
    pub fn due(&mut self, elapsed: Duration) -> Vec<Vec<u8>> {
        let elapsed_ms = u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX).min(STEP_MS);
        let due = (self.packets * elapsed_ms).div_ceil(STEP_MS).min(self.packets);
        let mut packets = Vec::new();
        while self.sent < due {
            let mut packet = vec![0; usize::try_from(self.bytes).unwrap_or_default()];
            let [_, _, a, b] = self.sent.to_be_bytes();
            let [_, _, c, d] = self.packets.to_be_bytes();
            let head = [DOWN, self.number, a, b, c, d];
            packet.iter_mut().zip(head).for_each(|(to, byte)| *to = byte);
            packets.push(packet);
            self.sent += 1;
        }
        packets
    }

    /// Whether all of it was sent.
    pub fn is_done(&self) -> bool {
        self.sent >= self.packets
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_ping_comes_back_as_long_as_it_was_and_says_how_many_arrived() {
        let mut tally = Tally::default();
        let mut ping = vec![0; 160];
        ping[..5].copy_from_slice(&[PING, 0, 0, 1, 7]);
        for arrived in 1..=3 {
            let Answer::Send(pong) = tally.take(&ping, ms(0)) else { panic!("no answer") };
            assert_eq!(pong.len(), 160);
            assert_eq!(pong[..9], [PONG, 0, 0, 1, 7, 0, 0, 0, arrived]);
        }
    }

    #[test]
    fn a_step_upwards_is_counted_with_the_time_it_took() {
        let mut tally = Tally::default();
        for at in [100, 300, 600] {
            assert_eq!(tally.take(&[UP, 1, 0, 0], ms(at)), Answer::Silence);
        }
        assert_eq!(tally.take(&[UP, 99, 0, 0], ms(700)), Answer::Silence, "no such step");
        let told = vec![TOLD_UP, 1, 0, 0, 0, 3, 0, 0, 0, 12, 0, 0, 1, 244];
        assert_eq!(tally.take(&[ASK_UP, 1], ms(900)), Answer::Send(told));
    }

    #[test]
    fn a_step_downwards_has_its_rate_and_ends() {
        for (number, kbits) in STEPS.iter().enumerate() {
            let mut step = Step::of(u8::try_from(number).unwrap()).unwrap();
            let (mut bytes, mut packets) = (0, 0);
            for at in 0..=50 {
                for packet in step.due(ms(at * 10)) {
                    assert_eq!(packet[..2], [DOWN, u8::try_from(number).unwrap()]);
                    bytes += packet.len();
                    packets += 1;
                }
            }
            assert!(step.is_done() && step.due(ms(9_000)).is_empty(), "{kbits}");
            let sent = u32::try_from(bytes).unwrap() * 8 / STEP_MS;
            assert!((*kbits..=kbits + 20).contains(&sent), "{kbits}: {sent} in {packets}");
            assert!(packets >= 10, "{kbits}: {packets}");
        }
        assert_eq!(Step::of(5), None);
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(messages in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 0..1300), 0..40,
        )) {
            let mut tally = Tally::default();
            for message in messages {
                if let Answer::Send(answer) = tally.take(&message, ms(1)) {
                    prop_assert!(answer.len() <= message.len().max(14), "it never answers more");
                }
            }
        }
    }
}
