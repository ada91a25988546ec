//! Counts the bytes that come between two messages.
//!
//! The frame decoder believes the length that a frame's head names, and keeps what comes of it
//! until it is whole; only then does it compare it with the largest frame allowed. So whoever
//! announces a terabyte could fill the memory. The meter ends the stream before that.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;

use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, dev, web};
use futures_util::{Stream, StreamExt};

use crate::call::message::MESSAGE_BYTES_MAX;

/// How much may come until a message is whole: one of the largest with the head of each of its
/// pieces, and what follows it in the same read.
const UNREAD_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;

/// What has come since the last message.
#[derive(Debug, Clone, Default)]
pub struct Meter(Rc<Cell<usize>>);

impl Meter {
    /// A message is whole.
    pub fn reset(&self) {
        self.0.set(0);
    }

    /// Whether so much more is still within bounds.
    fn takes(&self, bytes: usize) -> bool {
        self.0.set(self.0.get().saturating_add(bytes));
        self.0.get() <= UNREAD_BYTES_MAX
    }
}

/// The same stream, which fails when too much comes without a message in it.
pub async fn measured(
    request: &HttpRequest,
    body: web::Payload,
) -> Result<(web::Payload, Meter), actix_web::Error> {
    let meter = Meter::default();
    let counter = meter.clone();
    let counted = body.map(move |piece| {
        piece.and_then(|piece| {
            if counter.takes(piece.len()) { Ok(piece) } else { Err(PayloadError::Overflow) }
        })
    });
    let counted: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(counted);
    let mut payload = dev::Payload::Stream { payload: counted };
    Ok((web::Payload::from_request(request, &mut payload).await?, meter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_pass_without_end_and_one_without_end_does_not() {
        let meter = Meter::default();
        for _ in 0..100 {
            assert!(meter.takes(MESSAGE_BYTES_MAX + 14));
            meter.reset();
        }
        assert!(meter.takes(MESSAGE_BYTES_MAX));
        assert!(meter.takes(MESSAGE_BYTES_MAX));
        assert!(!meter.takes(1));
    }
}
