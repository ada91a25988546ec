//! What was asked, what was answered, and what each answer promises of the database.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use serde_json::Value;

use crate::hammer::judge::Found;
use crate::support::Answer;

/// Fewer of a kind say nothing of it.
const TOO_FEW: u64 = 10;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    Search,
    Book,
    BookAny,
    Hold,
    Ask,
    Urgent,
    Overbook,
    Again,
    Confirm,
    Reply,
    Attend,
    Move,
    Cancel,
    Leave,
    Settle,
    Choose,
    Complete,
    Return,
    Undo,
    Wish,
    Answer,
    Series,
    Plan,
    Apply,
    TakeBack,
    LookUp,
    List,
    Show,
}

impl Op {
    /// What may be answered besides success, and how many of a hundred must succeed.
    fn terms(self) -> (&'static [&'static str], u64) {
        match self {
            Self::Search | Self::List | Self::Show | Self::Leave => (&[], 100),
            Self::Again => (&[], 100),
            Self::Book => (&["slot_taken", "patient_busy", "resource_busy", "outside_hours"], 5),
            Self::BookAny => (&["slot_taken", "patient_busy", "resource_busy"], 5),
            Self::Hold | Self::Ask => (
                &[
                    "slot_taken",
                    "patient_busy",
                    "resource_busy",
                    "too_many_holds",
                    "outside_hours",
                    "off_grid",
                ],
                2,
            ),
            Self::Urgent => (&["slot_taken", "patient_busy", "outside_hours"], 2),
            // Also beside a visit whose own service takes none.
            Self::Overbook => {
                (&["slot_taken", "patient_busy", "outside_hours", "no_overbooking"], 2)
            }
            // Both also when somebody who takes part is away by now.
            Self::Confirm => (&["hold_over", "bad_state", "conflict", "outside_hours"], 20),
            Self::Reply => (&["hold_over", "bad_state", "conflict", "outside_hours"], 20),
            Self::Attend => (&["bad_state", "conflict"], 20),
            Self::Move => (
                &[
                    "slot_taken",
                    "patient_busy",
                    "resource_busy",
                    "outside_hours",
                    "off_grid",
                    "bad_state",
                    "hold_over",
                    "conflict",
                ],
                2,
            ),
            Self::Cancel => (&["bad_state", "conflict"], 40),
            Self::Settle => (
                &[
                    "slot_taken",
                    "patient_busy",
                    "resource_busy",
                    "outside_hours",
                    "bad_state",
                    "nothing_to_offer",
                    "unknown_reference",
                    "hold_over",
                    "conflict",
                ],
                2,
            ),
            Self::Choose => (
                &[
                    "offer_over",
                    "bad_state",
                    "slot_taken",
                    "patient_busy",
                    "resource_busy",
                    "not_found",
                    "conflict",
                    "outside_hours",
                ],
                2,
            ),
            Self::Complete => (&["visits_open"], 20),
            Self::Return => (&["visits_open"], 50),
            Self::Undo => (&["slot_taken", "bad_state", "conflict", "outside_hours"], 20),
            Self::Wish => (&["already_exists", "too_many_wishes"], 10),
            Self::Answer => (&["offer_over", "bad_state", "conflict"], 10),
            Self::Series => (&["slot_taken", "patient_busy", "resource_busy", "outside_hours"], 50),
            Self::Plan => (&[], 100),
            Self::Apply => (&["plan_conflicts", "conflict"], 10),
            Self::TakeBack => (&["plan_conflicts", "conflict"], 10),
            Self::LookUp => (&["too_many_attempts"], 2),
        }
    }
}

/// Counts of everything.
#[derive(Default)]
pub struct Tally {
    pub done: u64,
    counts: BTreeMap<(Op, String), u64>,
    /// Answers that must not be, in words.
    pub wrong: Vec<String>,
}

impl Tally {
    /// Counts an answer.
    pub fn note(&mut self, op: Op, answer: &Answer) {
        self.done += 1;
        let status = answer.status.as_u16();
        let code = answer.body["code"].as_str().filter(|_| status >= 400).unwrap_or_default();
        let may_be = match status {
            200..=204 => true,
            503 => code == "overloaded" && answer.header("retry-after").is_some(),
            500.. => false,
            _ => op.terms().0.contains(&code),
        };
        if !may_be && self.wrong.len() < 20 {
            self.wrong.push(format!("{op:?}: {status} {}", answer.text));
        }
        let said = if code.is_empty() { "ok".to_owned() } else { code.to_owned() };
        *self.counts.entry((op, said)).or_default() += 1;
    }

    /// How often something was said, whatever was asked.
    pub fn said(&self, code: &str) -> u64 {
        self.counts.iter().filter(|((_, said), _)| said == code).map(|(_, count)| count).sum()
    }

    /// How often a kind of request was done.
    pub fn ok(&self, op: Op) -> u64 {
        self.counts.get(&(op, "ok".to_owned())).copied().unwrap_or_default()
    }

    /// Kinds of requests that succeeded too rarely for the run to say anything of them. One that was
    /// made a few times only may have met with nothing but bad luck.
    pub fn too_rare(&self) -> Vec<String> {
        let mut asked: BTreeMap<Op, u64> = BTreeMap::new();
        for ((op, _), count) in &self.counts {
            *asked.entry(*op).or_default() += count;
        }
        let overloaded = |op: &Op| self.counts.get(&(*op, "overloaded".to_owned())).copied();
        asked
            .iter()
            .map(|(op, count)| (op, count - overloaded(op).unwrap_or_default(), self.ok(*op)))
            .filter(|(op, asked, ok)| *asked >= TOO_FEW && ok * 100 < asked * op.terms().1)
            .map(|(op, asked, ok)| format!("{op:?}: {ok} of {asked} done"))
            .collect()
    }

    /// One line for each kind of request.
    pub fn table(&self) -> String {
        let mut table = String::new();
        let mut of: Option<Op> = None;
        for ((op, said), count) in &self.counts {
            if of != Some(*op) {
                write!(table, "\n  {:9}", format!("{op:?}")).unwrap();
                of = Some(*op);
            }
            write!(table, " {said} {count}").unwrap();
        }
        table
    }
}

/// A visit as the last answer about it said.
#[derive(Debug, Clone)]
pub struct Known {
    pub id: String,
    pub code: String,
    pub version: i64,
    pub status: String,
    pub practitioner: String,
    /// In microseconds.
    pub start: i64,
    pub patient: String,
}

/// What was acknowledged.
#[derive(Default)]
pub struct Ledger {
    visits: HashMap<String, Known>,
    /// Those that may still be live.
    open: Vec<String>,
}

impl Ledger {
    /// Notes the visit that an answer shows; the latest version counts.
    pub fn note(&mut self, visit: &Value) {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let start = visit["start"].as_str().unwrap().parse::<feldsher::base::column::Instant>();
        let known = Known {
            id: text(&visit["id"]),
            code: text(&visit["code"]),
            version: visit["version"].as_i64().unwrap(),
            status: text(&visit["status"]),
            practitioner: text(&visit["practitioner"]["id"]),
            start: start.unwrap().micros(),
            patient: text(&visit["patient"]["id"]),
        };
        if known.status == "cancelled" {
            self.open.retain(|id| *id != known.id);
        }
        match self.visits.get_mut(&known.id) {
            None => {
                self.open.push(known.id.clone());
                self.visits.insert(known.id.clone(), known);
            }
            Some(before) if before.version <= known.version => {
                // What was called off stands again.
                if before.status == "cancelled" && known.status != "cancelled" {
                    self.open.push(known.id.clone());
                }
                *before = known;
            }
            Some(_) => {}
        }
    }

    /// Forgets that a visit may be live.
    pub fn close(&mut self, id: &str) {
        self.open.retain(|open| open != id);
    }

    /// How many may be live.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// The n-th that may be live.
    pub fn nth(&self, number: usize) -> Option<&Known> {
        self.visits.get(self.open.get(number)?)
    }

    /// How the database differs from what was acknowledged.
    pub fn differences(&self, found: &[Found]) -> Vec<String> {
        let mut differences = Vec::new();
        let mut bare: HashMap<String, &Known> = HashMap::new();
        for known in self.visits.values() {
            bare.insert(known.id.replace('-', ""), known);
        }
        for visit in found {
            let Some(known) = bare.remove(&visit.id) else {
                if visit.is_booked || !["pending", "cancelled"].contains(&visit.status.as_str()) {
                    differences.push(format!("nobody was told of {visit:?}"));
                }
                continue;
            };
            let same = known.status == visit.status
                && known.practitioner.replace('-', "") == visit.practitioner
                && known.start == visit.start;
            // What holds and offers become of themselves nobody is told.
            if visit.version < known.version || (visit.version == known.version && !same) {
                differences.push(format!("{known:?} was acknowledged, {visit:?} is there"));
            }
        }
        differences.extend(bare.values().map(|known| format!("lost: {known:?}")));
        differences
    }
}
