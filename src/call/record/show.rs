//! The record of a call, as the people of the visit see it.

use std::collections::HashSet;

use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use super::minute::{MINUTE, Minute};
use super::outcome::{
    Anew, CallOutcome, Presence, RungSpan, Stretch, UpSpan, WayTaken, outcome, stretches,
};
use super::{Browser, Device, EXTRAS, Form, Mark, MarkKind, MarkWhy, Way};
use crate::access::table::Action;
use crate::access::{self, Decision};
use crate::base::column::{Instant, Uuid};
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::schema::{call_marks, call_minutes};
use crate::base::tx::Tx;
use crate::call::rung::Rung;
use crate::encounter::lifecycle::EncounterStatus;
use crate::encounter::show::{CallStay, stays};
use crate::encounter::{
    EncounterId, Outcome, ParticipantId, ParticipantRole, facts, find_row, how_it_ended,
    participants,
};

/// The most marks that one answer is made of: a call of hours has some hundreds.
const MARKS_MAX: i64 = 5000;
/// The most of those that a page can bring about as often as it likes: they push out no others.
const EXTRAS_MAX: i64 = 2000;
/// The most minutes: ten hours of two people, or two and a half of four.
const MINUTES_MAX: i64 = 2000;

/// How a call went.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CallRecord {
    /// Where the visit stands.
    pub status: EncounterStatus,
    /// When the talk began, if it did.
    pub started_at: Option<Instant>,
    /// When the visit ended, if it has.
    pub ended_at: Option<Instant>,
    /// How it ended, in the practitioner's word.
    pub ended_as: Option<Outcome>,
    /// What became of it, by what was measured.
    pub outcome: CallOutcome,
    /// Who was there.
    pub people: Vec<CallPerson>,
    /// How they were connected.
    pub edges: Vec<EdgeRecord>,
}

/// Somebody in a call.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CallPerson {
    /// Their part in the visit.
    pub id: ParticipantId,
    /// As what.
    pub role: ParticipantRole,
    /// Their name.
    pub name: String,
    /// The family of the browser they came with last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browser: Option<Browser>,
    /// The kind of thing it ran on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// When they were there, and why they left.
    pub stays: Vec<Stay>,
    /// What else happened to them.
    pub marks: Vec<PersonMark>,
}

/// One stay of somebody.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Stay {
    /// When they came.
    pub joined_at: Instant,
    /// When they left; empty while they are here.
    pub left_at: Option<Instant>,
    /// Why: `left`, `lost`, `signed_out`, `finished`, `time_over`, `denied`.
    pub why: Option<String>,
}

/// Something that happened to somebody.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PersonMark {
    /// When.
    pub at: Instant,
    /// What.
    pub kind: MarkKind,
}

/// One connection.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EdgeRecord {
    /// Its name; one that began again after an end has the same.
    pub id: String,
    /// Whom it joined.
    pub ends: [ParticipantId; 2],
    /// When it began.
    pub began_at: Instant,
    /// When it ended; empty while it lasts.
    pub ended_at: Option<Instant>,
    /// Why; empty also when the server stopped without a word.
    pub why: Option<MarkWhy>,
    /// When sound or picture flowed.
    pub up: Vec<UpSpan>,
    /// The rungs of the ladder.
    pub rungs: Vec<RungSpan>,
    /// How it was begun anew.
    pub anew: Vec<Anew>,
    /// The ways that sound and picture took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ways: Option<Vec<WayTaken>>,
    /// How it was, minute by minute, for each side; kept for 90 days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<Vec<MinuteRecord>>,
}

/// The middle of a minute and its bad end.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Middle {
    /// The median.
    pub p50: f64,
    /// Of a round trip or a loss the 95th percentile; of a rate or a score the 5th.
    pub worst: f64,
}

/// One minute of one side.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MinuteRecord {
    /// Its first instant.
    pub at: Instant,
    /// Who measured: it is the way to them.
    pub participant: ParticipantId,
    /// Of how many reports it is made.
    pub reports: i32,
    /// Round trip in milliseconds.
    pub rtt: Middle,
    /// Share of packets lost on the way to them, 0 to 1.
    pub loss: Middle,
    /// Received bits per second.
    pub bitrate: Middle,
    /// Opinion score of the voice, 1 to 4.5.
    pub mos: Middle,
    /// Bytes sent.
    pub sent: i64,
    /// Bytes received.
    pub received: i64,
}

/// Shows how a call went. A patient sees their own side, and neither the other's device nor the
/// figures.
pub fn find(tx: &mut Tx, id: EncounterId) -> Result<CallRecord, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::ReadCallRecord, &facts(&row))?;
    let quality = access::decide(&tx.caller, Action::ReadCallQuality, &facts(&row));
    let is_whole = quality == Decision::Allow;
    let people = participants(tx, id)?;
    let stays = stays(tx, id)?;
    let marks = marks(tx, id)?;
    let (started_at, ended_at, ended_as) = how_it_ended(tx, id)?;
    let stretches = stretches(&marks, ended_at);
    let presence = presence(&people, &stays);
    let mut outcome = outcome(&stretches, presence, ended_as, tx.now);
    if !is_whole {
        outcome.noshow_advice = None;
    }
    let minutes = if is_whole { minutes(tx, id)? } else { Vec::new() };
    let account = tx.person()?.account;
    let shown = people.iter().map(|one| {
        let all = is_whole || one.account_id == account;
        person(one.id, one.role, one.name.clone(), all, &stays, &marks)
    });
    Ok(CallRecord {
        status: row.status,
        started_at,
        ended_at,
        ended_as,
        outcome,
        people: shown.collect(),
        edges: edges(stretches, is_whole, &minutes, tx.now),
    })
}

fn presence(
    people: &[crate::encounter::ParticipantRow],
    stays: &[(ParticipantId, CallStay)],
) -> Presence {
    let of = |role: ParticipantRole| {
        let theirs = people.iter().filter(move |one| one.role == role).map(|one| one.id);
        let theirs: Vec<ParticipantId> = theirs.collect();
        stays.iter().filter(move |(id, _)| theirs.contains(id)).map(|(_, stay)| stay)
    };
    let lost = |role| of(role).next_back().is_some_and(|stay| stay.why.as_deref() == Some("lost"));
    let (patient, practitioner) = (ParticipantRole::Patient, ParticipantRole::Practitioner);
    Presence {
        patient_came: of(patient).next().is_some(),
        practitioner_came: of(practitioner).next().is_some(),
        line_lost: lost(patient) || lost(practitioner),
    }
}

fn person(
    id: ParticipantId,
    role: ParticipantRole,
    name: String,
    all: bool,
    stays: &[(ParticipantId, CallStay)],
    marks: &[Mark],
) -> CallPerson {
    let theirs = |mark: &&Mark| mark.edge.is_none() && mark.participant == Some(id);
    let device = marks.iter().filter(theirs).rev().find_map(|mark| mark.device);
    let device = device.filter(|_| all);
    let happened = marks.iter().filter(theirs).filter(|mark| all && mark.kind != MarkKind::Device);
    CallPerson {
        id,
        role,
        name,
        browser: device.map(|device| device.browser),
        form: device.map(|device| device.form),
        stays: stays
            .iter()
            .filter(|(whose, _)| *whose == id)
            .map(|(_, stay)| Stay {
                joined_at: stay.joined_at,
                left_at: stay.left_at,
                why: stay.why.clone(),
            })
            .collect(),
        marks: happened.map(|mark| PersonMark { at: mark.at, kind: mark.kind }).collect(),
    }
}

fn edges(stretches: Vec<Stretch>, all: bool, minutes: &[Minute], now: Instant) -> Vec<EdgeRecord> {
    let mut own: Vec<Vec<MinuteRecord>> = stretches.iter().map(|_| Vec::new()).collect();
    for minute in minutes {
        let place = stretch_of(minute, &stretches, now).and_then(|at| own.get_mut(at));
        if let Some(place) = place {
            place.push(shown(minute));
        }
    }
    stretches.into_iter().zip(own).map(|(stretch, own)| edge(stretch, all, own)).collect()
}

/// To which stretch a minute belongs: a connection that ended and began again within it has one row
/// for both, which stands where most of the minute was.
fn stretch_of(minute: &Minute, stretches: &[Stretch], now: Instant) -> Option<usize> {
    let at = minute.at;
    let end = at.plus(chrono::TimeDelta::seconds(60));
    let shared = |one: &Stretch| one.ended_at.unwrap_or(now).min(end).since(one.began_at.max(at));
    let theirs = stretches.iter().enumerate().filter(|(_, one)| one.edge == minute.edge);
    let (place, most) = theirs.rev().max_by_key(|(_, one)| shared(one))?;
    (shared(most) >= chrono::TimeDelta::zero()).then_some(place)
}

fn edge(stretch: Stretch, all: bool, own: Vec<MinuteRecord>) -> EdgeRecord {
    EdgeRecord {
        id: stretch.edge,
        ends: stretch.ends,
        began_at: stretch.began_at,
        ended_at: stretch.ended_at,
        why: stretch.why,
        up: stretch.ups,
        rungs: stretch.rungs,
        anew: stretch.anew,
        ways: all.then_some(stretch.ways),
        minutes: all.then_some(own),
    }
}

fn shown(minute: &Minute) -> MinuteRecord {
    let middle = |(p50, worst): (i32, i32), unit: f64| Middle {
        p50: f64::from(p50) / unit,
        worst: f64::from(worst) / unit,
    };
    MinuteRecord {
        at: minute.at,
        participant: minute.participant,
        reports: minute.reports,
        rtt: middle(minute.rtt, 1.0),
        loss: middle(minute.loss, 10_000.0),
        bitrate: middle(minute.bitrate, 1.0),
        mos: middle(minute.mos, 100.0),
        sent: minute.sent,
        received: minute.received,
    }
}

/// Index: the unique key of the table.
fn minutes(tx: &mut Tx, id: EncounterId) -> Result<Vec<Minute>, Error> {
    Ok(call_minutes::table
        .filter(call_minutes::encounter_id.eq(id))
        .order((call_minutes::at, call_minutes::edge, call_minutes::participant_id))
        .limit(MINUTES_MAX)
        .select(MINUTE)
        .load(tx.conn)?)
}

type MarkRow = (
    Uuid,
    Instant,
    MarkKind,
    Option<ParticipantId>,
    Option<ParticipantId>,
    Option<String>,
    (Option<Rung>, Option<MarkWhy>, Option<Way>),
    (Option<Browser>, Option<Form>),
);

type MarkColumns = (
    call_marks::id,
    call_marks::at,
    call_marks::kind,
    call_marks::participant_id,
    call_marks::peer_id,
    call_marks::edge,
    (call_marks::rung, call_marks::why, call_marks::way),
    (call_marks::browser, call_marks::form),
);
const MARK: MarkColumns = (
    call_marks::id,
    call_marks::at,
    call_marks::kind,
    call_marks::participant_id,
    call_marks::peer_id,
    call_marks::edge,
    (call_marks::rung, call_marks::why, call_marks::way),
    (call_marks::browser, call_marks::form),
);

/// Whose line to the server is silent, of those who are in some visits. Makes no access decision.
/// Index: call_marks_by_encounter.
pub(crate) fn silent(tx: &mut Tx, visits: &[EncounterId]) -> Result<Vec<ParticipantId>, Error> {
    let kinds = [MarkKind::Silent, MarkKind::Back, MarkKind::Device];
    let marks: Vec<(Option<ParticipantId>, MarkKind)> = call_marks::table
        .filter(among(call_marks::encounter_id, visits))
        .filter(call_marks::kind.eq_any(kinds))
        // The newest first: what is beyond the limit is what counts least.
        .order((call_marks::at.desc(), call_marks::id.desc()))
        .limit(MARKS_MAX)
        .select((call_marks::participant_id, call_marks::kind))
        .load(tx.conn)?;
    let (mut known, mut silent) = (HashSet::new(), Vec::new());
    for (who, kind) in marks {
        let Some(who) = who else { continue };
        if known.insert(who) && kind == MarkKind::Silent {
            silent.push(who);
        }
    }
    Ok(silent)
}

/// Whether somebody who has a seat is not there: their line is silent, or their page lies in the
/// background. Two seconds old. Makes no access decision. Index: call_marks_by_encounter.
pub(crate) fn is_missed(
    tx: &mut Tx,
    visit: EncounterId,
    who: ParticipantId,
) -> Result<bool, Error> {
    let mut last_of = |kinds: &[MarkKind]| -> Result<Option<MarkKind>, Error> {
        Ok(call_marks::table
            .filter(call_marks::encounter_id.eq(visit))
            .filter(call_marks::participant_id.eq(who))
            .filter(call_marks::kind.eq_any(kinds))
            .order((call_marks::at.desc(), call_marks::id.desc()))
            .select(call_marks::kind)
            .first(tx.conn)
            .optional()?)
    };
    // A line that is back says nothing of who looks at the page, nor does the page of the line.
    let line = last_of(&[MarkKind::Device, MarkKind::Silent, MarkKind::Back])?;
    let looks = [MarkKind::Device, MarkKind::Ready, MarkKind::Checking, MarkKind::Away];
    Ok(line == Some(MarkKind::Silent) || last_of(&looks)? == Some(MarkKind::Away))
}

/// In order. Index: call_marks_by_encounter.
fn marks(tx: &mut Tx, id: EncounterId) -> Result<Vec<Mark>, Error> {
    let of_call = || {
        let order = (call_marks::at, call_marks::id);
        call_marks::table.filter(call_marks::encounter_id.eq(id)).order(order).select(MARK)
    };
    let told = of_call().filter(call_marks::kind.ne_all(EXTRAS)).limit(MARKS_MAX);
    let mut rows: Vec<MarkRow> = told.load(tx.conn)?;
    let extras = of_call().filter(call_marks::kind.eq_any(EXTRAS)).limit(EXTRAS_MAX);
    rows.extend(extras.load::<MarkRow>(tx.conn)?);
    rows.sort_by_key(|(id, at, ..)| (*at, *id));
    let mark = |row: MarkRow| {
        let (_, at, kind, participant, peer, edge, (rung, why, way), device) = row;
        let device = match device {
            (Some(browser), Some(form)) => Some(Device { browser, form }),
            _ => None,
        };
        Mark { at, kind, participant, peer, edge, rung, why, way, device }
    };
    Ok(rows.into_iter().map(mark).collect())
}
