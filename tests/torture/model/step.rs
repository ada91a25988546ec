//! What can be done, and how often it is.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::intervals::{
    DAY_TICKS, DOCTORS, NEXT_DAY, PATIENTS, Range, SERVICES, TIMES_MAX, WAITERS, WORKERS,
};

/// What is named by a number is the n-th of those there are.
#[derive(Debug, Clone)]
pub enum Step {
    Book {
        service: usize,
        doctor: Option<usize>,
        patient: usize,
        tick: i64,
        hold: bool,
    },
    /// A visit a day, some days in a row; or only what would come of it.
    Series {
        service: usize,
        doctor: usize,
        patient: usize,
        tick: i64,
        dry: bool,
    },
    Confirm {
        visit: usize,
    },
    Cancel {
        visit: usize,
    },
    /// What was called off is booked again.
    Undo {
        visit: usize,
    },
    Move {
        visit: usize,
        doctor: Option<usize>,
        tick: i64,
    },
    Leave {
        worker: usize,
        tick: i64,
        ticks: i64,
    },
    /// Says what becomes of a visit that a leave hits.
    Settle {
        hit: usize,
        fate: Fate,
    },
    /// Says that each visit that a leave hits has its outcome.
    Complete {
        absence: usize,
    },
    /// A patient chooses one of the times that are held in place of a visit.
    Choose {
        visit: usize,
        number: i32,
    },
    Return {
        absence: usize,
    },
    /// Somebody falls ill: what is proposed for their visits is done at once.
    Plan {
        doctor: usize,
        tick: i64,
        ticks: i64,
    },
    /// The last plan is taken back.
    TakeBack,
    /// Work besides the weekly hours, and no such work.
    Extra {
        worker: usize,
        tick: i64,
        ticks: i64,
    },
    Less {
        extra: usize,
    },
    /// The clinic is closed for a while, and open again.
    Close {
        tick: i64,
        ticks: i64,
    },
    Open {
        closure: usize,
    },
    Wait {
        minutes: i64,
    },
    /// A patient who does not book comes onto the waiting list.
    Wish {
        service: usize,
        doctor: Option<usize>,
        who: usize,
    },
    /// Somebody on the list takes what is held for them, or leaves it.
    Answer {
        wish: usize,
        accept: bool,
    },
    /// Somebody waits no longer.
    Withdraw {
        wish: usize,
    },
    /// What goes on by itself is done: what nobody answered ends, and goes to the next.
    Sweep,
    /// The process ends and another one opens the same database.
    Restart,
}

#[derive(Debug, Clone)]
pub enum Fate {
    Moved { doctor: Option<usize>, tick: i64 },
    Replaced,
    Offered,
    CalledOff,
}

fn step() -> impl Strategy<Value = Step> {
    let tick = || -3..DAY_TICKS + 2;
    let doctor = || prop::option::of(0..DOCTORS);
    let service = || 0..SERVICES.len();
    let visit = || 0..30_usize;
    let leave = || (tick(), 1..14_i64);
    let fate = prop_oneof![
        3 => (doctor(), tick()).prop_map(|(doctor, tick)| Fate::Moved { doctor, tick }),
        2 => Just(Fate::Replaced),
        3 => Just(Fate::Offered),
        2 => Just(Fate::CalledOff),
    ];
    let visits = prop_oneof![
        12 => (service(), doctor(), 0..PATIENTS, tick(), any::<bool>()).prop_map(
            |(service, doctor, patient, tick, hold)| {
                Step::Book { service, doctor, patient, tick, hold }
            },
        ),
        3 => (service(), 0..DOCTORS, 0..PATIENTS, tick(), any::<bool>()).prop_map(
            |(service, doctor, patient, tick, dry)| {
                Step::Series { service, doctor, patient, tick, dry }
            },
        ),
        3 => visit().prop_map(|visit| Step::Confirm { visit }),
        2 => visit().prop_map(|visit| Step::Cancel { visit }),
        2 => visit().prop_map(|visit| Step::Undo { visit }),
        4 => (visit(), doctor(), tick())
            .prop_map(|(visit, doctor, tick)| Step::Move { visit, doctor, tick }),
    ];
    let leaves = prop_oneof![
        2 => (0..WORKERS, leave())
            .prop_map(|(worker, (tick, ticks))| Step::Leave { worker, tick, ticks }),
        5 => (0..12_usize, fate).prop_map(|(hit, fate)| Step::Settle { hit, fate }),
        2 => (0..4_usize).prop_map(|absence| Step::Complete { absence }),
        2 => (0..4_usize, 1..=i32::try_from(TIMES_MAX).unwrap())
            .prop_map(|(visit, number)| Step::Choose { visit, number }),
        1 => (0..4_usize).prop_map(|absence| Step::Return { absence }),
        2 => (0..DOCTORS, leave())
            .prop_map(|(doctor, (tick, ticks))| Step::Plan { doctor, tick, ticks }),
        2 => Just(Step::TakeBack),
        1 => (0..WORKERS, -6..DAY_TICKS - 4, 2..8_i64)
            .prop_map(|(worker, tick, ticks)| Step::Extra { worker, tick, ticks }),
        1 => (0..4_usize).prop_map(|extra| Step::Less { extra }),
        1 => leave().prop_map(|(tick, ticks)| Step::Close { tick, ticks }),
        1 => (0..2_usize).prop_map(|closure| Step::Open { closure }),
    ];
    let waiting = prop_oneof![
        3 => (service(), doctor(), 0..WAITERS)
            .prop_map(|(service, doctor, who)| Step::Wish { service, doctor, who }),
        3 => (0..2 * WAITERS, any::<bool>())
            .prop_map(|(wish, accept)| Step::Answer { wish, accept }),
        1 => (0..2 * WAITERS).prop_map(|wish| Step::Withdraw { wish }),
        3 => (1..8_i64).prop_map(|minutes| Step::Wait { minutes }),
        1 => (15..45_i64).prop_map(|minutes| Step::Wait { minutes }),
        1 => Just(Step::Sweep),
    ];
    prop_oneof![
        21 => visits,
        14 => leaves,
        12 => waiting,
        1 => Just(Step::Restart),
    ]
}

/// Numbers that a seed and a number decide, and nothing else.
fn runner(seed: u64, number: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    TestRunner::new_with_rng(
        Config { failure_persistence: None, ..Config::default() },
        TestRng::from_seed(RngAlgorithm::ChaCha, &bytes),
    )
}

fn one<S: Strategy>(strategy: &S, seed: u64, number: u64) -> S::Value {
    strategy.new_tree(&mut runner(seed, number)).unwrap().current()
}

/// The steps of a sequence.
pub fn sequence(seed: u64, number: usize, steps: usize) -> Vec<Step> {
    one(&prop::collection::vec(step(), steps), seed, u64::try_from(number).unwrap())
}

/// The weekly hours of everybody on one day: a morning, and an afternoon after a break or at once; and on
/// the next day.
pub fn hours(seed: u64, day: usize) -> Vec<Vec<Range>> {
    let windows = (0..8_i64, 16..24_i64, 0..6_i64, 30..=DAY_TICKS);
    let windows = windows.prop_map(|(from, noon, pause, to)| {
        let day = [(from, noon), (noon + pause, to)];
        let next = day.map(|(from, to)| (from + NEXT_DAY, to + NEXT_DAY));
        [day, next].concat()
    });
    // Days and sequences have numbers of their own.
    one(&prop::collection::vec(windows, WORKERS), seed, u64::MAX - u64::try_from(day).unwrap())
}
