//! Work that goes on beside the requests, and ends before the process does.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::appointment::{expiry, promise, request};
use crate::base::app::App;
use crate::base::retention;
use crate::practitioner::gone;
use crate::resource::stranded;
use crate::schedule::leave::offer;
use crate::{calendar, call, message, task, waitlist};

/// Looks at once, and again `pause` after each look has ended, until `stop`. A look that has begun is not
/// broken off: `stop` waits for it.
pub async fn every(pause: Duration, stop: watch::Receiver<bool>, look: impl AsyncFnMut()) {
    every_or_called(pause, &Notify::new(), stop, look).await;
}

/// As [`every`], and also as soon as somebody calls; who calls during a look has it looked at once more.
pub async fn every_or_called(
    pause: Duration,
    called: &Notify,
    mut stop: watch::Receiver<bool>,
    mut look: impl AsyncFnMut(),
) {
    while !*stop.borrow() {
        look().await;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = called.notified() => {}
            // Also when whoever could say it is gone.
            _ = stop.changed() => return,
        }
    }
}

/// The running background tasks.
pub struct Background {
    stop: watch::Sender<bool>,
    tasks: Vec<(&'static str, JoinHandle<()>)>,
}

impl Background {
    /// Starts every background task of the product.
    pub fn start(app: &Arc<App>) -> Self {
        let mut background = Self { stop: watch::Sender::new(false), tasks: Vec::new() };
        background.spawn("rooms", |stop| call::run(Arc::clone(app), stop));
        background.spawn("nodes", |stop| call::nodes::run(Arc::clone(app), stop));
        background.spawn("relays", |stop| call::relay::run(Arc::clone(app), stop));
        background.spawn("retention", |stop| retention::run(Arc::clone(app), stop));
        background.spawn("promised times", |stop| promise::run(Arc::clone(app), stop));
        background.spawn("rooms out of use", |stop| stranded::run(Arc::clone(app), stop));
        background.spawn("who has left", |stop| gone::run(Arc::clone(app), stop));
        background.spawn("calendars", |stop| calendar::external::run(Arc::clone(app), stop));
        background.spawn("outbox", |stop| message::sender::run(Arc::clone(app), stop));
        background.spawn("waiting list", |stop| waitlist::task::run(Arc::clone(app), stop));
        background.spawn("nobody missed", |stop| task::job::run(Arc::clone(app), stop));
        background.spawn("offers", |stop| offer::run(Arc::clone(app), stop));
        background.spawn("holds", |stop| expiry::run(Arc::clone(app), stop));
        background.spawn("requests", |stop| request::run(Arc::clone(app), stop));
        background
    }

    fn spawn<F>(&mut self, name: &'static str, task: impl FnOnce(watch::Receiver<bool>) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        self.tasks.push((name, rt::spawn(task(self.stop.subscribe()))));
    }

    /// Ends every task where it is, as a crash does. For tests of what a dead process leaves behind.
    pub async fn abort(self) {
        for (_, task) in self.tasks {
            task.abort();
            // Nothing but that it was aborted.
            drop(task.await);
        }
    }

    /// Tells every task to stop and waits until they have, at most `limit` in all.
    pub async fn stop(self, limit: Duration) {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(limit, async {
            for (name, task) in self.tasks {
                if task.await.is_err() {
                    tracing::error!(task = name, "a background task had panicked");
                }
            }
        });
        if ended.await.is_err() {
            tracing::warn!("background tasks did not stop in time");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[actix_web::test]
    async fn a_look_is_taken_at_once_and_after_every_pause_until_stop() {
        let stop = watch::Sender::new(false);
        let looks = Cell::new(0);
        every(Duration::from_millis(1), stop.subscribe(), async || {
            looks.set(looks.get() + 1);
            if looks.get() == 3 {
                stop.send_replace(true);
            }
        })
        .await;
        assert_eq!(looks.get(), 3);
        every(LONG, stop.subscribe(), async || panic!("it has stopped already")).await;
    }

    #[actix_web::test]
    async fn whoever_calls_during_a_look_is_not_kept_waiting() {
        let (stop, called) = (watch::Sender::new(false), Notify::new());
        let looks = Cell::new(0);
        let looked = every_or_called(LONG, &called, stop.subscribe(), async || {
            looks.set(looks.get() + 1);
            match looks.get() {
                1 => called.notify_one(),
                _ => drop(stop.send_replace(true)),
            }
        });
        tokio::time::timeout(Duration::from_secs(10), looked).await.unwrap();
        assert_eq!(looks.get(), 2);
    }

    #[actix_web::test]
    async fn a_pause_ends_with_stop() {
        let stop = watch::Sender::new(false);
        let looking = every(LONG, stop.subscribe(), async || {});
        let told = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            stop.send_replace(true);
        };
        let both = async { tokio::join!(looking, told) };
        tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
    }
}
