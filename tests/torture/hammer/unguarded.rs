//! The hammer without one of the schema's guards: what it was for goes wrong within seconds, and
//! the judge sees it. A judge that saw nothing here would be worth nothing elsewhere.

use std::time::Instant;

use crate::hammer::guards::{nothing_follows, overlaps_refused_but};
use crate::hammer::stage::Stage;
use crate::hammer::tally::Op;
use crate::hammer::{Until, say, strike};
use crate::support::Engine;

/// More than enough for what is missing to show.
const OPERATIONS: u64 = 3000;

async fn shows(engine: Engine) {
    let (whole, stage) = Stage::set(engine).await;
    let mut guards = Vec::new();
    // Whoever takes a room or a helper asks before who is free, and so only two who ask at the same
    // moment need the guard: too rare to wait for. `guards` shows those, and each other one alone.
    for kind in ["practitioner", "patient"] {
        let left_out = format!("resource_kind = '{kind}'");
        guards.push((overlaps_refused_but(engine, &left_out), vec![format!("{kind}: ")], None));
    }
    let second = overlaps_refused_but(engine, "lane = 1");
    guards.push((second, vec!["practitioner: ".to_owned()], Some(Op::Overbook)));
    // A visit that moved shows one, a visit that ended the other: whichever comes first.
    let follows =
        ["occupancies of no live visit: ", "live visits without exactly what they take: "];
    guards.push((nothing_follows(engine), follows.map(str::to_owned).to_vec(), None));
    for (without, complaints, favourite) in guards {
        let database = whole.copy();
        database.execute(&without).unwrap();
        let begun = Instant::now();
        let hammer = strike(&database, &stage, Until::Found(OPERATIONS), favourite).await;
        let found = hammer.found.borrow();
        say(&format!("{engine:?}, {:.1} s: {found:?}", begun.elapsed().as_secs_f64()));
        assert!(
            found.iter().any(|found| complaints.iter().any(|one| found.starts_with(one))),
            "nothing is said of {complaints:?} but {found:?} without a guard: {without}"
        );
    }
}

#[actix_web::test]
async fn without_a_guard_of_the_schema_the_judge_speaks_within_seconds_on_sqlite() {
    shows(Engine::Sqlite).await;
}

#[actix_web::test]
async fn without_a_guard_of_the_schema_the_judge_speaks_within_seconds_on_postgres() {
    shows(Engine::Postgres).await;
}
