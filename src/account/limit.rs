//! How often something may be tried: counters in the database, shared by all processes.
//!
//! A subject (a login, a number, a network address) is kept as a keyed hash only.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::base::column::{self, Instant};
use crate::base::db::{Conn, Each, statement};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::rate_counters;
use crate::base::seal::Seal;
use crate::base::tx::Tx;

/// So many times in each window.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// What is counted; keeps the counters apart.
    pub name: &'static str,
    /// The most in one window.
    pub hits_max: u32,
    /// How long a window is. Windows are the same for everybody and begin at 1970.
    pub window: TimeDelta,
}

/// The longest window; counters are thrown away after twice that.
const WINDOW_HOURS_MAX: i64 = 24;

/// Counts one try. 429 `too_many_attempts` with `Retry-After` when the window is full; the
/// caller sees to it that a refused try of something secret stays counted.
pub fn take(tx: &mut Tx, limit: &Limit, subject: &str) -> Result<(), Error> {
    count(tx.conn, tx.seal, tx.now, limit, subject)
}

/// Takes back one count of this window: the try was a good one.
pub fn give_back(tx: &mut Tx, limit: &Limit, subject: &str) -> Result<(), Error> {
    let counter = key(tx.seal, limit, subject);
    diesel::update(rate_counters::table.find((counter, begin(tx.now, limit))))
        .filter(rate_counters::hits.gt(0))
        .set(rate_counters::hits.eq(rate_counters::hits - 1))
        .execute(tx.conn)?;
    Ok(())
}

/// Forgets what was counted for a subject.
pub fn forget(tx: &mut Tx, limit: &Limit, subject: &str) -> Result<(), Error> {
    let counter = key(tx.seal, limit, subject);
    diesel::delete(rate_counters::table.filter(rate_counters::subject.eq(counter)))
        .execute(tx.conn)?;
    Ok(())
}

fn count(
    conn: &mut Conn,
    seal: &Seal,
    now: Instant,
    limit: &Limit,
    subject: &str,
) -> Result<(), Error> {
    let (counter, window) = (key(seal, limit, subject), begin(now, limit));
    Each(
        diesel::insert_into(rate_counters::table)
            .values((
                rate_counters::subject.eq(&counter),
                rate_counters::window_at.eq(window),
                rate_counters::hits.eq(1),
            ))
            .on_conflict((rate_counters::subject, rate_counters::window_at))
            .do_update()
            .set(rate_counters::hits.eq(rate_counters::hits + 1)),
    )
    .execute(conn)?;
    let hits: i32 = rate_counters::table
        .find((counter, window))
        .select(rate_counters::hits)
        .get_result(conn)?;
    if u32::try_from(hits).unwrap_or(u32::MAX) <= limit.hits_max {
        return Ok(());
    }
    let wait = window.plus(limit.window).since(now).num_seconds().max(1);
    let wait = u32::try_from(wait).unwrap_or(u32::MAX);
    Err(Error::from(&problem::TOO_MANY_ATTEMPTS).retry_after(wait))
}

/// Throws away a piece of the windows that are over. Index: rate_counters_by_window.
pub fn sweep(conn: &mut Conn, now: Instant) -> QueryResult<usize> {
    let over = now.minus(TimeDelta::hours(WINDOW_HOURS_MAX.saturating_mul(2)));
    Sweep { over: &over }.execute(conn)
}

statement!(
    /// A flood of strangers leaves many.
    Sweep
    "DELETE FROM rate_counters WHERE (subject, window_at) IN (SELECT subject, window_at
     FROM rate_counters WHERE window_at < " over: column::sql::Moment = Instant;
    " LIMIT 500)"
);

fn key(seal: &Seal, limit: &Limit, subject: &str) -> Vec<u8> {
    seal.index(limit.name, subject)
}

fn begin(now: Instant, limit: &Limit) -> Instant {
    let window = limit.window.num_microseconds().unwrap_or(i64::MAX).max(1);
    let into = now.micros().rem_euclid(window);
    now.minus(TimeDelta::microseconds(into))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::db;

    const LIMIT: Limit = Limit { name: "test", hits_max: 2, window: TimeDelta::minutes(15) };

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    #[test]
    fn windows_begin_at_whole_quarters_of_an_hour() {
        assert_eq!(begin(at("2026-11-23T02:14:59.9Z"), &LIMIT), at("2026-11-23T02:00:00Z"));
        assert_eq!(begin(at("2026-11-23T02:15:00Z"), &LIMIT), at("2026-11-23T02:15:00Z"));
    }

    #[actix_web::test]
    async fn a_full_window_says_when_the_next_one_begins() {
        let directory = std::env::temp_dir().join(format!("feldsher-limit-{}", std::process::id()));
        let url = db::DatabaseUrl::Sqlite(directory.join("limit.db"));
        let (database, threads) = db::open(&url, 1, 16).unwrap();
        let seal = Seal::new(&[7; 32]).unwrap();
        let tried = async |subject: &'static str, now: &str| {
            let (now, seal) = (at(now), seal.clone());
            let outcome: Result<(), Error> = database
                .write(move |conn| Ok(count(conn, &seal, now, &LIMIT, subject)))
                .await
                .unwrap()
                .and_then(|outcome| outcome);
            outcome.map_err(|error| match error {
                Error::Refused(refusal) => refusal.retry_after_secs.unwrap(),
                other => panic!("{other}"),
            })
        };
        assert_eq!(tried("asha", "2026-11-23T02:01:00Z").await, Ok(()));
        assert_eq!(tried("asha", "2026-11-23T02:02:00Z").await, Ok(()));
        assert_eq!(tried("asha", "2026-11-23T02:05:00Z").await, Err(600));
        assert_eq!(tried("boris", "2026-11-23T02:05:00Z").await, Ok(()), "others are not held up");
        assert_eq!(tried("asha", "2026-11-23T02:15:00Z").await, Ok(()));
        drop(database);
        threads.join();
        std::fs::remove_dir_all(directory).unwrap();
    }
}
