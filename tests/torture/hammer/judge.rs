//! What the database must look like afterwards, in SQL of our own: nothing here is asked of the
//! code that is tried.

use crate::hammer::stage::Stage;
use crate::support::Engine;
use crate::support::engine::Database;

const LIVE: &str = "('proposed', 'pending', 'booked', 'arrived', 'fulfilled')";
pub const KINDS: [&str; 6] =
    ["practitioner", "patient", "room", "device", "feldsher", "interpreter"];

/// An id of the API as a literal.
fn literal(engine: Engine, id: &str) -> String {
    match engine {
        Engine::Sqlite => format!("x'{}'", id.replace('-', "")),
        Engine::Postgres => format!("'{id}'"),
    }
}

/// What is wrong, in words; empty when all is well.
pub fn judge(database: &Database, stage: &Stage) -> Vec<String> {
    let mut questions: Vec<(String, String)> = Vec::new();
    for kind in KINDS {
        let sql = format!(
            "SELECT count(*) AS n FROM occupancies a JOIN occupancies b
             ON a.resource_id = b.resource_id AND a.lane = b.lane
             AND a.appointment_id < b.appointment_id
             AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at
             WHERE a.live AND b.live AND a.resource_kind = '{kind}'"
        );
        questions.push((format!("{kind}: overlaps"), sql));
    }
    // The same from the visits themselves, should the occupancies be at fault.
    questions.push((
        "practitioner: visits that overlap".to_owned(),
        format!(
            "SELECT count(*) AS n FROM appointments a JOIN appointments b
             ON a.practitioner_id = b.practitioner_id AND a.id < b.id
             AND a.busy_from < b.busy_to AND b.busy_from < a.busy_to
             WHERE a.status IN {LIVE} AND b.status IN {LIVE}
             AND (a.overbooked = b.overbooked OR a.priority <> 'routine' OR b.priority <> 'routine')"
        ),
    ));
    questions.push((
        "patient: visits that overlap".to_owned(),
        format!(
            "SELECT count(*) AS n FROM appointments a JOIN appointments b
             ON a.patient_id = b.patient_id AND a.id < b.id
             AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at
             WHERE a.status IN {LIVE} AND b.status IN {LIVE}"
        ),
    ));
    questions.push((
        "live visits without exactly what they take".to_owned(),
        format!(
            "SELECT count(*) AS n FROM appointments v WHERE v.status IN {LIVE} AND (
               (SELECT count(*) FROM occupancies o WHERE o.appointment_id = v.id AND o.live
                 AND o.resource_kind = 'practitioner' AND o.resource_id = v.practitioner_id
                 AND o.starts_at = v.busy_from AND o.ends_at = v.busy_to)
                 <> CASE WHEN v.priority = 'routine' THEN 1 ELSE 2 END
               OR (SELECT count(*) FROM occupancies o WHERE o.appointment_id = v.id AND o.live
                 AND o.resource_kind = 'patient' AND o.resource_id = v.patient_id
                 AND o.starts_at = v.starts_at AND o.ends_at = v.ends_at) <> 1
               OR (SELECT count(*) FROM occupancies o WHERE o.appointment_id = v.id AND o.live
                 AND o.resource_kind NOT IN ('practitioner', 'patient')
                 AND o.starts_at = v.starts_at AND o.ends_at = v.ends_at) <> v.resources
               OR (SELECT count(*) FROM occupancies o WHERE o.appointment_id = v.id)
                 <> CASE WHEN v.priority = 'routine' THEN 2 ELSE 3 END + v.resources)"
        ),
    ));
    questions.push((
        "occupancies of no live visit".to_owned(),
        format!(
            "SELECT count(*) AS n FROM occupancies o
             LEFT JOIN appointments v ON v.id = o.appointment_id AND v.status IN {LIVE}
             WHERE o.live AND v.id IS NULL"
        ),
    ));
    questions.push((
        "visits without their encounter".to_owned(),
        "SELECT count(*) AS n FROM appointments v WHERE
         (SELECT count(*) FROM encounters e WHERE e.appointment_id = v.id) <> 1"
            .to_owned(),
    ));
    questions.push((
        "wishes with an offer that are not offered one, or the other way round".to_owned(),
        "SELECT count(*) AS n FROM waitlist_entries e WHERE (e.status = 'offered') <> EXISTS
         (SELECT 1 FROM waitlist_offers o WHERE o.entry_id = e.id AND o.status = 'standing')"
            .to_owned(),
    ));
    questions.push((
        "times that are offered to two who wait".to_owned(),
        "SELECT count(*) AS n FROM waitlist_offers a JOIN waitlist_offers b
         ON a.practitioner_id = b.practitioner_id AND a.starts_at = b.starts_at AND a.id < b.id
         WHERE a.status = 'standing' AND b.status = 'standing'"
            .to_owned(),
    ));
    questions.push((
        "times that are held in place of a visit without a word of it".to_owned(),
        "SELECT count(*) AS n FROM offered_times t WHERE NOT EXISTS
         (SELECT 1 FROM absence_outcomes d WHERE d.absence_id = t.absence_id
          AND d.appointment_id = t.appointment_id AND d.outcome = 'offered')"
            .to_owned(),
    ));
    // The visits in an absence for which times were offered that are over.
    let lies_there = "FROM lapsed_offers l JOIN absences b ON b.id = l.absence_id
         JOIN appointments v ON v.id = l.appointment_id JOIN encounters e ON e.appointment_id = v.id
         WHERE v.starts_at < b.ends_at AND v.ends_at > b.starts_at AND EXISTS
         (SELECT 1 FROM occupancies o WHERE o.appointment_id = v.id AND o.resource_id = b.practitioner_id)";
    questions.push((
        "visits whose offer is over, and nobody was to call their patient".to_owned(),
        format!(
            "SELECT count(*) AS n {lies_there} AND v.status = 'booked' AND l.seen_to
             AND NOT EXISTS (SELECT 1 FROM offered_times t WHERE t.appointment_id = v.id)
             AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.encounter_id = e.id
             AND t.code = 'unanswered' AND t.status <> 'cancelled')"
        ),
    ));
    questions.push((
        "patients to be called whose visit is somewhere else".to_owned(),
        format!(
            "SELECT count(*) AS n FROM tasks t WHERE t.code = 'unanswered'
             AND t.status IN ('requested', 'accepted', 'in-progress')
             AND NOT EXISTS (SELECT 1 {lies_there} AND e.id = t.encounter_id AND v.status <> 'cancelled')"
        ),
    ));
    for (number, service) in stage.services.iter().enumerate() {
        let needs: Vec<String> = service.needs.iter().map(|kind| format!("'{kind}'")).collect();
        let id = literal(stage.engine, &service.id);
        let found = |and: &str| {
            format!(
                "(SELECT count(DISTINCT o.resource_kind) FROM occupancies o
                  WHERE o.appointment_id = v.id
                  AND o.resource_kind NOT IN ('practitioner', 'patient') {and})"
            )
        };
        let those = match needs.is_empty() {
            true => "AND false".to_owned(),
            false => format!("AND o.resource_kind IN ({})", needs.join(", ")),
        };
        let sql = format!(
            "SELECT count(*) AS n FROM appointments v WHERE v.service_id = {id}
             AND (v.resources <> {count} OR {all} <> {count} OR {needed} <> {count})",
            count = needs.len(),
            all = found(""),
            needed = found(&those),
        );
        questions.push((format!("visits of service {number} without what it needs"), sql));
    }
    let answers = questions.into_iter().map(|(what, sql)| (database.count(&sql), what));
    answers
        .filter(|(count, _)| *count != 0)
        .map(|(count, what)| format!("{what}: {count}"))
        .collect()
}

/// A visit as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub id: String,
    pub version: i64,
    pub status: String,
    pub practitioner: String,
    /// In microseconds.
    pub start: i64,
    /// Whether somebody booked it; others are held in place of one, and nobody has them as theirs.
    pub is_booked: bool,
}

/// Every visit there is.
pub fn visits(database: &Database, engine: Engine) -> Vec<Found> {
    let (id, practitioner, start) = match engine {
        Engine::Sqlite => ("lower(hex(v.id))", "lower(hex(v.practitioner_id))", "v.starts_at"),
        Engine::Postgres => (
            "replace(CAST(v.id AS text), '-', '')",
            "replace(CAST(v.practitioner_id AS text), '-', '')",
            "CAST(extract(epoch FROM v.starts_at) * 1000000 AS bigint)",
        ),
    };
    let rows = database.texts(&format!(
        "SELECT {id} || ' ' || v.version || ' ' || v.status || ' ' || {practitioner} || ' ' || {start}
         || ' ' || CASE WHEN v.id IN (SELECT object_id FROM audit_events WHERE action = 'appointment.book')
            THEN 1 ELSE 0 END AS t
         FROM appointments v"
    ));
    let read = |row: String| {
        let parts: Vec<&str> = row.split(' ').collect();
        Found {
            id: parts[0].to_owned(),
            version: parts[1].parse().unwrap(),
            status: parts[2].to_owned(),
            practitioner: parts[3].to_owned(),
            start: parts[4].parse().unwrap(),
            is_booked: parts[5] == "1",
        }
    };
    rows.into_iter().map(read).collect()
}
