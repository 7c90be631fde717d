//! A shared connection: statements of many sessions go over it at the same time.

use crate::link::Link;
use crate::patience::{CANCEL_PAUSE, GIVEN_UP_AFTER, MAX_CANCEL_PAUSE, MAX_CHECKS, STALLED_AFTER};
use parking_lot::Mutex;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::time::timeout;

pub struct SharedConnection {
    pub link: Link,
    /// Statements in flight, and how many of them have a caller that waits.
    in_flight: AtomicUsize,
    awaited: AtomicUsize,
    is_cancelling: AtomicBool,
    /// When the next one may be sent.
    cancel_after: Mutex<Instant>,
    /// When the last statement was answered, or the first one sent after a pause.
    last_sign: Mutex<Instant>,
    is_retired: AtomicBool,
}

impl SharedConnection {
    pub fn new(link: Link) -> Self {
        Self {
            link,
            in_flight: AtomicUsize::new(0),
            awaited: AtomicUsize::new(0),
            is_cancelling: AtomicBool::new(false),
            cancel_after: Mutex::new(Instant::now()),
            last_sign: Mutex::new(Instant::now()),
            is_retired: AtomicBool::new(false),
        }
    }

    /// Of the usable ones among `connections`, that with the fewest statements in flight.
    pub fn least_loaded(connections: impl Iterator<Item = Arc<Self>>) -> Option<Arc<Self>> {
        connections
            .filter(|connection| connection.is_usable())
            .min_by_key(|connection| connection.in_flight())
    }

    fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub fn is_usable(&self) -> bool {
        !self.link.is_closed() && !self.is_retired.load(Ordering::Relaxed)
    }

    /// Retires it if it is old.
    fn retire_if_old(&self) {
        if self.link.is_old() {
            self.retire();
        }
    }

    pub fn is_stalled(&self) -> bool {
        self.in_flight() > 0 && self.last_sign.lock().elapsed() > STALLED_AFTER
    }

    /// Takes no new statements from now on. It closes when those in flight are answered.
    pub fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
    }

    fn finish(&self) {
        self.retire_if_old();
        *self.last_sign.lock() = Instant::now();
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A statement that is being sent over a shared connection. If this is dropped before its answer, the caller has given up.
pub struct InFlight<'a> {
    connection: &'a Arc<SharedConnection>,
    is_answered: bool,
}

impl<'a> InFlight<'a> {
    pub fn new(connection: &'a Arc<SharedConnection>) -> Self {
        connection.awaited.fetch_add(1, Ordering::Relaxed);
        if connection.in_flight.fetch_add(1, Ordering::Relaxed) == 0 {
            *connection.last_sign.lock() = Instant::now();
        }
        Self {
            connection,
            is_answered: false,
        }
    }

    /// The answer has come, whatever it is.
    pub fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.connection.awaited.fetch_sub(1, Ordering::Relaxed);
        if self.is_answered {
            self.connection.finish();
        } else if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(watch_given_up(self.connection.clone()));
        }
    }
}

/// Waits for the end of a statement whose caller has given up. If that takes long (another session holds a lock, say), the
/// connection gets no more statements. Once no caller waits on it, what still runs there is cancelled, statement by
/// statement, so that connections that were given up do not pile up in the server.
async fn watch_given_up(connection: Arc<SharedConnection>) {
    let client = &connection.link.client;
    // Answered after all that was sent before.
    let mut answered = pin!(client.batch_execute(""));
    let mut patience = GIVEN_UP_AFTER;
    for _ in 0..MAX_CHECKS {
        if timeout(patience, &mut answered).await.is_ok() {
            break;
        }
        connection.retire();
        // One at a time, because two cancellations at once may hit one statement.
        if connection.awaited.load(Ordering::Relaxed) == 0
            && *connection.cancel_after.lock() <= Instant::now()
            && !connection.is_cancelling.swap(true, Ordering::Relaxed)
        {
            let cancelling = timeout(GIVEN_UP_AFTER, connection.link.cancel());
            // A server that does not take it at once takes nothing: each cancellation more would wait in its queue of
            // connections, in the way of those who ask whether it is back.
            patience = match cancelling.await {
                Ok(_) => CANCEL_PAUSE,
                Err(_) => MAX_CANCEL_PAUSE.min(patience * 2),
            };
            *connection.cancel_after.lock() = Instant::now() + patience;
            connection.is_cancelling.store(false, Ordering::Relaxed);
        }
    }
    connection.finish();
}
