//! The way from a room to one socket: bounded in messages and in bytes, and never waited for.
//!
//! A queue of our own, because there is one per seat and nearly all of them are empty: a channel
//! keeps two kilobytes for what may come.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::base::column::Instant;
use crate::call::event::{CloseCode, LineId};

/// How many orders may wait for a slow socket; a whole mailbox fits, so that a resume does.
pub const QUEUE_LEN_MAX: usize = 512;
/// How many bytes may wait for a slow socket.
pub const QUEUE_BYTES_MAX: usize = 512 * 1024;
/// For how many orders an empty queue keeps the space.
const SPARE_LEN_MAX: usize = 4;

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

/// What waits between a room and a socket.
#[derive(Debug, Default)]
struct Queue {
    orders: VecDeque<Order>,
    bytes: usize,
    /// Whoever waits for the next order.
    ear: Option<Waker>,
    /// One of the two ends is gone.
    is_cut: bool,
}

type Shared = Arc<Mutex<Queue>>;

fn locked(queue: &Shared) -> MutexGuard<'_, Queue> {
    // Nothing in here can panic half way.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket, as its room sees it. Dropping it tells the socket to close as too slow.
#[derive(Debug)]
pub struct Line {
    /// Its number in this process.
    pub id: LineId,
    /// When its seat was last asked to be checked.
    pub checked_at: Instant,
    queue: Shared,
}

/// The socket's end of a line.
#[derive(Debug)]
pub struct Inbox(Shared);

/// A new line; `now` is when its seat was seen to be good.
pub fn line(id: LineId, now: Instant) -> (Line, Inbox) {
    let queue = Shared::default();
    let inbox = Inbox(Arc::clone(&queue));
    (Line { id, checked_at: now, queue }, inbox)
}

impl Line {
    /// Hands an order over; `false` when too much waits already or the socket is gone.
    pub fn order(&self, order: Order) -> bool {
        let mut queue = locked(&self.queue);
        let bytes = queue.bytes.saturating_add(order.size_bytes());
        if queue.is_cut || queue.orders.len() >= QUEUE_LEN_MAX || bytes > QUEUE_BYTES_MAX {
            return false;
        }
        queue.bytes = bytes;
        queue.orders.push_back(order);
        wake(queue);
        true
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        cut(&self.queue);
    }
}

impl Inbox {
    /// The next order; `None` when the room has cut the line off.
    pub async fn next(&mut self) -> Option<Order> {
        poll_fn(|ctx| self.poll(ctx)).await
    }

    fn poll(&self, ctx: &Context<'_>) -> Poll<Option<Order>> {
        let mut queue = locked(&self.0);
        let Some(order) = queue.orders.pop_front() else {
            if queue.is_cut {
                return Poll::Ready(None);
            }
            if !queue.ear.as_ref().is_some_and(|ear| ear.will_wake(ctx.waker())) {
                queue.ear = Some(ctx.waker().clone());
            }
            return Poll::Pending;
        };
        queue.bytes = queue.bytes.saturating_sub(order.size_bytes());
        if queue.orders.is_empty() {
            queue.orders.shrink_to(SPARE_LEN_MAX);
        }
        Poll::Ready(Some(order))
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        cut(&self.0);
    }
}

fn cut(queue: &Shared) {
    let mut queue = locked(queue);
    queue.is_cut = true;
    wake(queue);
}

/// Only once the queue is free: whoever wakes wants it.
fn wake(mut queue: MutexGuard<'_, Queue>) {
    let ear = queue.ear.take();
    drop(queue);
    if let Some(ear) = ear {
        ear.wake();
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

    #[actix_web::test]
    async fn whoever_waits_hears_the_next_order_and_after_the_last_that_the_line_is_cut() {
        let (line, mut inbox) = line(1, now());
        let waiting = actix_web::rt::spawn(async move {
            (inbox.next().await.is_some(), inbox.next().await.is_some(), inbox.next().await)
        });
        actix_web::rt::task::yield_now().await;
        assert!(line.order(Order::Check));
        actix_web::rt::task::yield_now().await;
        assert!(line.order(Order::Send("bye".to_owned())));
        drop(line);
        let (first, second, third) = waiting.await.unwrap();
        assert!(first && second && third.is_none());
    }

    #[test]
    fn a_socket_that_is_gone_takes_nothing() {
        let (line, inbox) = line(1, now());
        drop(inbox);
        assert!(!line.order(Order::Check));
    }

    #[actix_web::test]
    async fn a_queue_that_was_long_gives_its_space_back() {
        let (line, mut inbox) = line(1, now());
        assert!((0..QUEUE_LEN_MAX).all(|_| line.order(Order::Check)));
        for _ in 0..QUEUE_LEN_MAX {
            assert!(inbox.next().await.is_some());
        }
        assert!(locked(&inbox.0).orders.capacity() <= SPARE_LEN_MAX);
    }
}
