//! Connections to PostgreSQL beside the database threads: for what must not queue behind deeds, and
//! for what the server says by itself (`NOTIFY`).

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use diesel::ConnectionError;
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, Client};

use super::postgres::dial;

/// How long the server may take to let us in.
const CONNECT_SECS_MAX: u64 = 5;

/// Why something could not be asked or told.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Nobody answers there.
    #[error("the database server does not answer: {0}")]
    Connect(#[from] ConnectionError),
    /// A statement failed, or its connection did.
    #[error("the database server: {0}")]
    Statement(#[from] tokio_postgres::Error),
    /// It took too long.
    #[error("the database server takes too long")]
    Slow(#[from] tokio::time::error::Elapsed),
}

/// Opens a connection. `rung` is rung whenever the server notifies, and once when the connection is
/// lost. It ends with its client.
pub async fn link(url: &str, rung: Arc<Notify>) -> Result<Client, LinkError> {
    let limit = Duration::from_secs(CONNECT_SECS_MAX);
    let (client, mut connection) = tokio::time::timeout(limit, dial(url)).await??;
    drop(actix_web::rt::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|ctx| connection.poll_message(ctx)).await {
            if matches!(message, AsyncMessage::Notification(_)) {
                rung.notify_one();
            }
        }
        rung.notify_one();
    }));
    Ok(client)
}
