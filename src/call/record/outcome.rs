//! What became of a call, worked out from its marks. Pure.

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Mark, MarkKind, MarkWhy, Way};
use crate::appointment::NoshowCause;
use crate::base::column::{Instant, text_enum};
use crate::call::rung::Rung;
use crate::encounter::{Outcome, ParticipantId};

text_enum!(
    /// How the talk was really held.
    Modality {
        /// With a moving picture for most of it.
        Video = "video",
        /// By voice for most of it, with still pictures or without.
        Audio = "audio",
        /// In writing.
        Text = "text",
        /// By telephone.
        Phone = "phone",
        /// Not at all, or without a word of it here.
        None = "none",
    }
);

text_enum!(
    /// What failed.
    Failure {
        /// Whoever ended the visit said so.
        Said = "said",
        /// The two were let in and never came to hear each other.
        NeverConnected = "never_connected",
        /// Somebody's line broke, did not come back, and the visit was not completed.
        LineLost = "line_lost",
        /// The line carried no voice when it ended.
        NoVoice = "no_voice",
    }
);

/// Two who are let in for less than this may simply not have been connected yet, in seconds.
const CONNECT_SECS: i64 = 20;

/// One rung, as long as it lasted.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RungSpan {
    /// From when.
    pub from: Instant,
    /// Until when; empty while it lasts.
    pub to: Option<Instant>,
    /// The rung.
    pub rung: Rung,
    /// Why.
    pub why: MarkWhy,
}

/// A time in which sound or picture flowed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UpSpan {
    /// From when.
    pub from: Instant,
    /// Until when; empty while it lasts.
    pub to: Option<Instant>,
}

/// How a connection was begun anew.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Anew {
    /// When.
    pub at: Instant,
    /// `restart`: the same connection looked for a way again. `rebuilt`: a new one.
    pub kind: MarkKind,
}

/// The way of one side.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WayTaken {
    /// From when.
    pub at: Instant,
    /// As whom it was seen.
    pub participant: ParticipantId,
    /// Which way.
    pub way: Way,
}

/// One connection of a call, from its beginning to its end.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// Its name.
    pub edge: String,
    /// Whom it joined; the first made the offers.
    pub ends: [ParticipantId; 2],
    /// When it began.
    pub began_at: Instant,
    /// When it ended; empty while it lasts.
    pub ended_at: Option<Instant>,
    /// Why; empty also when the server stopped without a word.
    pub why: Option<MarkWhy>,
    /// When sound or picture flowed.
    pub ups: Vec<UpSpan>,
    /// The rungs.
    pub rungs: Vec<RungSpan>,
    /// How it was begun anew.
    pub anew: Vec<Anew>,
    /// The ways.
    pub ways: Vec<WayTaken>,
}

impl Stretch {
    fn begun(mark: &Mark) -> Option<Self> {
        let began_at = mark.at;
        Some(Self {
            edge: mark.edge.clone()?,
            ends: [mark.participant?, mark.peer?],
            began_at,
            ended_at: None,
            why: None,
            ups: Vec::new(),
            rungs: vec![RungSpan {
                from: began_at,
                to: None,
                rung: Rung::Video,
                why: MarkWhy::Begun,
            }],
            anew: Vec::new(),
            ways: Vec::new(),
        })
    }

    fn take_in(&mut self, mark: &Mark) {
        match mark.kind {
            MarkKind::Up => {
                self.ups.push(UpSpan { from: mark.at, to: None });
                // After a restart of the server the pages say on which rung they are.
                if let Some(rung) = mark.rung
                    && self.rungs.last().is_none_or(|last| last.rung != rung)
                {
                    self.step(rung, MarkWhy::Begun, mark.at);
                }
            }
            MarkKind::Rung => {
                if let (Some(rung), Some(why)) = (mark.rung, mark.why) {
                    self.step(rung, why, mark.at);
                }
            }
            MarkKind::Restart | MarkKind::Rebuilt => {
                self.close_up(mark.at);
                self.anew.push(Anew { at: mark.at, kind: mark.kind });
            }
            MarkKind::Path => {
                if let (Some(participant), Some(way)) = (mark.participant, mark.way) {
                    self.ways.push(WayTaken { at: mark.at, participant, way });
                }
            }
            _ => {}
        }
    }

    fn step(&mut self, rung: Rung, why: MarkWhy, at: Instant) {
        if let Some(last) = self.rungs.last_mut() {
            if last.rung == rung {
                return;
            }
            last.to = Some(at);
        }
        self.rungs.push(RungSpan { from: at, to: None, rung, why });
    }

    fn close_up(&mut self, at: Instant) {
        if let Some(up) = self.ups.last_mut() {
            up.to = up.to.or(Some(at));
        }
    }

    fn close(&mut self, at: Instant, why: Option<MarkWhy>) {
        self.close_up(at);
        if let Some(last) = self.rungs.last_mut() {
            last.to = last.to.or(Some(at));
        }
        (self.ended_at, self.why) = (Some(at), why);
    }

    /// How long sound or picture flowed on some rungs, in milliseconds.
    fn millis_on(&self, rungs: &[Rung], now: Instant) -> i64 {
        let mut millis = 0_i64;
        for span in self.rungs.iter().filter(|span| rungs.contains(&span.rung)) {
            for up in &self.ups {
                let from = span.from.max(up.from);
                let to = span.to.unwrap_or(now).min(up.to.unwrap_or(now));
                millis = millis.saturating_add(to.since(from).num_milliseconds().max(0));
            }
        }
        millis
    }
}

/// Marks of one instant have no order of their own where they are kept: what happens to an edge
/// follows from what it was before.
fn rank(kind: MarkKind) -> u8 {
    match kind {
        MarkKind::Begun => 0,
        MarkKind::Rung => 1,
        MarkKind::Restart | MarkKind::Rebuilt => 2,
        MarkKind::Up => 3,
        MarkKind::Ended => 5,
        _ => 4,
    }
}

/// The connections of a call, from its marks; what is still open ends at `over`, if the visit is.
pub fn stretches(marks: &[Mark], over: Option<Instant>) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut marks: Vec<&Mark> = marks.iter().collect();
    marks.sort_by_key(|mark| (mark.at, rank(mark.kind)));
    for mark in marks {
        let Some(edge) = &mark.edge else { continue };
        let open = stretches.iter_mut().rfind(|one| one.edge == *edge && one.ended_at.is_none());
        match (mark.kind, open) {
            (MarkKind::Begun, open) => {
                if let Some(open) = open {
                    open.close(mark.at, None);
                }
                stretches.extend(Stretch::begun(mark));
            }
            (MarkKind::Ended, Some(open)) => open.close(mark.at, mark.why),
            (_, Some(open)) => open.take_in(mark),
            (_, None) => {}
        }
    }
    if let Some(over) = over {
        for open in stretches.iter_mut().filter(|one| one.ended_at.is_none()) {
            open.close(over.max(open.began_at), None);
        }
    }
    stretches
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CallOutcome {
    /// How the talk was really held.
    pub modality: Modality,
    /// How long sound or picture flowed, in seconds, over all connections of two people; of several
    /// pairs, the one that was connected longest.
    pub connected_secs: i64,
    /// The share of that time with the voice alone or with still pictures, 0 to 1.
    pub audio_only_share: f64,
    /// How often a connection was begun anew.
    pub reconnects: usize,
    /// Whether the line or a device failed.
    pub technical_failure: bool,
    /// What failed.
    pub failures: Vec<Failure>,
    /// Advice to whoever marks the visit as missed: the cause that the record speaks for.
    /// Nothing is marked by it.
    pub noshow_advice: Option<NoshowCause>,
}

/// Who was there, as far as the outcome asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Presence {
    /// The patient took a seat at least once.
    pub patient_came: bool,
    /// So did the practitioner.
    pub practitioner_came: bool,
    /// The last stay of one of the two ended because a line broke.
    pub line_lost: bool,
}

/// Works out what became of a call.
pub fn outcome(
    stretches: &[Stretch],
    presence: Presence,
    end: Option<Outcome>,
    now: Instant,
) -> CallOutcome {
    let longest = longest_pair(stretches, now);
    let on = |rungs: &[Rung]| longest.iter().map(|one| one.millis_on(rungs, now)).sum::<i64>();
    let (video, audio) =
        (on(&[Rung::Video, Rung::SmallVideo]), on(&[Rung::AudioStills, Rung::Audio]));
    let text = on(&[Rung::Text, Rung::Phone]);
    let all = video.saturating_add(audio).saturating_add(text);
    let modality = match end {
        Some(Outcome::ConvertedToPhone) => Modality::Phone,
        _ if all == 0 => Modality::None,
        _ if video >= audio && video >= text => Modality::Video,
        _ if audio >= text => Modality::Audio,
        _ => Modality::Text,
    };
    let mut failures = Vec::new();
    if end == Some(Outcome::TechnicalFailure) {
        failures.push(Failure::Said);
    }
    let lasted = |one: &Stretch| {
        one.ended_at.unwrap_or(now).since(one.began_at).num_seconds() >= CONNECT_SECS
    };
    if all == 0 && stretches.iter().any(lasted) {
        failures.push(Failure::NeverConnected);
    }
    if presence.line_lost && end != Some(Outcome::Completed) {
        failures.push(Failure::LineLost);
    }
    if stretches.last().is_some_and(ended_without_voice) {
        failures.push(Failure::NoVoice);
    }
    let technical_failure = !failures.is_empty();
    let noshow_advice = match (presence.patient_came, presence.practitioner_came) {
        (true, false) => Some(NoshowCause::Practitioner),
        (true, true) if technical_failure => Some(NoshowCause::Link),
        _ => None,
    };
    CallOutcome {
        modality,
        connected_secs: all / 1000,
        audio_only_share: share(audio, all),
        reconnects: stretches.iter().map(|one| one.anew.len()).sum(),
        technical_failure,
        failures,
        noshow_advice,
    }
}

/// All connections of the two who were connected longest: who comes back goes on with the same talk.
fn longest_pair(stretches: &[Stretch], now: Instant) -> Vec<&Stretch> {
    let mut pairs: Vec<Vec<&Stretch>> = Vec::new();
    for one in stretches {
        let same = |other: &&Stretch| one.ends.iter().all(|end| other.ends.contains(end));
        match pairs.iter_mut().find(|pair| pair.first().is_some_and(same)) {
            Some(pair) => pair.push(one),
            None => pairs.push(vec![one]),
        }
    }
    let millis = |pair: &Vec<&Stretch>| -> i64 {
        pair.iter().map(|one| one.millis_on(Rung::ALL, now)).sum()
    };
    pairs.into_iter().max_by_key(millis).unwrap_or_default()
}

fn ended_without_voice(stretch: &Stretch) -> bool {
    use MarkWhy::{Bitrate, Loss, NoMedia, Rtt};
    let by_line = |why| matches!(why, Bitrate | Loss | NoMedia | Rtt);
    stretch.rungs.last().is_some_and(|last| last.rung <= Rung::Text && by_line(last.why))
}

/// In hundredths.
fn share(part: i64, of: i64) -> f64 {
    let hundredths = part.saturating_mul(100).checked_div(of).unwrap_or_default();
    f64::from(i32::try_from(hundredths).unwrap_or_default()) / 100.0
}
