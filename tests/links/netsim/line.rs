//! One direction of a link, as a pure function of time: a rate with a queue before it, a delay that
//! wanders, and packets that get lost, mostly several together.

use std::time::Duration;

/// How a direction behaves.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Bits per second, headers of IP included.
    pub rate: u32,
    /// How long the last packet of a full queue waits; what comes then is dropped.
    pub queue_ms: u32,
    /// From the end of sending to arrival.
    pub delay_ms: u32,
    /// The delay wanders so far up and down.
    pub jitter_ms: u32,
    /// The share of packets that is lost in the long run.
    pub loss: f64,
    /// How many are lost in a row, on average.
    pub burst: f64,
    /// The share of packets that later ones overtake. All others keep their order.
    pub reorder: f64,
    /// Silent for so long in each period.
    pub silence: Option<Silence>,
}

#[derive(Debug, Clone, Copy)]
pub struct Silence {
    pub every_secs: u32,
    pub lasts_secs: u32,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives then.
    Arrives(Duration),
    Lost(Why),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The line is silent.
    Silence,
    /// The queue is full.
    Full,
    /// It was sent and did not come.
    Air,
}

/// The delay takes a new course so often.
const WANDER_MS: u32 = 250;
/// What is overtaken is held back by at most so long.
const HELD_MS_MAX: f64 = 40.0;

/// A direction at work. The same seed and the same packets have the same fate.
pub struct Line {
    shape: Shape,
    seed: u64,
    dice: Dice,
    /// When everything that waits will have been sent.
    free_at: Duration,
    latest: Duration,
    in_burst: bool,
}

impl Line {
    pub fn new(shape: Shape, seed: u64) -> Self {
        let dice = Dice(seed);
        Self { shape, seed, dice, free_at: Duration::ZERO, latest: Duration::ZERO, in_burst: false }
    }

    /// From now on it behaves so; what is under way keeps its time.
    pub fn becomes(&mut self, shape: Shape) {
        self.shape = shape;
    }

    /// A packet of so many bytes is put on the line; time never goes back.
    pub fn carry(&mut self, now: Duration, bytes: u32) -> Fate {
        let Shape { rate, queue_ms, reorder, .. } = self.shape;
        if self.is_silent(now) {
            return Fate::Lost(Why::Silence);
        }
        if self.free_at.saturating_sub(now) > millis(queue_ms) {
            return Fate::Lost(Why::Full);
        }
        let sending = Duration::from_secs_f64(f64::from(bytes) * 8.0 / f64::from(rate));
        self.free_at = self.free_at.max(now) + sending;
        if self.air_takes_it() {
            return Fate::Lost(Why::Air);
        }
        let due = self.free_at + self.delay(self.free_at);
        if self.dice.roll() < reorder {
            return Fate::Arrives(
                due + Duration::from_secs_f64(self.dice.roll() * HELD_MS_MAX / 1e3),
            );
        }
        self.latest = self.latest.max(due);
        Fate::Arrives(self.latest)
    }

    fn is_silent(&self, now: Duration) -> bool {
        self.shape.silence.is_some_and(|silence| {
            let every = u64::from(silence.every_secs);
            now.as_secs() % every >= every - u64::from(silence.lasts_secs)
        })
    }

    /// Two states (Gilbert): in a burst everything is lost, outside nothing.
    fn air_takes_it(&mut self) -> bool {
        let Shape { loss, burst, .. } = self.shape;
        let ends = 1.0 / burst.max(1.0);
        let begins = ends * loss / (1.0 - loss);
        self.in_burst = self.dice.roll() < if self.in_burst { 1.0 - ends } else { begins };
        self.in_burst
    }

    /// Straight from one random mark to the next, so that neighbours have almost the same delay.
    fn delay(&self, at: Duration) -> Duration {
        let Shape { delay_ms, jitter_ms, .. } = self.shape;
        let millis = u64::try_from(at.as_millis()).unwrap();
        let every = u64::from(WANDER_MS);
        let (mark, rest) = (millis / every, millis % every);
        let part = f64::from(u32::try_from(rest).unwrap()) / f64::from(WANDER_MS);
        let of = |mark: u64| {
            Dice(self.seed ^ mark.wrapping_mul(0x2545_F491_4F6C_DD1D)).roll() * 2.0 - 1.0
        };
        let wander = of(mark) * (1.0 - part) + of(mark + 1) * part;
        let whole = f64::from(delay_ms) + f64::from(jitter_ms) * wander;
        Duration::from_secs_f64(whole.max(0.0) / 1e3)
    }
}

fn millis(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}

/// SplitMix64: small, and the same everywhere.
pub struct Dice(pub u64);

impl Dice {
    /// From 0 to below 1.
    pub fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        f64::from(u32::try_from(z >> 32).unwrap()) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Shape = Shape {
        rate: 80_000,
        queue_ms: 1000,
        delay_ms: 300,
        jitter_ms: 0,
        loss: 0.0,
        burst: 1.0,
        reorder: 0.0,
        silence: None,
    };

    /// `count` packets of 1000 bytes, one each `every_ms`.
    fn sent(shape: Shape, count: u32, every_ms: u32) -> Vec<(Duration, Fate)> {
        let mut line = Line::new(shape, 7);
        (0..count)
            .map(|n| {
                let now = millis(n * every_ms);
                (now, line.carry(now, 1000))
            })
            .collect()
    }

    fn arrivals(fates: &[(Duration, Fate)]) -> Vec<Duration> {
        let arrives = |(_, fate): &(Duration, Fate)| match fate {
            Fate::Arrives(at) => Some(*at),
            Fate::Lost(_) => None,
        };
        fates.iter().filter_map(arrives).collect()
    }

    #[test]
    fn a_packet_takes_its_time_to_send_and_then_the_delay() {
        assert_eq!(sent(PLAIN, 1, 0)[0].1, Fate::Arrives(millis(100 + 300)));
    }

    #[test]
    fn what_comes_faster_than_the_rate_waits_and_what_the_queue_cannot_hold_is_dropped() {
        let fates = sent(PLAIN, 100, 10);
        let came = arrivals(&fates);
        // One second that it lasted, and the second that the queue holds, at ten a second.
        assert!((19..=22).contains(&came.len()), "{}", came.len());
        assert!(came.windows(2).all(|pair| pair[1] - pair[0] >= millis(100)));
        let late = fates.iter().filter_map(|(now, fate)| match fate {
            Fate::Arrives(at) => Some(*at - *now),
            Fate::Lost(why) => {
                assert_eq!(*why, Why::Full);
                None
            }
        });
        assert!(late.max().unwrap() <= millis(1000 + 100 + 300));
    }

    #[test]
    fn the_long_run_loses_its_share_in_bursts_of_their_length() {
        let fates = sent(Shape { loss: 0.1, burst: 3.0, rate: 100_000_000, ..PLAIN }, 100_000, 1);
        let lost: Vec<bool> = fates.iter().map(|(_, fate)| *fate == Fate::Lost(Why::Air)).collect();
        let all = lost.iter().filter(|lost| **lost).count();
        let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        assert!((9_000..11_000).contains(&all), "{all}");
        let length =
            f64::from(u32::try_from(all).unwrap()) / f64::from(u32::try_from(bursts).unwrap());
        assert!((2.7..3.3).contains(&length), "{length}");
    }

    #[test]
    fn the_delay_wanders_within_its_bounds_and_nothing_is_overtaken() {
        let shape = Shape { rate: 100_000_000, jitter_ms: 100, ..PLAIN };
        let fates = sent(shape, 5_000, 20);
        let came = arrivals(&fates);
        assert!(came.windows(2).all(|pair| pair[0] <= pair[1]));
        let late: Vec<Duration> =
            fates.iter().zip(&came).map(|((now, _), at)| *at - *now).collect();
        let (least, most) = (late.iter().min().unwrap(), late.iter().max().unwrap());
        assert!(*least < millis(230) && *least >= millis(200), "{least:?}");
        assert!(*most > millis(370) && *most <= millis(401), "{most:?}");
    }

    #[test]
    fn only_where_the_shape_says_so_are_some_overtaken() {
        let shape = Shape { rate: 100_000_000, reorder: 0.02, ..PLAIN };
        let came = arrivals(&sent(shape, 10_000, 5));
        let overtaken = came.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!((100..300).contains(&overtaken), "{overtaken}");
    }

    #[test]
    fn a_silence_returns_in_its_period() {
        let silence = Some(Silence { every_secs: 120, lasts_secs: 5 });
        let fates = sent(Shape { silence, ..PLAIN }, 240, 1000);
        let silent: Vec<u64> = fates
            .iter()
            .filter(|(_, fate)| *fate == Fate::Lost(Why::Silence))
            .map(|(now, _)| now.as_secs())
            .collect();
        assert_eq!(silent, [115, 116, 117, 118, 119, 235, 236, 237, 238, 239]);
    }

    #[test]
    fn the_same_seed_has_the_same_fate() {
        let shape = Shape { loss: 0.2, burst: 2.0, jitter_ms: 50, reorder: 0.1, ..PLAIN };
        assert_eq!(sent(shape, 1000, 30), sent(shape, 1000, 30));
    }
}
