//! Work that goes on beside the requests, and ends before the process does.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::appointment::promise;
use crate::base::app::App;
use crate::base::retention;
use crate::schedule::leave::offer;
use crate::{calendar, call, message, task, waitlist};

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
        background.spawn("calendars", |stop| calendar::external::run(Arc::clone(app), stop));
        background.spawn("outbox", |stop| message::sender::run(Arc::clone(app), stop));
        background.spawn("waiting list", |stop| waitlist::task::run(Arc::clone(app), stop));
        background.spawn("nobody missed", |stop| task::job::run(Arc::clone(app), stop));
        background.spawn("offers", |stop| offer::run(Arc::clone(app), stop));
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
