//! The outbox: what waits to be sent, who has taken it, and when it is given up.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::phone::Phone;
use crate::appointment;
use crate::base::column::{Instant, id, text_enum};
use crate::base::db::{direct, kept};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::outbox_messages;
use crate::base::seal::Seal;
use crate::base::tx::Tx;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::encounter::notice;
use crate::message::leave::News;
use crate::message::{Promise, leave};

id!(
    /// A message in the outbox.
    MessageId
);

text_enum!(
    /// How a message leaves.
    Channel {
        /// A text to a telephone.
        Sms = "sms",
    }
);

text_enum!(
    /// Where a message stands.
    MessageState {
        /// Waits for its time, or for the gateway's word.
        Pending = "pending",
        /// The gateway has taken it.
        Sent = "sent",
        /// Given up: too old, pointless, or refused too often.
        Failed = "failed",
    }
);

/// How many messages are taken at once.
pub const CLAIM_LEN_MAX: usize = 8;
/// How long a process has for what it took, before another may take it.
const LEASE_SECS: i64 = 60;
/// How often a message is tried.
const ATTEMPTS_MAX: i32 = 12;
/// The first pause after a failure; each next one is three times as long.
const PAUSE_SECS_MIN: i64 = 5;
/// The longest pause.
const PAUSE_SECS_MAX: i64 = 3600;

/// What is sealed in the row.
#[derive(Debug, Serialize, Deserialize)]
pub struct Payload {
    /// The number; `None`: no text reaches them, and when it would leave, the office has a task to tell them.
    pub to: Option<String>,
    /// What to say.
    pub text: String,
    /// What the text promises, if anything.
    pub promise: Option<Promise>,
    /// Of which visits it tells that a leave has changed: what is no longer so is left out.
    #[serde(default)]
    pub leave: Option<leave::Parts>,
}

impl Payload {
    /// A text that is to be sent whatever becomes of anything.
    pub fn text(to: &Phone, text: String) -> Self {
        Self { to: Some(to.as_str().to_owned()), text, promise: None, leave: None }
    }
}

/// Who shall hear a message.
#[derive(Debug, Clone)]
pub enum Whom {
    /// Whoever has this number.
    Phone(String),
    /// The office, which tells a patient of these visits.
    Office(Vec<News>),
}

/// A message that this process has taken to send.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Its id.
    pub id: MessageId,
    /// To whom.
    pub to: Whom,
    /// What to say.
    pub text: String,
    /// Which attempt this is; nobody else has the same.
    pub attempt: i32,
    expires_at: Instant,
}

/// Puts a message in; `false` when its key is there already.
pub fn put(tx: &mut Tx, payload: &Payload, key: &str, life: TimeDelta) -> Result<bool, Error> {
    let times = (tx.now, tx.now.plus(life));
    put_for(tx, payload, key, times)
}

/// As [`put`], for a message that leaves at a later time, and not after another.
pub fn put_for(
    tx: &mut Tx,
    payload: &Payload,
    key: &str,
    (due_at, expires_at): (Instant, Instant),
) -> Result<bool, Error> {
    let id = MessageId::new(tx.now);
    let plain = serde_json::to_vec(payload)
        .map_err(|_unserializable| Error::Internal("a message is not JSON"))?;
    let row = diesel::insert_into(outbox_messages::table)
        .values((
            outbox_messages::id.eq(id),
            outbox_messages::channel.eq(Channel::Sms),
            outbox_messages::dedupe_key.eq(key),
            outbox_messages::payload_sealed.eq(tx.seal.seal(&place(id), &plain)?),
            outbox_messages::state.eq(MessageState::Pending),
            outbox_messages::attempts.eq(0),
            outbox_messages::due_at.eq(due_at),
            outbox_messages::expires_at.eq(expires_at),
            outbox_messages::created_at.eq(tx.now),
        ))
        .on_conflict_do_nothing();
    let inserted = direct!(tx.conn, |conn| kept!(row).execute(conn))?;
    Ok(inserted == 1)
}

/// Gives up a message that has not left yet; `false` when there is none.
pub fn withdraw(tx: &mut Tx, key: &str) -> Result<bool, Error> {
    let waiting = outbox_messages::table
        .filter(outbox_messages::dedupe_key.eq(key))
        .filter(outbox_messages::state.eq(MessageState::Pending))
        .filter(outbox_messages::attempts.eq(0));
    let withdrawn = diesel::update(waiting)
        .set((
            outbox_messages::state.eq(MessageState::Failed),
            outbox_messages::payload_sealed.eq(Vec::<u8>::new()),
        ))
        .execute(tx.conn)?;
    Ok(withdrawn == 1)
}

/// Where the message with a key stands; `None` when there is none, or no more.
pub fn state(tx: &mut Tx, key: &str) -> Result<Option<MessageState>, Error> {
    let message = outbox_messages::table.filter(outbox_messages::dedupe_key.eq(key));
    Ok(message.select(outbox_messages::state).first(tx.conn).optional()?)
}

/// Takes what is due, for as long as the lease: another process that comes meanwhile leaves it.
/// What is too old or no longer true is given up. Index: outbox_messages_due.
pub fn claim(tx: &mut Tx) -> Result<Vec<Claimed>, Error> {
    tx.allow(Action::DeliverMessage, &Facts::NONE)?;
    let due: Vec<(MessageId, Vec<u8>, i32, Instant)> = outbox_messages::table
        .filter(outbox_messages::state.eq(MessageState::Pending))
        .filter(outbox_messages::due_at.le(tx.now))
        .order(outbox_messages::due_at)
        .limit(i64::try_from(CLAIM_LEN_MAX).unwrap_or(i64::MAX))
        .select((
            outbox_messages::id,
            outbox_messages::payload_sealed,
            outbox_messages::attempts,
            outbox_messages::expires_at,
        ))
        .load(tx.conn)?;
    let mut claimed = Vec::new();
    for (id, sealed, attempts, expires_at) in due {
        let attempt = attempts.saturating_add(1);
        if !take(tx, id, attempts, attempt)? {
            continue;
        }
        let payload = opened(tx.seal, id, &sealed);
        match payload {
            Ok(payload) => match words(tx, payload, expires_at)? {
                Some((to, text)) => claimed.push(Claimed { id, to, text, attempt, expires_at }),
                None => give_up(tx, id, attempt)?,
            },
            Err(error) => {
                tracing::error!(message.id = %id, %error, "a message is given up: it does not open");
                give_up(tx, id, attempt)?;
            }
        }
    }
    Ok(claimed)
}

/// Marks a message as taken by the gateway, or the office; `false` when another process has it by now.
pub fn sent(tx: &mut Tx, message: &Claimed) -> Result<bool, Error> {
    tx.allow(Action::DeliverMessage, &Facts::NONE)?;
    end(tx, message.id, message.attempt, MessageState::Sent)
}

/// Notes a failed attempt: later again, or never. Answers where the message stands now.
pub fn failed(tx: &mut Tx, message: &Claimed) -> Result<MessageState, Error> {
    tx.allow(Action::DeliverMessage, &Facts::NONE)?;
    let again_at = tx.now.plus(pause(message.attempt, message.id));
    if message.attempt >= ATTEMPTS_MAX || again_at >= message.expires_at {
        give_up(tx, message.id, message.attempt)?;
        return Ok(MessageState::Failed);
    }
    let mine = outbox_messages::table
        .find(message.id)
        .filter(outbox_messages::state.eq(MessageState::Pending))
        .filter(outbox_messages::attempts.eq(message.attempt));
    diesel::update(mine).set(outbox_messages::due_at.eq(again_at)).execute(tx.conn)?;
    Ok(MessageState::Pending)
}

/// Gives up everything that waits: the demonstration's past reaches nobody.
pub fn give_up_all(tx: &mut Tx) -> Result<usize, Error> {
    tx.allow(Action::DeliverMessage, &Facts::NONE)?;
    let waiting = outbox_messages::table.filter(outbox_messages::state.eq(MessageState::Pending));
    let given_up = diesel::update(waiting)
        .set((
            outbox_messages::state.eq(MessageState::Failed),
            outbox_messages::payload_sealed.eq(Vec::<u8>::new()),
        ))
        .execute(tx.conn)?;
    Ok(given_up)
}

/// The number of the attempt is the lock: two processes that saw the same row cannot both win.
fn take(tx: &mut Tx, id: MessageId, seen: i32, attempt: i32) -> Result<bool, Error> {
    let row = outbox_messages::table
        .find(id)
        .filter(outbox_messages::state.eq(MessageState::Pending))
        .filter(outbox_messages::attempts.eq(seen));
    let lease = tx.now.plus(TimeDelta::seconds(LEASE_SECS));
    let taken = diesel::update(row)
        .set((outbox_messages::attempts.eq(attempt), outbox_messages::due_at.eq(lease)))
        .execute(tx.conn)?;
    Ok(taken == 1)
}

fn give_up(tx: &mut Tx, id: MessageId, attempt: i32) -> Result<(), Error> {
    // Another process may have it by now.
    end(tx, id, attempt, MessageState::Failed).map(|_| ())
}

/// A message that has left, or never will, is not kept readable by anybody.
fn end(tx: &mut Tx, id: MessageId, attempt: i32, state: MessageState) -> Result<bool, Error> {
    let row = outbox_messages::table
        .find(id)
        .filter(outbox_messages::state.eq(MessageState::Pending))
        .filter(outbox_messages::attempts.eq(attempt));
    let sent_at = (state == MessageState::Sent).then_some(tx.now);
    let ended = diesel::update(row)
        .set((
            outbox_messages::state.eq(state),
            outbox_messages::sent_at.eq(sent_at),
            outbox_messages::payload_sealed.eq(Vec::<u8>::new()),
        ))
        .execute(tx.conn)?;
    Ok(ended == 1)
}

/// To whom a message says what; `None` when it is too old, or nothing of it is so any more.
fn words(
    tx: &mut Tx,
    payload: Payload,
    expires_at: Instant,
) -> Result<Option<(Whom, String)>, Error> {
    if expires_at <= tx.now || !still_stands(tx, payload.promise)? {
        return Ok(None);
    }
    let text = match &payload.leave {
        Some(parts) => leave::words(tx, parts)?,
        None => Some(payload.text),
    };
    let whom = match (payload.to, payload.leave) {
        (Some(to), _) => Whom::Phone(to),
        (None, parts) => Whom::Office(parts.map(|parts| parts.news).unwrap_or_default()),
    };
    Ok(text.map(|text| (whom, text)))
}

/// Whether the visit that a text speaks of is still booked, for the same time, and no later word of
/// the practitioner has been told.
fn still_stands(tx: &mut Tx, promise: Option<Promise>) -> Result<bool, Error> {
    let Some(promise) = promise else { return Ok(true) };
    match appointment::find_row(tx, promise.appointment) {
        Ok(row) => {
            let booked =
                matches!(row.status, AppointmentStatus::Booked | AppointmentStatus::Arrived);
            if !booked || row.starts_at != promise.starts_at {
                return Ok(false);
            }
        }
        Err(error) if error.is(&problem::NOT_FOUND) => return Ok(false),
        Err(error) => return Err(error),
    }
    // A retry of "later" must not come behind "on time after all".
    match promise.word {
        Some(word) => notice::stands(tx, word),
        None => Ok(true),
    }
}

/// Grows with every attempt; up to a quarter is added by the id, so that messages which failed
/// together do not come back together.
fn pause(attempt: i32, id: MessageId) -> TimeDelta {
    let times = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0);
    let secs = PAUSE_SECS_MIN.saturating_mul(3_i64.saturating_pow(times)).min(PAUSE_SECS_MAX);
    let part = i64::try_from(id.0.as_u128() % 250).unwrap_or(0);
    TimeDelta::milliseconds(secs.saturating_mul(1000 + part))
}

fn opened(seal: &Seal, id: MessageId, sealed: &[u8]) -> Result<Payload, Error> {
    let plain = seal.open(&place(id), sealed)?;
    serde_json::from_slice(&plain).map_err(|_not_ours| Error::Internal("a message is not JSON"))
}

fn place(id: MessageId) -> String {
    format!("outbox_messages|payload|{id}")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::base::app::App;
    use crate::base::clock::{Clock, ManualClock};
    use crate::base::config::{Config, Secret};
    use crate::base::ctx::as_system;

    const NOW: &str = "2026-11-23T02:00:00Z";

    struct House {
        app: Arc<App>,
        clock: Arc<ManualClock>,
        directory: PathBuf,
    }

    impl House {
        async fn open(name: &str) -> Self {
            let name = format!("feldsher-outbox-{name}-{}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&directory).unwrap();
            let mut config = Config::defaults().unwrap();
            config.database.url = Secret(format!("sqlite:{}/x.db", directory.display()));
            config.database.workers = 1;
            let clock = Arc::new(ManualClock::new(NOW.parse().unwrap()));
            let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
            let (app, _threads) = App::open(config, None, shared).await.unwrap();
            Self { app, clock, directory }
        }

        async fn put(&self, key: &str, life_secs: i64, promise: Option<Promise>) -> bool {
            let key = key.to_owned();
            as_system(&self.app, move |tx| {
                tx.allow(Action::DeliverMessage, &Facts::NONE)?;
                let (to, text) = (Some("+70000000001".to_owned()), "123456".to_owned());
                let payload = Payload { to, text, promise, leave: None };
                put(tx, &payload, &key, TimeDelta::seconds(life_secs))
            })
            .await
            .unwrap()
        }

        async fn claim(&self) -> Vec<Claimed> {
            as_system(&self.app, claim).await.unwrap()
        }

        async fn fail(&self, message: Claimed) -> MessageState {
            as_system(&self.app, move |tx| failed(tx, &message)).await.unwrap()
        }

        /// State, attempts and the size of what is still readable, of the only message.
        async fn row(&self) -> (MessageState, i32, usize) {
            let found = self.app.db.read(|conn| {
                let columns = (
                    outbox_messages::state,
                    outbox_messages::attempts,
                    outbox_messages::payload_sealed,
                );
                let row = outbox_messages::table.select(columns);
                Ok::<(MessageState, i32, Vec<u8>), Error>(row.get_result(conn)?)
            });
            let (state, attempts, payload) = found.await.unwrap().unwrap();
            (state, attempts, payload.len())
        }

        fn advance(&self, secs: i64) {
            self.clock.advance(TimeDelta::seconds(secs));
        }
    }

    impl Drop for House {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.directory));
        }
    }

    #[actix_web::test]
    async fn a_message_is_taken_by_one_and_comes_back_when_its_taker_dies() {
        let house = House::open("lease").await;
        assert!(house.put("k", 3600, None).await);
        assert!(!house.put("k", 3600, None).await, "the same key is the same message");
        let first = house.claim().await.pop().unwrap();
        assert!(matches!(&first.to, Whom::Phone(to) if to == "+70000000001"), "{first:?}");
        assert_eq!(first.text, "123456");
        assert!(house.claim().await.is_empty(), "it is taken");
        house.advance(LEASE_SECS + 1);
        let second = house.claim().await.pop().unwrap();
        assert_eq!(second.attempt, 2);
        house.fail(first).await;
        assert!(house.claim().await.is_empty(), "a late word of the first taker counts no more");
        as_system(&house.app, move |tx| sent(tx, &second)).await.unwrap();
        assert_eq!(house.row().await, (MessageState::Sent, 2, 0), "and nothing stays readable");
    }

    #[actix_web::test]
    async fn a_refused_message_is_tried_with_growing_pauses_and_given_up_in_the_end() {
        let house = House::open("retry").await;
        house.put("k", 30 * 24 * 3600, None).await;
        for attempt in 1..ATTEMPTS_MAX {
            let message = house.claim().await.pop().unwrap();
            let id = message.id;
            assert_eq!(house.fail(message).await, MessageState::Pending);
            house.clock.advance(pause(attempt, id) - TimeDelta::milliseconds(1));
            assert!(house.claim().await.is_empty(), "attempt {attempt} came back too early");
            house.clock.advance(TimeDelta::milliseconds(1));
        }
        let last = house.claim().await.pop().unwrap();
        assert_eq!(house.fail(last).await, MessageState::Failed);
        assert_eq!(house.row().await, (MessageState::Failed, ATTEMPTS_MAX, 0));
    }

    #[actix_web::test]
    async fn what_is_too_old_is_not_sent() {
        let house = House::open("old").await;
        house.put("k", 300, None).await;
        house.advance(301);
        assert!(house.claim().await.is_empty());
        assert_eq!(house.row().await.0, MessageState::Failed);
    }

    #[actix_web::test]
    async fn a_promise_that_no_longer_stands_is_not_sent() {
        let house = House::open("promise").await;
        let now = house.clock.now();
        let appointment = crate::appointment::AppointmentId::new(now);
        house.put("k", 3600, Some(Promise { appointment, starts_at: now, word: None })).await;
        assert!(house.claim().await.is_empty());
        assert_eq!(house.row().await.0, MessageState::Failed);
    }

    #[test]
    fn pauses_grow_to_an_hour_and_differ_between_messages() {
        let id = |low: u128| MessageId(uuid::Uuid::from_u128(low));
        let secs = |attempt| pause(attempt, id(0)).num_seconds();
        assert_eq!([1, 2, 3, 4].map(secs), [5, 15, 45, 135]);
        assert_eq!(secs(ATTEMPTS_MAX), PAUSE_SECS_MAX);
        assert_eq!(pause(1, id(249)).num_milliseconds(), 6245);
    }
}
