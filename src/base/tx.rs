//! One transaction: the connection, the time, the caller, and what is remembered of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use diesel::QueryResult;
use diesel::connection::TransactionManager;
use uuid::Uuid;

use crate::access::caller::{Caller, Person};
use crate::access::table::Action;
use crate::access::{self, Decision, Facts, Scope};
use crate::account::SessionId;
use crate::audit::{self, Actor, Entry, Outcome};
use crate::base::app::App;
use crate::base::column::Instant;
use crate::base::config::Config;
use crate::base::db::Conn;
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::problem;
use crate::base::seal::Seal;
use crate::encounter::party::Party;
use crate::encounter::{Admission, EncounterId, ParticipantId};
use crate::practitioner::PractitionerId;
use crate::ring::RingId;
use crate::schedule::wall_clock::Span;
use crate::waitlist::offer;

/// Something that others in this process must hear once the transaction has been committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A sign-in session ended: its sockets close.
    SessionEnded(SessionId),
    /// A participant was let in, sent back to wait, or turned away; which change of the visit that
    /// was ([`Party::rev`]).
    Admission(EncounterId, ParticipantId, Admission, i32),
    /// Who takes part in a visit, or how, is another: its room follows.
    PartyChanged(EncounterId, Party),
    /// An encounter has ended: its room closes.
    EncounterOver(EncounterId),
    /// It goes on: that it had ended was a mistake, or it was put to another time. Its room can be
    /// entered again.
    EncounterReopened(EncounterId),
    /// A message waits in the outbox.
    MessageQueued,
    /// Something changed in a practitioner's day: whoever waits may have another place.
    QueueMoved(PractitionerId),
    /// Somebody is rung.
    Ringing(EncounterId, ParticipantId, RingId),
    /// What the clinic does about a visit has changed: who is rung, and what is to be done.
    CareMoved(EncounterId),
    /// Something was written in a visit.
    Wrote(EncounterId),
}

/// What a transaction sees of what others change meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    /// Nothing: all that it reads was true at one moment, and it changes nothing itself.
    Snapshot,
    /// What they have committed, and what it has changed itself.
    Latest,
}

/// One transaction. Every deed takes it first.
pub struct Tx<'a> {
    /// The connection, inside the transaction.
    pub conn: &'a mut Conn,
    /// The time of the whole transaction.
    pub now: Instant,
    /// Who asks.
    pub caller: Caller,
    /// The language the caller reads.
    pub language: Language,
    /// The settings.
    pub config: &'a Config,
    /// Encryption at rest.
    pub seal: &'a Seal,
    /// The shared application; deeds use it for tokens only.
    pub app: &'a App,
    sees: Sees,
    /// The database has ended the transaction by itself: whatever would be written now would stand alone.
    lost: bool,
    decided: bool,
    allowed: Vec<Action>,
    entries: Vec<Entry>,
    // What Feldsher itself did meanwhile; inside `by_itself` the two change places.
    other_entries: Vec<Entry>,
    events: Vec<Event>,
    freed: Vec<(PractitionerId, Span)>,
}

/// How much was remembered and told at some moment of a transaction.
struct Mark {
    entries: usize,
    other_entries: usize,
    events: usize,
    freed: usize,
}

impl<'a> Tx<'a> {
    /// Begins; the connection is already inside a transaction.
    pub fn new(
        conn: &'a mut Conn,
        app: &'a App,
        now: Instant,
        caller: Caller,
        language: Language,
    ) -> Self {
        Self {
            conn,
            now,
            caller,
            language,
            config: &app.config,
            seal: &app.seal,
            app,
            sees: Sees::Latest,
            lost: false,
            decided: false,
            allowed: Vec::new(),
            entries: Vec::new(),
            other_entries: Vec::new(),
            events: Vec::new(),
            freed: Vec::new(),
        }
    }

    /// The same, when the transaction was begun so.
    pub fn seeing(self, sees: Sees) -> Self {
        Self { sees, ..self }
    }

    /// Whether all that is read was true at one moment.
    pub fn is_snapshot(&self) -> bool {
        self.sees == Sees::Snapshot
    }

    /// The policy's word on `action`. The refusal is 401, 403, or 404 when the caller may not
    /// even know that the object exists.
    pub fn allow(&mut self, action: Action, facts: &Facts) -> Result<(), Error> {
        self.decided = true;
        let problem = match access::decide(&self.caller, action, facts) {
            Decision::Allow => {
                self.allowed.push(action);
                return Ok(());
            }
            Decision::SignIn => &problem::UNAUTHORIZED,
            Decision::Forbid => &problem::FORBIDDEN,
            Decision::Hide => &problem::NOT_FOUND,
        };
        let entry = Entry {
            action,
            object_kind: "",
            object_id: None,
            patient: facts.patient,
            organization: facts.organization,
            outcome: Outcome::Refused,
        };
        Err(Error::from(problem).denied(self.actor(), entry))
    }

    /// Whether the policy has allowed one of these in this transaction, or it is Feldsher's own.
    pub fn was_allowed(&self, actions: &[Action]) -> bool {
        matches!(self.caller, Caller::System)
            || actions.iter().any(|action| self.allowed.contains(action))
    }

    /// What of a kind the caller may list. An empty scope is an empty list, not an error;
    /// 401 when nobody is signed in.
    pub fn scope(&mut self, action: Action) -> Result<Scope, Error> {
        self.decided = true;
        match self.caller {
            Caller::Nobody => Err(Error::from(&problem::UNAUTHORIZED)),
            _ => Ok(access::scope(&self.caller, action)),
        }
    }

    /// The signed-in person. 401 when nobody is.
    pub fn person(&self) -> Result<&Person, Error> {
        match &self.caller {
            Caller::Person(person) => Ok(person),
            Caller::Nobody | Caller::System => Err(Error::from(&problem::UNAUTHORIZED)),
        }
    }

    /// Who the audit log names.
    pub fn actor(&self) -> Actor {
        match &self.caller {
            Caller::Person(person) => {
                Actor { account: Some(person.account), session: Some(person.session) }
            }
            Caller::Nobody | Caller::System => Actor::default(),
        }
    }

    /// Remembers that `action` was done to an object; written at the end of the transaction.
    pub fn record(
        &mut self,
        action: Action,
        object_kind: &'static str,
        object_id: Uuid,
        facts: &Facts,
    ) {
        self.entries.push(Entry {
            action,
            object_kind,
            object_id: Some(object_id),
            patient: facts.patient,
            organization: facts.organization,
            outcome: Outcome::Done,
        });
    }

    /// Runs a deed for the policy's word alone: whatever it did is undone, and nobody hears of it.
    pub fn rehearse<T>(
        &mut self,
        deed: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mark = self.mark();
        self.mark_place()?;
        // A panic must not leave a savepoint behind that the database thread knows nothing of.
        let outcome = catch_unwind(AssertUnwindSafe(|| deed(self)));
        let undone = Conn::rollback_transaction(self.conn);
        self.forget_since(mark);
        self.decided = true;
        self.notice(undone)?;
        outcome.unwrap_or(Err(Error::Internal("a rehearsed deed panicked")))
    }

    /// Runs a part of a deed that can fail alone: what it changed, recorded and told is undone then.
    pub fn attempt<T>(
        &mut self,
        part: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mark = self.mark();
        self.mark_place()?;
        // As in `rehearse`: a panic must leave no savepoint behind.
        let outcome = catch_unwind(AssertUnwindSafe(|| part(self)));
        match outcome.unwrap_or(Err(Error::Internal("a part of a deed panicked"))) {
            Ok(value) => {
                let kept = Conn::commit_transaction(self.conn);
                self.notice(kept)?;
                Ok(value)
            }
            Err(error) => {
                let undone = Conn::rollback_transaction(self.conn);
                self.forget_since(mark);
                self.notice(undone)?;
                Err(error)
            }
        }
    }

    /// Begins a part that can be undone alone. Without its transaction it would be one of its own.
    fn mark_place(&mut self) -> Result<(), Error> {
        if self.lost {
            return Err(lost());
        }
        let marked = Conn::begin_transaction(self.conn);
        self.notice(marked)
    }

    /// What became of a part's beginning or end: where that fails, the transaction is gone.
    fn notice(&mut self, done: QueryResult<()>) -> Result<(), Error> {
        self.lost |= done.is_err();
        Ok(done?)
    }

    fn mark(&self) -> Mark {
        Mark {
            entries: self.entries.len(),
            other_entries: self.other_entries.len(),
            events: self.events.len(),
            freed: self.freed.len(),
        }
    }

    fn forget_since(&mut self, mark: Mark) {
        self.entries.truncate(mark.entries);
        self.other_entries.truncate(mark.other_entries);
        self.events.truncate(mark.events);
        self.freed.truncate(mark.freed);
    }

    /// Remembers that a practitioner's time has become free. When the deed is done, whatever of it
    /// nobody has taken meanwhile is offered to who waits for it.
    pub fn free_up(&mut self, practitioner: PractitionerId, span: Span) {
        if span.end > self.now {
            self.freed.push((practitioner, span));
        }
    }

    /// Runs what Feldsher does of its own accord: it is nobody's deed, and who asked for this one
    /// stands in nobody else's access log.
    pub fn by_itself<T>(&mut self, part: impl FnOnce(&mut Self) -> T) -> T {
        let caller = std::mem::replace(&mut self.caller, Caller::System);
        std::mem::swap(&mut self.entries, &mut self.other_entries);
        let done = part(self);
        std::mem::swap(&mut self.entries, &mut self.other_entries);
        self.caller = caller;
        done
    }

    /// Tells the process after the commit.
    pub fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Ends: offers what became free, and writes the audit rows. A transaction in which nobody
    /// asked the policy is our mistake, and fails.
    pub fn end(mut self) -> Result<Vec<Event>, Error> {
        if !self.decided {
            return Err(Error::Internal("a deed ended without an access decision"));
        }
        let freed = std::mem::take(&mut self.freed);
        if !freed.is_empty() {
            offer::fill_freed(&mut self, freed);
        }
        if self.lost {
            return Err(lost());
        }
        let actor = self.actor();
        audit::append(self.conn, self.now, actor, &self.entries)?;
        audit::append(self.conn, self.now, Actor::default(), &self.other_entries)?;
        Ok(self.events)
    }
}

fn lost() -> Error {
    Error::Internal("the database ended the transaction in the middle of a deed")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use diesel::connection::SimpleConnection;
    use diesel::prelude::*;

    use super::*;
    use crate::base::clock::SystemClock;
    use crate::base::config::Secret;
    use crate::base::ctx::as_system;
    use crate::base::schema::audit_events;

    /// SQLite ends the whole transaction by itself when its disk fails in the middle of a statement.
    #[actix_web::test]
    async fn a_deed_whose_transaction_was_lost_is_neither_recorded_nor_gone_on_with() {
        let name = format!("feldsher-lost-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let mut config = Config::defaults().unwrap();
        config.database.url = Secret(format!("sqlite:{}/x.db", directory.display()));
        let (app, threads) = App::open(config, None, Arc::new(SystemClock)).await.unwrap();
        let rows = |tx: &mut Tx| Ok(audit_events::table.count().get_result::<i64>(tx.conn)?);
        let count = || {
            as_system(&app, move |tx| {
                tx.allow(Action::WatchVisits, &Facts::NONE)?;
                rows(tx)
            })
        };
        let before = count().await.unwrap();
        let swallowed = as_system(&app, |tx| {
            tx.allow(Action::WatchVisits, &Facts::NONE)?;
            tx.record(Action::WatchVisits, "Encounter", Uuid::nil(), &Facts::NONE);
            let lost: Result<(), Error> = tx.attempt(|tx| {
                tx.conn.batch_execute("ROLLBACK")?;
                Err(Error::from(&problem::BAD_STATE))
            });
            assert!(lost.is_err());
            assert!(tx.attempt(|_| Ok(())).is_err(), "it would be a transaction of its own");
            Ok(())
        });
        assert!(swallowed.await.is_err());
        assert_eq!(count().await.unwrap(), before, "and the next deed has a whole transaction");
        drop(app);
        threads.join();
        std::fs::remove_dir_all(directory).unwrap();
    }
}
