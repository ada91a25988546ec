//! The way from a room to one socket: bounded in messages and in bytes, and never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::base::column::Instant;
use crate::call::event::{CloseCode, LineId};

/// How many orders may wait for a slow socket; a whole mailbox fits, so that a resume does.
pub const QUEUE_LEN_MAX: usize = 512;
/// How many bytes may wait for a slow socket.
pub const QUEUE_BYTES_MAX: usize = 512 * 1024;

/// What a socket is told to do.
#[derive(Debug)]
pub enum Order {
    /// Write this.
    Send(String),
    /// Ask the database whether the seat is still good.
    Check,
    /// Close; nothing after it counts.
    Close(CloseCode),
}

impl Order {
    fn size_bytes(&self) -> usize {
        match self {
            Self::Send(text) => text.len(),
            Self::Check | Self::Close(_) => 0,
        }
    }
}

/// A socket, as its room sees it. Dropping it tells the socket to close as too slow.
#[derive(Debug)]
pub struct Line {
    /// Its number in this process.
    pub id: LineId,
    /// When its seat was last asked to be checked.
    pub checked_at: Instant,
    orders: mpsc::Sender<Order>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// The socket's end of a line.
#[derive(Debug)]
pub struct Inbox {
    orders: mpsc::Receiver<Order>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// A new line; `now` is when its seat was seen to be good.
pub fn line(id: LineId, now: Instant) -> (Line, Inbox) {
    let (sender, receiver) = mpsc::channel(QUEUE_LEN_MAX);
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    let inbox = Inbox { orders: receiver, waiting_bytes: Arc::clone(&waiting_bytes) };
    (Line { id, checked_at: now, orders: sender, waiting_bytes }, inbox)
}

impl Line {
    /// Hands an order over; `false` when too much waits already or the socket is gone.
    pub fn order(&self, order: Order) -> bool {
        let size = order.size_bytes();
        let waiting = self.waiting_bytes.fetch_add(size, Ordering::Relaxed);
        waiting.saturating_add(size) <= QUEUE_BYTES_MAX && self.orders.try_send(order).is_ok()
    }
}

impl Inbox {
    /// The next order; `None` when the room has cut the line off.
    pub async fn next(&mut self) -> Option<Order> {
        let order = self.orders.recv().await?;
        self.waiting_bytes.fetch_sub(order.size_bytes(), Ordering::Relaxed);
        Some(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::mailbox::MAILBOX_LEN_MAX;

    fn now() -> Instant {
        "2026-11-24T02:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_whole_mailbox_fits_into_the_queue_of_a_socket_that_has_just_come_back() {
        let (line, _inbox) = line(1, now());
        for _ in 0..MAILBOX_LEN_MAX + 3 {
            assert!(line.order(Order::Send("x".repeat(1024))));
        }
    }

    #[test]
    fn a_socket_that_takes_nothing_is_cut_off_by_count_and_by_bytes() {
        let (many, _inbox) = line(1, now());
        let taken = (0..10_000).take_while(|_| many.order(Order::Send("x".to_owned()))).count();
        assert_eq!(taken, QUEUE_LEN_MAX);
        let (large, _inbox) = line(2, now());
        let text = "x".repeat(48 * 1024);
        let taken = (0..10_000).take_while(|_| large.order(Order::Send(text.clone()))).count();
        assert_eq!(taken, QUEUE_BYTES_MAX / text.len());
    }

    #[actix_web::test]
    async fn what_was_written_makes_room_again() {
        let (line, mut inbox) = line(1, now());
        let text = "x".repeat(60 * 1024);
        for _ in 0..100 {
            assert!(line.order(Order::Send(text.clone())));
            assert!(matches!(inbox.next().await, Some(Order::Send(_))));
        }
        drop(line);
        assert!(inbox.next().await.is_none());
    }
}
