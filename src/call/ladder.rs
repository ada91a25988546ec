//! The media ladder of one edge: what both sides send, so that the voice lives on a thin line.
//!
//! Pure, and without a clock of its own. Both sides report how the line is every five seconds; the
//! ladder goes down fast and up slowly, and never higher than either person asked for.
//! What a line must be like to carry a rung is in `rung.rs`.

#[cfg(test)]
#[path = "ladder_tests.rs"]
mod tests;

use chrono::TimeDelta;
use serde::Serialize;

use crate::base::column::Instant;
use crate::call::rung::{Reading, Rung, RungWhy, Send, WishWhy};
use crate::encounter::ParticipantId;

/// So many bad reports of one side in a row take a picture away.
pub const BAD_REPORTS: u32 = 2;
/// So many take the voice away, which is given up last.
pub const BAD_REPORTS_VOICE: u32 = 3;
/// A report that is bad even for a rung so many lower counts at once.
const TERRIBLE_RUNGS: usize = 2;
/// How long after a step reports still tell of the rung before, in seconds.
pub const SETTLE_SECS: i64 = 6;
/// How long a line must be good before it is trusted with more, in seconds, at first.
pub const HOLD_SECS: i64 = 30;
/// The longest such time, after it has doubled with each fall.
pub const HOLD_SECS_MAX: i64 = 240;
/// Without a fall for so long, the time is the first one again, in seconds.
pub const FORGIVE_SECS: i64 = 600;
/// Falls within this time are one, in seconds.
const ONE_FALL_SECS: i64 = 30;
/// How old a report may be and still speak for its side, in seconds.
const FRESH_SECS: i64 = 12;
/// On text for so long, the telephone is proposed, in seconds.
pub const PHONE_SECS: i64 = 30;

/// What one side has said.
#[derive(Debug, Clone, Copy)]
struct Side {
    /// The most it wants.
    most: Rung,
    saves_data: bool,
    /// It agrees to the telephone.
    phone: bool,
    /// Bad reports in a row.
    bad: u32,
    last: Option<(Instant, Reading)>,
    /// The newest step that it has carried out.
    acked: u32,
}

/// The ladder of one edge. Side 0 is the offerer.
#[derive(Debug, Clone)]
pub struct Ladder {
    step: u32,
    rung: Rung,
    why: RungWhy,
    by: Option<usize>,
    /// What the line is trusted with, by what was measured.
    carries: Rung,
    /// Nobody has said yet where this edge is: so it is at first, and after a restart.
    unknown: bool,
    sides: [Side; 2],
    stepped_at: Option<Instant>,
    good_since: Option<Instant>,
    falls: u32,
    fallen_at: Option<Instant>,
    /// Since when it is on text because of the line.
    text_since: Option<Instant>,
    phone_proposed: bool,
    /// Whether the two could go on by telephone.
    may_phone: bool,
}

impl Default for Ladder {
    fn default() -> Self {
        let side = Side {
            most: Rung::Video,
            saves_data: false,
            phone: false,
            bad: 0,
            last: None,
            acked: 0,
        };
        Self {
            step: 0,
            rung: Rung::Video,
            why: RungWhy::Begun,
            by: None,
            carries: Rung::Video,
            unknown: true,
            sides: [side; 2],
            stepped_at: None,
            good_since: None,
            falls: 0,
            fallen_at: None,
            text_since: None,
            phone_proposed: false,
            may_phone: true,
        }
    }
}

/// Where an edge stands, as both sides hear it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RungView {
    /// Counts what was said about the rung; `rung_ack` quotes it.
    pub step: u32,
    /// The rung.
    pub rung: Rung,
    /// Why.
    pub why: RungWhy,
    /// Who asked, where somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<ParticipantId>,
    /// The telephone, once somebody or the line speaks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<PhoneView>,
    /// What to send.
    pub send: Send,
}

/// How it stands with the telephone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhoneView {
    /// The line carries no voice: the server proposes it.
    pub proposed: bool,
    /// Who has agreed.
    pub agreed: Vec<ParticipantId>,
}

impl Ladder {
    /// Of two whose lines carried `carries` when they were measured before the visit, at most.
    pub fn begun(carries: Rung) -> Self {
        let carries = carries.max(Rung::Audio);
        if carries == Rung::Video {
            return Self::default();
        }
        let why = RungWhy::Probed;
        Self { step: 1, rung: carries, why, carries, unknown: false, ..Self::default() }
    }

    /// The rung.
    pub fn rung(&self) -> Rung {
        self.rung
    }

    /// Why it is there.
    pub fn why(&self) -> RungWhy {
        self.why
    }

    /// How often something was said about it.
    pub fn step(&self) -> u32 {
        self.step
    }

    /// As both ends hear it; `None` while nobody has said where this edge is.
    pub fn view(&self, ends: [ParticipantId; 2]) -> Option<RungView> {
        if self.unknown {
            return None;
        }
        let agreed: Vec<ParticipantId> = ends
            .into_iter()
            .zip(self.sides)
            .filter(|(_, side)| side.phone)
            .map(|(end, _)| end)
            .collect();
        let phone = PhoneView { proposed: self.phone_proposed, agreed };
        Some(RungView {
            step: self.step,
            rung: self.rung,
            why: self.why,
            by: self.by.and_then(|by| ends.get(by).copied()),
            phone: (phone.proposed || !phone.agreed.is_empty()).then_some(phone),
            send: self.rung.send(),
        })
    }

    /// Whether both sides have carried out the newest step.
    pub fn is_agreed(&self) -> bool {
        self.sides.iter().all(|side| side.acked == self.step)
    }

    /// Whether the two could go on by telephone.
    pub fn may_phone(&self) -> bool {
        self.may_phone
    }

    /// Says whether the two could go on by telephone.
    pub fn let_phone(&mut self, may: bool) {
        self.may_phone = may;
    }

    /// A side has carried out a step.
    pub fn acknowledge(&mut self, side: usize, step: u32) {
        let newest = self.step;
        if let Some(side) = self.sides.get_mut(side) {
            side.acked = side.acked.max(step.min(newest));
        }
    }

    /// A report. `at` is the rung the reporter is on, for an edge of which nothing is known.
    /// Whether there is something to tell both sides.
    pub fn report(
        &mut self,
        side: usize,
        reading: Reading,
        at: Option<Rung>,
        now: Instant,
    ) -> bool {
        if self.unknown {
            self.unknown = false;
            self.carries = at.unwrap_or(Rung::Video).max(Rung::Text);
            if self.go(self.carries.min(self.wished()), RungWhy::Begun, None, now) {
                return true;
            }
        }
        let settles = TimeDelta::seconds(SETTLE_SECS);
        if self.stepped_at.is_some_and(|at| now.since(at) < settles) {
            return false;
        }
        let Some(one) = self.sides.get_mut(side) else { return false };
        let reading = reading.on(self.rung);
        one.last = Some((now, reading));
        // Whoever reports has a connection again: the voice does not wait to be trusted.
        if self.rung == Rung::Text && self.why == RungWhy::NoMedia {
            self.carries = Rung::Audio;
            return self.go(Rung::Audio.min(self.wished()), RungWhy::Recovered, None, now);
        }
        let carried = reading.carried(self.rung);
        let is_heard = self.rung == Rung::Audio && !reading.loses_the_voice();
        if carried >= self.rung || is_heard {
            one.bad = 0;
            return self.climb(now) || self.propose_phone(now);
        }
        one.bad = one.bad.saturating_add(1);
        let bad = one.bad;
        self.good_since = None;
        let (needed, floor) = match self.rung {
            Rung::Audio => (BAD_REPORTS_VOICE, Rung::Text),
            _ => (BAD_REPORTS, Rung::Audio),
        };
        let is_terrible = self.rung > Rung::Audio && self.rung.down_to(carried) >= TERRIBLE_RUNGS;
        if bad < needed && !is_terrible {
            return false;
        }
        let why = reading.fault(self.rung).unwrap_or(RungWhy::Loss);
        self.fall(carried.max(floor), why, now)
    }

    /// Somebody asks for a rung, or says that nothing comes through. `alone`: the other side is
    /// not there to agree. Whether there is something to tell.
    pub fn wish(
        &mut self,
        side: usize,
        rung: Rung,
        why: WishWhy,
        alone: bool,
        now: Instant,
    ) -> bool {
        self.unknown = false;
        if why == WishWhy::NoMedia {
            let told = self.fall(rung.max(Rung::Text), RungWhy::NoMedia, now);
            return self.propose_phone(now) || told;
        }
        let Some(one) = self.sides.get_mut(side) else { return false };
        let before = (one.most, one.saves_data, one.phone);
        if rung == Rung::Phone {
            one.phone = true;
        } else {
            (one.most, one.saves_data, one.phone) = (rung, why == WishWhy::DataSaver, false);
        }
        let asked = if why == WishWhy::DataSaver { RungWhy::DataSaver } else { RungWhy::Asked };
        let changed = before != (one.most, one.saves_data, one.phone);
        let by_phone = self.sides.iter().all(|side| side.phone)
            || (alone && self.sides.iter().any(|side| side.phone));
        let target = if by_phone { Rung::Phone } else { self.within_reach(now) };
        if self.go(target, asked, Some(side), now) {
            return true;
        }
        // Nothing moves, but the other side must know who has agreed to the telephone.
        let told = changed && (rung == Rung::Phone || before.2);
        if told {
            self.step = self.step.saturating_add(1);
        }
        told
    }

    /// The least that the two have asked for.
    fn wished(&self) -> Rung {
        self.sides.iter().map(|side| side.most).min().unwrap_or(Rung::Video)
    }

    /// What the two want and the line carries, as far as it is known now. One report takes a picture
    /// that somebody asks for, and never the voice. What a report denies is not trusted either:
    /// [`Self::climb`] wins it back.
    fn within_reach(&mut self, now: Instant) -> Rung {
        let most = self.wished().min(self.carries);
        let reach = self.fresh(now).map(|reading| reading.bears(self.rung, most)).min();
        let reach = reach.unwrap_or(most).max(Rung::Audio.min(most));
        if reach < most {
            self.carries = reach;
            self.good_since = None;
        }
        reach
    }

    fn fresh(&self, now: Instant) -> impl Iterator<Item = Reading> + '_ {
        let fresh = TimeDelta::seconds(FRESH_SECS);
        let last = self.sides.iter().filter_map(|side| side.last);
        last.filter(move |(at, _)| now.since(*at) <= fresh).map(|(_, reading)| reading)
    }

    fn fall(&mut self, to: Rung, why: RungWhy, now: Instant) -> bool {
        if self.carries <= to && self.rung <= to {
            return false;
        }
        self.carries = self.carries.min(to);
        self.good_since = None;
        let since = self.fallen_at.map(|at| now.since(at));
        if since.is_none_or(|since| since >= TimeDelta::seconds(FORGIVE_SECS)) {
            self.falls = 1;
        } else if since.is_some_and(|since| since >= TimeDelta::seconds(ONE_FALL_SECS)) {
            self.falls = self.falls.saturating_add(1);
        }
        self.fallen_at = Some(now);
        self.go(self.rung.min(to), why, None, now)
    }

    /// How long the line must be good before the next step up.
    fn hold(&self) -> TimeDelta {
        let doublings = self.falls.saturating_sub(1).min(8);
        let secs = HOLD_SECS.saturating_mul(1_i64 << doublings);
        TimeDelta::seconds(secs.min(HOLD_SECS_MAX))
    }

    /// One rung up, when both sides have found the line good enough for long enough. What a wish
    /// keeps down is not tried, and so not trusted.
    fn climb(&mut self, now: Instant) -> bool {
        let Some(next) = self.carries.above().filter(|_| self.rung == self.carries) else {
            self.good_since = None;
            return false;
        };
        let mut readings = 0_u32;
        let fresh = TimeDelta::seconds(FRESH_SECS);
        for (at, reading) in self.sides.iter().filter_map(|side| side.last) {
            if now.since(at) > fresh || !reading.is_good_for(next) {
                self.good_since = None;
                return false;
            }
            readings = readings.saturating_add(1);
        }
        if readings == 0 {
            return false;
        }
        let since = *self.good_since.get_or_insert(now);
        if now.since(since) < self.hold() {
            return false;
        }
        self.good_since = None;
        self.carries = next;
        self.go(next.min(self.wished()), RungWhy::Recovered, None, now)
    }

    fn propose_phone(&mut self, now: Instant) -> bool {
        let long = TimeDelta::seconds(PHONE_SECS);
        let due = self.text_since.is_some_and(|since| now.since(since) >= long);
        if !due || !self.may_phone || self.phone_proposed || self.rung != Rung::Text {
            return false;
        }
        self.phone_proposed = true;
        self.step = self.step.saturating_add(1);
        true
    }

    fn go(&mut self, to: Rung, why: RungWhy, by: Option<usize>, now: Instant) -> bool {
        if to == self.rung {
            return false;
        }
        self.step = self.step.saturating_add(1);
        (self.rung, self.why, self.by) = (to, why, by);
        self.stepped_at = Some(now);
        for side in &mut self.sides {
            side.bad = 0;
        }
        if to > Rung::Text {
            self.phone_proposed = false;
        }
        let line_is_why = !matches!(why, RungWhy::Asked | RungWhy::DataSaver);
        self.text_since = (to == Rung::Text && line_is_why).then_some(now);
        true
    }
}
