//! The sender: takes messages from the outbox and hands them to the gateway.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::base::app::App;
use crate::base::background::every_or_called;
use crate::base::ctx::as_system;
use crate::base::error::Error;
use crate::message::gateway::{self, Undelivered};
use crate::message::inbox::Sms;
use crate::message::leave::News;
use crate::message::outbox::{self, CLAIM_LEN_MAX, Claimed, MessageState, Whom};
use crate::message::untold;

/// How often the outbox is looked into without being called: for retries, and for what another
/// process left behind.
const TICK_SECS: u64 = 2;

/// Sends what is due until `stop`; what has been handed to the gateway is waited for.
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    every_or_called(Duration::from_secs(TICK_SECS), &app.outbox, stop, async || {
        match round(&app).await {
            // There may be more.
            Ok(CLAIM_LEN_MAX) => app.outbox.notify_one(),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "the outbox could not be read"),
        }
    })
    .await;
}

/// Takes some messages, sends them side by side, writes down how it went.
async fn round(app: &Arc<App>) -> Result<usize, Error> {
    let claimed = as_system(app, outbox::claim).await?;
    let taken = claimed.len();
    let mut sending = JoinSet::new();
    for message in claimed {
        let to = match &message.to {
            Whom::Phone(to) => to.clone(),
            Whom::Office(news) => {
                let news = news.clone();
                hand_over(app, message, news).await;
                continue;
            }
        };
        let (shared, at) = (Arc::clone(app), app.clock.now());
        sending.spawn_blocking(move || {
            let sent = gateway::send(&shared.config.sms, &to, &message.text, at);
            (message, to, sent)
        });
    }
    while let Some(done) = sending.join_next().await {
        match done {
            Ok((message, to, sent)) => settle(app, message, to, sent).await,
            Err(_panicked) => tracing::error!("a message could not be sent: the adapter panicked"),
        }
    }
    Ok(taken)
}

/// The office tells whom no text reaches. If this fails, the lease runs out and it is tried again.
async fn hand_over(app: &Arc<App>, message: Claimed, news: Vec<News>) {
    let id = message.id;
    if let Err(error) = as_system(app, move |tx| untold::open(tx, &message, &news)).await {
        tracing::error!(message.id = %id, %error, "nobody has the task to tell a patient");
    }
}

/// If this fails, the lease runs out and the message is sent again.
async fn settle(app: &Arc<App>, message: Claimed, to: String, sent: Result<(), Undelivered>) {
    let (id, attempt) = (message.id, message.attempt);
    let written = match sent {
        Ok(()) => {
            let text = message.text.clone();
            app.inbox.keep(Sms { to, text, at: app.clock.now() });
            as_system(app, move |tx| outbox::sent(tx, &message)).await.map(|_| MessageState::Sent)
        }
        Err(error) => {
            tracing::warn!(message.id = %id, attempt, %error, "a message was not taken");
            as_system(app, move |tx| outbox::failed(tx, &message)).await
        }
    };
    match written {
        Ok(MessageState::Failed) => {
            tracing::error!(message.id = %id, attempt, "a message is given up");
        }
        Ok(MessageState::Pending | MessageState::Sent) => {}
        Err(error) => tracing::error!(message.id = %id, %error, "a message could not be marked"),
    }
}
