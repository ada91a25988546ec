//! The record of a call: who was there with what, how each connection went, and why it ended.
//!
//! A room makes it up as it goes (`trace.rs`), a process keeps it for a moment (`ledger.rs`) and
//! writes it in batches here. What nobody has written yet when a process dies is at most the minute
//! that runs.

pub mod http;
pub mod ledger;
pub mod minute;
pub mod outcome;
pub mod show;
pub mod trace;

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::access::table::Action;
use crate::base::column::{self, Instant, text_enum};
use crate::base::error::Error;
use crate::base::schema::call_marks;
use crate::base::tx::Tx;
use crate::call::record::minute::write_minute;
use crate::call::rung::{Rung, RungWhy};
use crate::encounter::presence::LeftWhy;
use crate::encounter::{EncounterId, ParticipantId};

pub use self::minute::{Minute, sweep};

text_enum!(
    /// Something that happened in a call.
    MarkKind {
        /// Somebody took a seat, with which kind of device.
        Device = "device",
        /// Somebody looks at camera and microphone.
        Checking = "checking",
        /// Somebody is ready.
        Ready = "ready",
        /// Somebody's page is in the background.
        Away = "away",
        /// Somebody was let in.
        Admitted = "admitted",
        /// Somebody was sent back to wait.
        Held = "held",
        /// Somebody was turned away.
        Denied = "denied",
        /// Somebody's line to the server has been silent for some seconds.
        Silent = "silent",
        /// It is back.
        Back = "back",
        /// Two people are to be connected.
        Begun = "begun",
        /// The first report: sound or picture flow.
        Up = "up",
        /// Which way they take, as one side sees it.
        Path = "path",
        /// The rung of the ladder.
        Rung = "rung",
        /// The same connection looks for a way again.
        Restart = "restart",
        /// A new connection in place of the old.
        Rebuilt = "rebuilt",
        /// The connection is over.
        Ended = "ended",
    }
);

text_enum!(
    /// Why something happened in a call: of a rung, or of an end.
    MarkWhy {
        /// The rung to begin with.
        Begun = "begun",
        /// The check before the visit found no room for more.
        Probed = "probed",
        /// Too much was lost.
        Loss = "loss",
        /// It took too long.
        Rtt = "rtt",
        /// No room for more.
        Bitrate = "bitrate",
        /// Somebody asked for it.
        Asked = "asked",
        /// Somebody saves data.
        DataSaver = "data_saver",
        /// The line is good again.
        Recovered = "recovered",
        /// Nothing came through.
        NoMedia = "no_media",
        /// Somebody pressed the button.
        Left = "left",
        /// A line broke and did not come back.
        Lost = "lost",
        /// A sign-in ended.
        SignedOut = "signed_out",
        /// The visit has ended.
        Finished = "finished",
        /// The visit's time has run out.
        TimeOver = "time_over",
        /// Somebody was turned away, or lost the right to be here.
        Denied = "denied",
        /// Somebody was sent out of the visit for good.
        Removed = "removed",
        /// Somebody was sent back to wait.
        Held = "held",
        /// Somebody came anew, on this device or another.
        Replaced = "replaced",
        /// The plan of the room joins the two no longer.
        Plan = "plan",
    }
);

impl From<RungWhy> for MarkWhy {
    fn from(why: RungWhy) -> Self {
        match why {
            RungWhy::Begun => Self::Begun,
            RungWhy::Probed => Self::Probed,
            RungWhy::Loss => Self::Loss,
            RungWhy::Rtt => Self::Rtt,
            RungWhy::Bitrate => Self::Bitrate,
            RungWhy::Asked => Self::Asked,
            RungWhy::DataSaver => Self::DataSaver,
            RungWhy::Recovered => Self::Recovered,
            RungWhy::NoMedia => Self::NoMedia,
        }
    }
}

impl From<LeftWhy> for MarkWhy {
    fn from(why: LeftWhy) -> Self {
        match why {
            LeftWhy::Left => Self::Left,
            LeftWhy::Lost => Self::Lost,
            LeftWhy::SignedOut => Self::SignedOut,
            LeftWhy::Finished => Self::Finished,
            LeftWhy::TimeOver => Self::TimeOver,
            LeftWhy::Denied => Self::Denied,
            LeftWhy::Removed => Self::Removed,
        }
    }
}

text_enum!(
    /// Which way sound and picture take: the kind of candidate (RFC 8445) and the protocol.
    Way {
        /// Straight, over UDP.
        HostUdp = "host/udp",
        /// Straight, over TCP.
        HostTcp = "host/tcp",
        /// Straight, through an address translator, over UDP.
        SrflxUdp = "srflx/udp",
        /// The same over TCP.
        SrflxTcp = "srflx/tcp",
        /// Straight, by an address that only the far side saw, over UDP.
        PrflxUdp = "prflx/udp",
        /// The same over TCP.
        PrflxTcp = "prflx/tcp",
        /// Over the relay by UDP.
        RelayUdp = "relay/udp",
        /// Over the relay by TCP.
        RelayTcp = "relay/tcp",
        /// Over the relay by TLS.
        RelayTls = "relay/tls",
        /// Something else.
        Other = "other",
    }
);

text_enum!(
    /// The family of a browser, and no more of it.
    Browser {
        /// Chromium and its kin.
        Chromium = "chromium",
        /// Firefox.
        Firefox = "firefox",
        /// Safari.
        Safari = "safari",
        /// Another one, or a program.
        Other = "other",
    }
);

text_enum!(
    /// What kind of thing it runs on.
    Form {
        /// A telephone.
        Phone = "phone",
        /// A tablet.
        Tablet = "tablet",
        /// A computer.
        Desktop = "desktop",
        /// Not known.
        Other = "other",
    }
);

/// With what somebody sits in a call: a class, by which nobody can be known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// The browser's family.
    pub browser: Browser,
    /// The kind of thing.
    pub form: Form,
}

impl Device {
    /// Reads what `hello` calls `client`: `web/chromium/phone`. What is not on the lists is `other`.
    pub fn read(client: Option<&str>) -> Self {
        let mut parts = client.unwrap_or_default().split('/').skip(1);
        let browser = parts.next().and_then(|part| part.parse().ok()).unwrap_or(Browser::Other);
        let form = parts.next().and_then(|part| part.parse().ok()).unwrap_or(Form::Other);
        Self { browser, form }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// When.
    pub at: Instant,
    /// What.
    pub kind: MarkKind,
    /// Whom it concerns, or who said it; of an edge, the one who makes the offers.
    pub participant: Option<ParticipantId>,
    /// The other end of an edge that begins.
    pub peer: Option<ParticipantId>,
    /// Which connection.
    pub edge: Option<String>,
    /// The rung.
    pub rung: Option<Rung>,
    /// Why.
    pub why: Option<MarkWhy>,
    /// The way.
    pub way: Option<Way>,
    /// The device.
    pub device: Option<Device>,
}

impl Mark {
    /// Something of nobody and nothing yet.
    pub fn new(kind: MarkKind, at: Instant) -> Self {
        Self {
            at,
            kind,
            participant: None,
            peer: None,
            edge: None,
            rung: None,
            why: None,
            way: None,
            device: None,
        }
    }

    /// Something that concerns somebody.
    pub fn of(kind: MarkKind, participant: ParticipantId, at: Instant) -> Self {
        Self { participant: Some(participant), ..Self::new(kind, at) }
    }

    /// Somebody took a seat with this device.
    pub fn device(participant: ParticipantId, device: Device, at: Instant) -> Self {
        Self { device: Some(device), ..Self::of(MarkKind::Device, participant, at) }
    }
}

/// What a room wants kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Kept {
    /// Something that happened.
    Mark(Mark),
    /// A minute that is over.
    Minute(Minute),
}

/// Marks that a page can bring about as often as it likes: of a call with too much of them, these are
/// left out first.
pub const EXTRAS: [MarkKind; 6] = [
    MarkKind::Checking,
    MarkKind::Ready,
    MarkKind::Away,
    MarkKind::Silent,
    MarkKind::Back,
    MarkKind::Path,
];

/// Marks that say how somebody is now: whether their line lives, and whether they look. Of these the
/// last one counts.
pub const STANDINGS: [MarkKind; 6] = [
    MarkKind::Device,
    MarkKind::Silent,
    MarkKind::Back,
    MarkKind::Checking,
    MarkKind::Ready,
    MarkKind::Away,
];

impl Kept {
    /// Whether it says how somebody is now.
    pub fn is_standing(&self) -> bool {
        matches!(self, Self::Mark(mark) if STANDINGS.contains(&mark.kind))
    }

    /// Whether it may be left out before others.
    pub fn is_extra(&self) -> bool {
        matches!(self, Self::Mark(mark) if EXTRAS.contains(&mark.kind))
    }
}

/// Writes a batch down.
pub fn write(tx: &mut Tx, kept: &[(EncounterId, Kept)]) -> Result<(), Error> {
    // Feldsher itself keeps the record of what it has carried.
    tx.scope(Action::ReadEncounter)?;
    for (encounter, kept) in kept {
        match kept {
            Kept::Mark(mark) => write_mark(tx, *encounter, mark)?,
            Kept::Minute(minute) => write_minute(tx, *encounter, minute)?,
        }
    }
    Ok(())
}

fn write_mark(tx: &mut Tx, encounter: EncounterId, mark: &Mark) -> Result<(), Error> {
    let at = after_the_last(tx, encounter, mark)?;
    diesel::insert_into(call_marks::table)
        .values((
            call_marks::id.eq(column::Uuid::new(at)),
            call_marks::encounter_id.eq(encounter),
            call_marks::at.eq(at),
            call_marks::kind.eq(mark.kind),
            call_marks::participant_id.eq(mark.participant),
            call_marks::peer_id.eq(mark.peer),
            call_marks::edge.eq(mark.edge.as_deref()),
            call_marks::rung.eq(mark.rung),
            call_marks::why.eq(mark.why),
            call_marks::way.eq(mark.way),
            call_marks::browser.eq(mark.device.map(|device| device.browser)),
            call_marks::form.eq(mark.device.map(|device| device.form)),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// The time of a mark. How somebody is now is said by the process that has the room, and each has its own
/// clock: what is written later is later, however far the clock of whoever wrote before was ahead.
/// Index: call_marks_by_encounter.
fn after_the_last(tx: &mut Tx, encounter: EncounterId, mark: &Mark) -> Result<Instant, Error> {
    let Some(who) = mark.participant.filter(|_| STANDINGS.contains(&mark.kind)) else {
        return Ok(mark.at);
    };
    let last: Option<Instant> = call_marks::table
        .filter(call_marks::encounter_id.eq(encounter))
        .filter(call_marks::participant_id.eq(who))
        .filter(call_marks::kind.eq_any(STANDINGS))
        .order((call_marks::at.desc(), call_marks::id.desc()))
        .select(call_marks::at)
        .first(tx.conn)
        .optional()?;
    Ok(not_before(mark.at, last))
}

/// A time by one clock, or the first after what was written by another.
pub fn not_before(at: Instant, last: Option<Instant>) -> Instant {
    last.map_or(at, |last| at.max(last.plus(TimeDelta::microseconds(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_a_class_and_nothing_else_is_kept_of_it() {
        let read = |client| Device::read(Some(client));
        let phone = Device { browser: Browser::Chromium, form: Form::Phone };
        assert_eq!(read("web/chromium/phone"), phone);
        let unknown = Device { browser: Browser::Other, form: Form::Other };
        for other in ["web", "", "web/Netscape 4/Amiga", "a b c"] {
            assert_eq!(read(other), unknown, "{other}");
        }
        assert_eq!(Device::read(None), unknown);
    }

    #[test]
    fn the_timeline_has_words_for_all_that_a_record_says() {
        let words = include_str!("../../web/pages/timeline-words.js");
        let named = |group: &str, name: &str| {
            assert!(
                words.contains(&format!("'tl.{group}.{name}':")),
                "no words: tl.{group}.{name}"
            );
        };
        MarkWhy::ALL.iter().for_each(|why| named("why", why.as_str()));
        LeftWhy::ALL.iter().for_each(|why| named("left", why.as_str()));
        Rung::ALL.iter().for_each(|rung| named("rung", rung.as_str()));
        Browser::ALL.iter().for_each(|browser| named("browser", browser.as_str()));
        Form::ALL.iter().for_each(|form| named("form", form.as_str()));
    }
}
