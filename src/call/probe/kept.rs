//! The probes of a visit as they are kept and shown.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::access::table::Action;
use crate::base::column::{self, Instant};
use crate::base::db::{Conn, statement};
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::page::Page;
use crate::base::schema::link_probes;
use crate::base::tx::Tx;
use crate::call::probe::verdict::{Advice, Device, Devices, Measures, Verdict};
use crate::call::probe::{Leg, LegFound, LegState, LinkProbe, ProbeId, Side};
use crate::encounter::{EncounterId, ParticipantRow, facts, find_row};

/// How long a measurement speaks for the line of whoever sits down after it, in hours.
const FRESH_HOURS: i64 = 2;
/// How many probes of a visit are shown.
const SHOWN_MAX: i64 = 20;

/// What was measured for a visit, the newest first.
pub fn list(tx: &mut Tx, encounter: EncounterId) -> Result<Page<LinkProbe>, Error> {
    let row = find_row(tx, encounter)?;
    tx.allow(Action::ReadProbes, &facts(&row))?;
    Ok(Page::whole(measured(tx, encounter)?))
}

/// What the line of somebody who sits down was found to carry when it was measured last, if that is
/// not long ago. The caller has made the access decision. Index: link_probes_by_encounter.
pub fn fresh(tx: &mut Tx, who: &ParticipantRow) -> Result<Option<Verdict>, Error> {
    let found: Option<Option<Verdict>> = link_probes::table
        .filter(link_probes::encounter_id.eq(who.encounter_id))
        .filter(link_probes::account_id.eq(who.account_id))
        .filter(link_probes::measured_at.gt(tx.now.minus(TimeDelta::hours(FRESH_HOURS))))
        .order((link_probes::measured_at.desc(), link_probes::id.desc()))
        .select(link_probes::verdict)
        .first(tx.conn)
        .optional()?;
    Ok(found.flatten())
}

type Way = (LegState, Option<i32>);
type Row = (
    (ProbeId, Side, Option<Instant>),
    (Way, Way, Way, Option<Leg>),
    (Option<i32>, Option<i32>, Option<i32>, Option<i32>, Option<i32>, Option<i32>, Option<i32>),
    Option<f64>,
    (Option<Device>, Option<Device>, Option<Device>),
    (Option<Verdict>, Option<Advice>),
);

/// What was measured for a visit that the caller may see. Index: link_probes_by_encounter.
pub fn measured(tx: &mut Tx, encounter: EncounterId) -> Result<Vec<LinkProbe>, Error> {
    let rows: Vec<Row> = link_probes::table
        .filter(link_probes::encounter_id.eq(encounter))
        .filter(link_probes::measured_at.is_not_null())
        .order((link_probes::measured_at.desc(), link_probes::id.desc()))
        .limit(SHOWN_MAX)
        .select((
            (link_probes::id, link_probes::side, link_probes::measured_at),
            (
                (link_probes::direct, link_probes::direct_ms),
                (link_probes::relay_udp, link_probes::relay_udp_ms),
                (link_probes::relay_tls, link_probes::relay_tls_ms),
                link_probes::measured_on,
            ),
            (
                link_probes::rtt_p50_ms,
                link_probes::rtt_p95_ms,
                link_probes::jitter_ms,
                link_probes::loss_up_permille,
                link_probes::loss_down_permille,
                link_probes::up_kbits,
                link_probes::down_kbits,
            ),
            link_probes::mos,
            (link_probes::camera, link_probes::microphone, link_probes::speaker),
            (link_probes::verdict, link_probes::advice),
        ))
        .load(tx.conn)?;
    let language = tx.language;
    let shown = rows.into_iter().map(|row| shown(row, language));
    shown.collect::<Option<_>>().ok_or(Error::Internal("a measured probe has a hole"))
}

/// `None`: the schema lets no such row be.
fn shown(row: Row, language: Language) -> Option<LinkProbe> {
    let (
        (id, side, measured_at),
        (direct, relay_udp, relay_tls, measured_on),
        numbers,
        mos,
        devices,
        ends,
    ) = row;
    let legs = [(Leg::Direct, direct), (Leg::RelayUdp, relay_udp), (Leg::RelayTls, relay_tls)];
    let measures = match numbers {
        (Some(p50), Some(p95), Some(jitter), Some(up), Some(down), Some(to), Some(from)) => {
            Some(Measures {
                rtt_p50_ms: p50,
                rtt_p95_ms: p95,
                jitter_ms: jitter,
                loss_up_permille: up,
                loss_down_permille: down,
                up_kbits: to,
                down_kbits: from,
            })
        }
        _ => None,
    };
    let (verdict, advice) = (ends.0?, ends.1?);
    Some(LinkProbe {
        id,
        side,
        measured_at: measured_at?,
        legs: legs.into_iter().map(|(leg, (state, ms))| LegFound { leg, state, ms }).collect(),
        measured_on,
        measures,
        mos,
        devices: Devices { camera: devices.0?, microphone: devices.1?, speaker: devices.2? },
        verdict,
        advice,
        advice_text: advice.words(side, language),
    })
}

/// Throws away a piece of the probes that nobody finished. Index: link_probes_unmeasured.
pub fn sweep(conn: &mut Conn, now: Instant) -> QueryResult<usize> {
    Sweep { over: &now.minus(TimeDelta::days(1)) }.execute(conn)
}

statement!(
    /// A probe without a result says nothing.
    Sweep
    "DELETE FROM link_probes WHERE id IN (SELECT id FROM link_probes
     WHERE measured_at IS NULL AND begun_at <= " over: column::sql::Moment = Instant;
    " LIMIT 500)"
);
