//! Each guard of the schema alone, in SQL that goes past the application: with it what would be
//! wrong is refused, without it that is done and the judge speaks. Who asks the application first is
//! told that a room is taken; here nobody asks.

use crate::hammer::judge::{self, KINDS};
use crate::hammer::stage::Stage;
use crate::support::Engine;
use crate::support::engine::Database;

/// A Tuesday, in seconds.
const DAY: i64 = 1_799_200_800;

/// What is wrong, in the words of the judge.
const NOT_EXACTLY: &str = "live visits without exactly what they take";
const NO_LIVE: &str = "occupancies of no live visit";

/// A visit that takes one of every kind, written past the application. Those of one number are the
/// same in all but the code; `shares` is the kind that it takes of number 0.
struct Written {
    number: i64,
    shares: Option<&'static str>,
    overbooked: bool,
}

/// How the engines write the same.
struct Words {
    engine: Engine,
}

impl Words {
    fn id(&self, kind: &str, number: i64) -> String {
        let kind = KINDS.iter().position(|one| *one == kind).map_or(99, |at| at + 1);
        let hex = format!("{kind:016x}{number:016x}");
        match self.engine {
            Engine::Sqlite => format!("x'{hex}'"),
            Engine::Postgres => format!("'{hex}'::uuid"),
        }
    }

    fn time(&self, minute: i64) -> String {
        let seconds = DAY + 60 * minute;
        match self.engine {
            Engine::Sqlite => format!("{seconds}000000"),
            Engine::Postgres => format!("to_timestamp({seconds})"),
        }
    }

    /// The one, or the thing, that a visit of this number takes.
    fn taken(&self, kind: &str, number: i64) -> String {
        let nth =
            |from: &str| format!("(SELECT id FROM {from} ORDER BY id LIMIT 1 OFFSET {number})");
        match kind {
            "practitioner" => nth("practitioners WHERE kind = 'doctor'"),
            "patient" => nth("patients"),
            kind => self.id(kind, number),
        }
    }

    fn visit(&self, number: i64) -> String {
        self.id("visit", number)
    }

    fn yes(&self, is_so: bool) -> &'static str {
        match (self.engine, is_so) {
            (Engine::Sqlite, true) => "1",
            (Engine::Sqlite, false) => "0",
            (Engine::Postgres, true) => "true",
            (Engine::Postgres, false) => "false",
        }
    }

    fn taking(&self, written: &Written) -> String {
        let Written { number, shares, overbooked } = written;
        let row = |kind: &&str| {
            let of = if Some(*kind) == *shares { 0 } else { *number };
            format!(
                "({}, '{kind}', {}, {}, {}, {}, {})",
                self.visit(*number),
                self.taken(kind, of),
                u8::from(*kind == "practitioner" && *overbooked),
                self.time(0),
                self.time(20),
                self.yes(true)
            )
        };
        let rows: Vec<String> = KINDS.iter().map(row).collect();
        format!(
            "INSERT INTO occupancies
               (appointment_id, resource_kind, resource_id, lane, starts_at, ends_at, live)
             VALUES {};",
            rows.join(", ")
        )
    }

    fn row(&self, written: &Written) -> String {
        let Written { number, shares, overbooked } = written;
        let of = |kind| self.taken(kind, if Some(kind) == *shares { 0 } else { *number });
        let (start, end, now) = (self.time(0), self.time(20), self.time(-10_000));
        format!(
            "INSERT INTO appointments
               (id, code, status, service_id, organization_id, practitioner_id, patient_id, starts_at,
                ends_at, busy_from, busy_to, priority, overbooked, mode, moves, resources, time_zone,
                local_start, created_by, created_at, updated_at, version)
             SELECT {id}, 'GUARD{number}', 'booked', id, organization_id, {practitioner}, {patient},
               {start}, {end}, {start}, {end}, 'routine', {overbooked}, 'video', 0, 4, 'UTC',
               '2027-01-05T10:00:00+00:00', (SELECT id FROM accounts ORDER BY id LIMIT 1), {now},
               {now}, 1
             FROM healthcare_services ORDER BY healthcare_services.id LIMIT 1;",
            id = self.visit(*number),
            practitioner = of("practitioner"),
            patient = of("patient"),
            overbooked = self.yes(*overbooked),
        )
    }

    fn write(&self, number: i64, shares: Option<&'static str>, overbooked: bool) -> String {
        let written = Written { number, shares, overbooked };
        format!("BEGIN; {} {} COMMIT;", self.taking(&written), self.row(&written))
    }

    /// What a visit takes becomes that of number 0.
    fn take_over(&self, kind: &str, number: i64) -> String {
        let (visit, of) = (self.visit(number), self.taken(kind, 0));
        match kind {
            "practitioner" | "patient" => {
                format!("UPDATE appointments SET {kind}_id = {of} WHERE id = {visit};")
            }
            kind => format!(
                "UPDATE occupancies SET resource_id = {of}
                 WHERE appointment_id = {visit} AND resource_kind = '{kind}';"
            ),
        }
    }

    fn drop(&self, trigger: &str, table: &str) -> String {
        match self.engine {
            Engine::Sqlite => format!("DROP TRIGGER {trigger};"),
            Engine::Postgres => format!("DROP TRIGGER {trigger} ON {table};"),
        }
    }
}

/// Guards against overlaps for all that is not left out.
pub fn overlaps_refused_but(engine: Engine, left_out: &str) -> String {
    match engine {
        Engine::Postgres => format!(
            "ALTER TABLE occupancies DROP CONSTRAINT resource_busy;
             ALTER TABLE occupancies ADD CONSTRAINT resource_busy EXCLUDE USING gist
               (resource_id WITH =, lane WITH =, tstzrange(starts_at, ends_at) WITH &&)
               WHERE (live AND NOT ({left_out}));"
        ),
        Engine::Sqlite => {
            let mut sql = String::new();
            for (name, when) in [("insert", "INSERT"), ("update", "UPDATE")] {
                let but =
                    if name == "update" { "AND appointment_id <> OLD.appointment_id" } else { "" };
                sql += &format!(
                    "DROP TRIGGER occupancies_no_overlap_{name};
                     CREATE TRIGGER occupancies_no_overlap_{name} BEFORE {when} ON occupancies
                     WHEN NEW.live AND NOT (NEW.{left_out}) BEGIN
                       SELECT RAISE(ABORT, 'resource_busy') WHERE EXISTS (
                         SELECT 1 FROM occupancies WHERE resource_id = NEW.resource_id
                           AND lane = NEW.lane AND live AND starts_at < NEW.ends_at
                           AND ends_at > NEW.starts_at {but} AND NOT ({left_out}));
                     END;"
                );
            }
            sql
        }
    }
}

/// Visits end, move and begin, and what they take stays where it was.
pub fn nothing_follows(engine: Engine) -> String {
    Words { engine }.drop("appointments_follow", "appointments")
}

/// What would be wrong, the guard that is left out, and what the judge says then.
struct Attack {
    sql: String,
    without: String,
    complaint: String,
}

fn attacks(words: &Words) -> Vec<Attack> {
    let mut attacks = Vec::new();
    for kind in KINDS {
        let without = overlaps_refused_but(words.engine, &format!("resource_kind = '{kind}'"));
        for sql in [words.write(2, Some(kind), false), words.take_over(kind, 1)] {
            let (without, complaint) = (without.clone(), format!("{kind}: overlaps"));
            attacks.push(Attack { sql, without, complaint });
        }
    }
    // A second visit beside the first is overbooking, a third is none.
    let beside = words.write(2, Some("practitioner"), true);
    let third = words.write(3, Some("practitioner"), true);
    attacks.push(Attack {
        sql: beside + &third,
        without: overlaps_refused_but(words.engine, "lane = 1"),
        complaint: "practitioner: overlaps".to_owned(),
    });
    let of_first = format!("WHERE appointment_id = {}", words.visit(0));
    let mut trigger = |name: &str, table: &str, sql: String, complaint: &str| {
        let without = words.drop(name, table);
        attacks.push(Attack { sql, without, complaint: complaint.to_owned() });
    };
    let less = format!("DELETE FROM occupancies {of_first} AND resource_kind = 'room';");
    trigger("occupancies_kept", "occupancies", less, NOT_EXACTLY);
    let more = format!(
        "INSERT INTO occupancies
           (appointment_id, resource_kind, resource_id, lane, starts_at, ends_at, live)
         VALUES ({}, 'room', {}, 0, {}, {}, {});",
        words.visit(0),
        words.id("room", 9),
        words.time(0),
        words.time(20),
        words.yes(true)
    );
    trigger("occupancies_come_first", "occupancies", more, NOT_EXACTLY);
    let bare = words.row(&Written { number: 2, shares: None, overbooked: false });
    trigger("appointments_occupied", "appointments", bare, NOT_EXACTLY);
    let given_up = format!("UPDATE occupancies SET live = {} {of_first};", words.yes(false));
    trigger("occupancies_follow_only", "occupancies", given_up, NOT_EXACTLY);
    attacks
}

/// Two visits that share nothing, and no server.
async fn set(engine: Engine) -> (Database, Stage, Words) {
    let (database, stage) = Stage::set(engine).await;
    let words = Words { engine };
    for number in 0..2 {
        database.execute(&words.write(number, None, false)).unwrap();
    }
    (database, stage, words)
}

/// Visits that nobody planned have no encounter and do not need what their service does.
fn said(database: &Database, stage: &Stage) -> Vec<String> {
    let mut said = judge::judge(database, stage);
    said.retain(|one| !one.starts_with("visits "));
    said
}

async fn each_guard_alone(engine: Engine) {
    let (whole, stage, words) = set(engine).await;
    assert_eq!(said(&whole, &stage), Vec::<String>::new());
    let attacks = attacks(&words);
    for Attack { sql, .. } in &attacks {
        // On a copy only what is refused leaves no trace, so it is tried on the whole.
        if sql.contains("GUARD3") {
            continue;
        }
        let refused = whole.execute(sql);
        assert!(refused.is_err(), "{sql}");
        assert_eq!(said(&whole, &stage), Vec::<String>::new(), "{sql}");
    }
    for Attack { sql, without, complaint } in &attacks {
        let database = whole.copy();
        if sql.contains("GUARD3") {
            let refused = database.execute(sql);
            assert!(refused.is_err(), "{sql}");
            assert_eq!(said(&database, &stage), Vec::<String>::new(), "{sql}");
            let again = words.write(3, Some("practitioner"), true);
            database.execute(without).unwrap();
            database.execute(&again).unwrap();
        } else {
            database.execute(without).unwrap();
            database.execute(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        }
        let found = said(&database, &stage);
        assert!(
            found.iter().any(|one| one.starts_with(complaint.as_str())),
            "nothing is said of {complaint} but {found:?} without {without}"
        );
    }
    // What follows a visit follows it: without that, what was called off still takes its time.
    let database = whole.copy();
    let over = format!(
        "UPDATE appointments SET status = 'cancelled', cancellation_code = 'clinic',
           cancelled_from = 'booked' WHERE id = {};",
        words.visit(0)
    );
    database.execute(&over).unwrap();
    assert_eq!(said(&database, &stage), Vec::<String>::new());
    let database = whole.copy();
    database.execute(&nothing_follows(engine)).unwrap();
    database.execute(&over).unwrap();
    let found = said(&database, &stage);
    assert!(found.iter().any(|one| one.starts_with(NO_LIVE)), "{found:?}");
}

#[actix_web::test]
async fn each_guard_of_the_schema_refuses_what_the_judge_would_see_on_sqlite() {
    each_guard_alone(Engine::Sqlite).await;
}

#[actix_web::test]
async fn each_guard_of_the_schema_refuses_what_the_judge_would_see_on_postgres() {
    each_guard_alone(Engine::Postgres).await;
}
