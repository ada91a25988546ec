//! The links that our patients have, each with the figures it is known by.

use super::line::{Shape, Silence};

/// A link as one side sees it: towards it, and away from it.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    pub name: &'static str,
    pub down: Shape,
    pub up: Shape,
}

const PERFECT: Shape = Shape {
    rate: 1_000_000_000,
    queue_ms: 1000,
    delay_ms: 0,
    jitter_ms: 0,
    loss: 0.0,
    burst: 1.0,
    reorder: 0.0,
    silence: None,
};

/// Nothing in the way: what a server on the same machine has.
pub const LOOPBACK: Profile = Profile { name: "loopback", down: PERFECT, up: PERFECT };

/// A clinic in town: 20 Mbit/s, 20 ms there and back.
pub const CLINIC: Profile =
    both("clinic", Shape { rate: 20_000_000, queue_ms: 200, delay_ms: 10, ..PERFECT });

/// 128 kbit/s down and 64 up, 600 ± 200 ms there and back, 3 % lost, silent for 5 s every two
/// minutes; the deep queue is what such networks have.
pub const VILLAGE_2G: Profile = {
    let silence = Some(Silence { every_secs: 120, lasts_secs: 5 });
    let down = Shape {
        rate: 128_000,
        queue_ms: 1500,
        delay_ms: 300,
        jitter_ms: 100,
        loss: 0.03,
        burst: 3.0,
        silence,
        ..PERFECT
    };
    Profile { name: "2g-village", down, up: Shape { rate: 64_000, ..down } }
};

/// 1 Mbit/s down and 384 kbit/s up, 200 ± 60 ms there and back, 1 % lost.
pub const EDGE_3G: Profile = {
    let down = Shape {
        rate: 1_000_000,
        queue_ms: 800,
        delay_ms: 100,
        jitter_ms: 30,
        loss: 0.01,
        burst: 2.0,
        ..PERFECT
    };
    Profile { name: "3g-edge", down, up: Shape { rate: 384_000, ..down } }
};

/// 5 Mbit/s down and 1 up, 650 ± 30 ms there and back, 0.5 % lost.
pub const SATELLITE: Profile = {
    let down = Shape {
        rate: 5_000_000,
        queue_ms: 500,
        delay_ms: 325,
        jitter_ms: 15,
        loss: 0.005,
        burst: 2.0,
        ..PERFECT
    };
    Profile { name: "geo-sat", down, up: Shape { rate: 1_000_000, ..down } }
};

/// 3 Mbit/s, 40 ± 40 ms there and back, 8 % lost, 2 % overtaken.
pub const BAD_WIFI: Profile = both(
    "bad-wifi",
    Shape {
        rate: 3_000_000,
        queue_ms: 300,
        delay_ms: 20,
        jitter_ms: 20,
        loss: 0.08,
        burst: 2.0,
        reorder: 0.02,
        ..PERFECT
    },
);

/// 2 Mbit/s, 80 ms there and back, a tenth lost each way.
pub const LOSS_10: Profile = both(
    "loss-10",
    Shape {
        rate: 2_000_000,
        queue_ms: 300,
        delay_ms: 40,
        jitter_ms: 10,
        loss: 0.1,
        burst: 2.0,
        ..PERFECT
    },
);

/// The same with a fifth.
pub const LOSS_20: Profile = Profile {
    name: "loss-20",
    down: Shape { loss: 0.2, ..LOSS_10.down },
    up: Shape { loss: 0.2, ..LOSS_10.up },
};

const fn both(name: &'static str, shape: Shape) -> Profile {
    Profile { name, down: shape, up: shape }
}
