//! Somebody with the database in their hands: the guards refuse, and without guards the log
//! itself shows the row.

use feldsher::audit::{self, verify::Fault, verify::Report};

use crate::on_both;
use crate::support::{Engine, World};

const TAMPERINGS: u64 = 200;

async fn verified(world: &World) -> Report {
    let report = world.house.app.db.read(|conn| audit::verify(conn, &mut |_| {})).await;
    report.unwrap().unwrap()
}

/// Repeatable chance (xorshift).
struct Dice(u64);

impl Dice {
    fn within(&mut self, from: i64, to: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        from + i64::try_from(self.0 % u64::try_from(to - from + 1).unwrap()).unwrap()
    }
}

/// What one engine says differently.
struct Words {
    id: &'static str,
    later: &'static str,
    zeros: &'static str,
}

fn words(engine: Engine) -> Words {
    match engine {
        Engine::Sqlite => Words { id: "randomblob(16)", later: "at + 1", zeros: "zeroblob(32)" },
        Engine::Postgres => Words {
            id: "gen_random_uuid()",
            later: "at + interval '1 microsecond'",
            zeros: "decode(repeat('00', 32), 'hex')",
        },
    }
}

/// One way to tamper with a chain of `last` rows: the SQL, and the row that must be named.
fn way(dice: &mut Dice, words: &Words, chain: i64, last: i64) -> (String, i64, Fault) {
    let Words { id, later, zeros } = words;
    let row = |seq: i64| format!("WHERE chain = {chain} AND seq = {seq}");
    let head = |change: &str| format!("UPDATE audit_heads SET {change} WHERE chain = {chain};");
    let shift = |from: i64, by: i64| {
        format!(
            "UPDATE audit_events SET seq = seq + 1000000 WHERE chain = {chain} AND seq >= {from};
             UPDATE audit_events SET seq = seq - 1000000 + {by}
             WHERE chain = {chain} AND seq >= 1000000;"
        )
    };
    let seq = dice.within(1, last);
    let inner = dice.within(1, last - 1);
    match dice.within(0, 17) {
        kind @ 0..=9 => {
            let change = match kind {
                0 => format!("at = {later}"),
                1 => format!("actor_id = {id}"),
                2 => format!("session_id = {id}"),
                3 => "action = action || 's'".to_owned(),
                4 => "object_kind = object_kind || 's'".to_owned(),
                5 => format!("object_id = {id}"),
                6 => format!("patient_id = {id}"),
                7 => format!("organization_id = {id}"),
                8 => "outcome = CASE outcome WHEN 'done' THEN 'refused' ELSE 'done' END".to_owned(),
                _ => format!("hash = {zeros}"),
            };
            (format!("UPDATE audit_events SET {change} {}", row(seq)), seq, Fault::Changed)
        }
        10 => (format!("DELETE FROM audit_events {}", row(inner)), inner, Fault::Missing),
        11 => {
            let gone = format!("DELETE FROM audit_events {};", row(inner));
            let sql = gone + &shift(inner + 1, -1) + &head("seq = seq - 1");
            (sql, inner, Fault::Changed)
        }
        12 => {
            let sql = format!("DELETE FROM audit_events WHERE chain = {chain} AND seq >= {seq}");
            (sql, seq, Fault::Missing)
        }
        13 => {
            let cut = format!("DELETE FROM audit_events WHERE chain = {chain} AND seq > {inner};");
            (cut + &head(&format!("seq = {inner}")), inner, Fault::HeadChanged)
        }
        14 => {
            let add = format!(
                "INSERT INTO audit_events (chain, seq, at, action, object_kind, outcome, hash)
                 SELECT chain, {seq}, at, action, object_kind, outcome, hash FROM audit_events {};",
                row(seq + 1)
            );
            (shift(seq, 1) + &add + &head("seq = seq + 1"), seq, Fault::Changed)
        }
        15 => {
            let swap = format!(
                "UPDATE audit_events SET seq = 999999 {};
                 UPDATE audit_events SET seq = {inner} {};
                 UPDATE audit_events SET seq = {last} {};",
                row(inner),
                row(last),
                row(999_999)
            );
            (swap, inner, Fault::Changed)
        }
        16 => (head(&format!("hash = {zeros}")), last, Fault::HeadChanged),
        _ => (head("seq = seq + 3"), last + 1, Fault::Missing),
    }
}

on_both! {
    async fn of_two_hundred_tamperings_past_the_guards_every_one_is_named_by_its_row(world: World) {
        let whole = verified(world).await;
        assert!(whole.is_whole());
        let chains: Vec<(i64, i64)> = whole
            .chains
            .iter()
            .map(|chain| (i64::from(chain.chain), i64::try_from(chain.rows).unwrap()))
            .filter(|(_, rows)| *rows >= 4)
            .collect();
        assert!(!chains.is_empty(), "the people of this world did something");
        let on = if world.house.engine == Engine::Postgres { " ON audit_events" } else { "" };
        for guard in ["frozen", "kept", "in_order"] {
            world.house.execute(&format!("DROP TRIGGER audit_events_{guard}{on}")).unwrap();
        }
        world
            .house
            .execute(
                "CREATE TABLE kept_events AS SELECT * FROM audit_events;
                 CREATE TABLE kept_heads AS SELECT * FROM audit_heads",
            )
            .unwrap();
        let words = words(world.house.engine);
        let mut dice = Dice(20_261_125);
        for round in 0..TAMPERINGS {
            let at = dice.within(0, i64::try_from(chains.len()).unwrap() - 1);
            let (chain, last) = chains[usize::try_from(at).unwrap()];
            let (sql, seq, fault) = way(&mut dice, &words, chain, last);
            world.house.execute(&sql).unwrap_or_else(|why| panic!("{sql}: {why}"));
            let found: Vec<_> = verified(world)
                .await
                .damaged()
                .map(|(chain, damage)| (i64::from(chain), damage.seq, damage.fault))
                .collect();
            assert_eq!(found, [(chain, seq, fault)], "round {round}: {sql}");
            let undo = "DELETE FROM audit_events; INSERT INTO audit_events SELECT * FROM kept_events;
                DELETE FROM audit_heads; INSERT INTO audit_heads SELECT * FROM kept_heads";
            world.house.execute(undo).unwrap();
        }
        assert_eq!(verified(world).await, whole, "every tampering was undone");
    }
}

/// The role that only works with the tables, and the one that owns them.
const ROLES: &str = "
    CREATE ROLE feldsher_test_app;
    CREATE ROLE feldsher_test_owner;
    GRANT ALL ON ALL TABLES IN SCHEMA public TO feldsher_test_app, feldsher_test_owner;
    GRANT USAGE, CREATE ON SCHEMA public TO feldsher_test_owner";

#[actix_web::test]
async fn on_postgres_no_role_changes_the_log_while_the_guards_stand() {
    let world = World::build(Engine::Postgres).await;
    let house = &world.house;
    house.execute(ROLES).unwrap();
    house.execute("ALTER TABLE audit_events OWNER TO feldsher_test_owner").unwrap();
    let tricks = [
        "UPDATE audit_events SET outcome = 'refused'",
        "UPDATE audit_events SET seq = seq + 1000000",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "INSERT INTO audit_events SELECT * FROM audit_events ON CONFLICT (chain, seq)
         DO UPDATE SET outcome = 'refused'",
        "INSERT INTO audit_events SELECT chain, seq + 1000000, at, actor_id, session_id, action,
         object_kind, object_id, patient_id, organization_id, outcome, hash FROM audit_events",
        "MERGE INTO audit_events USING (SELECT 1) AS one ON true
         WHEN MATCHED THEN UPDATE SET outcome = 'refused'",
        "WITH gone AS (DELETE FROM audit_events RETURNING 1) SELECT count(*) FROM gone",
    ];
    let mut refused = 0;
    for role in ["feldsher_test_app", "feldsher_test_owner", "NONE"] {
        for trick in tricks {
            let said = house.execute(&format!("SET ROLE {role}; {trick}")).expect_err(trick);
            assert!(said.contains("audit_append_only"), "{role}: {trick}: {said}");
            refused += 1;
        }
    }
    assert_eq!(refused, 3 * tricks.len());
    // Who only works with the tables cannot take the guards away either.
    for trick in [
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "DROP TRIGGER audit_events_frozen ON audit_events",
        "DROP TABLE audit_events",
        "SET session_replication_role = replica",
        "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    ] {
        house.execute(&format!("SET ROLE feldsher_test_app; {trick}")).expect_err(trick);
    }
    // Not even where the triggers of a replica sleep.
    for trick in &tricks[..4] {
        let asleep = format!("SET session_replication_role = replica; {trick}");
        assert!(house.execute(&asleep).expect_err(trick).contains("audit_append_only"), "{trick}");
    }
    let report = verified(&world).await;
    assert!(report.is_whole());
    // The owner can; then the log shows it.
    let last = report.chains.iter().max_by_key(|chain| chain.rows).unwrap();
    let blame = format!(
        "SET ROLE feldsher_test_owner; ALTER TABLE audit_events DISABLE TRIGGER ALL;
         UPDATE audit_events SET actor_id = NULL, action = 'note.read' WHERE chain = {} AND seq = 2",
        last.chain
    );
    house.execute(&blame).unwrap();
    let found: Vec<_> = verified(&world).await.damaged().collect();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].0, found[0].1.seq, found[0].1.fault), (last.chain, 2, Fault::Changed));
    house
        .execute(
            "REASSIGN OWNED BY feldsher_test_owner TO CURRENT_USER;
             DROP OWNED BY feldsher_test_app, feldsher_test_owner;
             DROP ROLE feldsher_test_app, feldsher_test_owner",
        )
        .unwrap();
}
