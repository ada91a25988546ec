//! What carries the frames of a line: a WebSocket, plain HTTP, or another node.

use std::time::Duration;

use actix_web::web::Bytes;
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseReason, ProtocolError, Session};
use futures_util::FutureExt;
use tokio::time::timeout;

use crate::call::event::CloseCode;
use crate::call::meter::Meter;

/// How long writing one message to a slow network may take, in seconds.
const WRITE_SECS_MAX: u64 = 15;

/// Why a line ends; the code to close with, if it is ours to close.
pub type Ended = Option<CloseCode>;

/// What comes from the far end.
#[derive(Debug)]
pub enum Heard {
    /// A frame.
    Text(String),
    /// A sign of life that wants an echo.
    Ping(Bytes),
    /// A sign of life.
    Sign,
    /// The other side has gone.
    Gone,
    /// The other side broke the rules.
    Broken(CloseCode),
}

/// The far end of a line.
pub trait Wire {
    /// What comes next. What was not heard to the end because something else came first is not lost.
    async fn hear(&mut self) -> Heard;

    /// Writes a message.
    async fn write(&mut self, text: String) -> Result<(), Ended>;

    /// Echoes a sign of life.
    async fn echo(&mut self, _payload: Bytes) -> Result<(), Ended> {
        Ok(())
    }

    /// Whether its socket is at this node.
    fn is_near(&self) -> bool {
        true
    }

    /// Whether the other side has gone already, as far as it is known without waiting.
    async fn is_gone(&mut self) -> bool;

    /// Closes; the number says why.
    async fn close(self, code: u16);
}

/// A WebSocket.
pub struct Socketed {
    session: Session,
    stream: AggregatedMessageStream,
    meter: Meter,
    /// What was heard when it was only asked whether somebody is there.
    early: Option<Heard>,
}

impl Socketed {
    /// An open one.
    pub fn new(session: Session, stream: AggregatedMessageStream, meter: Meter) -> Self {
        Self { session, stream, meter, early: None }
    }
}

impl Wire for Socketed {
    async fn hear(&mut self) -> Heard {
        if let Some(early) = self.early.take() {
            return early;
        }
        let heard = self.stream.recv().await;
        self.meter.reset();
        match heard {
            Some(Ok(AggregatedMessage::Text(text))) => Heard::Text(text.to_string()),
            Some(Ok(AggregatedMessage::Ping(payload))) => Heard::Ping(payload),
            Some(Ok(AggregatedMessage::Pong(_))) => Heard::Sign,
            Some(Ok(AggregatedMessage::Binary(_))) => Heard::Broken(CloseCode::BadFrame),
            Some(Ok(AggregatedMessage::Close(_))) | None => Heard::Gone,
            Some(Err(fault)) => Heard::Broken(code_of_fault(&fault)),
        }
    }

    async fn write(&mut self, text: String) -> Result<(), Ended> {
        within_time(self.session.text(text)).await
    }

    async fn echo(&mut self, payload: Bytes) -> Result<(), Ended> {
        within_time(self.session.pong(&payload)).await
    }

    async fn is_gone(&mut self) -> bool {
        let heard = self.hear().now_or_never();
        self.early = heard;
        matches!(self.early, Some(Heard::Gone))
    }

    async fn close(self, code: u16) {
        let reason = CloseReason { code: code.into(), description: None };
        within_time(self.session.close(Some(reason))).await.ok();
    }
}

/// A network that takes nothing for so long is too slow.
async fn within_time(
    writing: impl Future<Output = Result<(), actix_ws::Closed>>,
) -> Result<(), Ended> {
    match timeout(Duration::from_secs(WRITE_SECS_MAX), writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_closed)) => Err(None),
        Err(_elapsed) => Err(Some(CloseCode::TooSlow)),
    }
}

fn code_of_fault(fault: &ProtocolError) -> CloseCode {
    match fault {
        ProtocolError::Overflow => CloseCode::TooLarge,
        // The meter, or a message of many pieces; what breaks the line itself hears no code.
        ProtocolError::Io(error) if error.kind() == std::io::ErrorKind::Other => {
            CloseCode::TooLarge
        }
        _ => CloseCode::BadFrame,
    }
}
