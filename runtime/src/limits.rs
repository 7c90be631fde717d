//! What requests and connections may take, and slots: how many of something there may be at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What one request, and all of them together, may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the request's head to the end of the component's work for it.
    pub request_timeout: Duration,
    /// The most requests in flight at a time; more are answered 503 at once.
    pub max_in_flight: usize,
    /// The linear memory of one instance, in bytes.
    pub memory: usize,
    /// The longest request body, in bytes.
    pub max_body: u64,
    /// From the request's head to the end of its body, where the component reads it.
    pub body_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(10),
            max_in_flight: 1024,
            memory: 64 * 1024 * 1024,
            max_body: 1024 * 1024,
            body_timeout: Duration::from_secs(5),
        }
    }
}

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// How long the head of a request may take, from its first byte on; and a TLS handshake.
    pub header_timeout: Duration,
    /// How long a connection may stay open without a request.
    pub idle_timeout: Duration,
    /// How long a connection with a request in flight may go without a byte in either direction.
    pub stall_timeout: Duration,
    /// The most open connections; more are closed at once.
    pub max_connections: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(85),
            max_connections: 8192,
        }
    }
}

/// A fixed number of slots. Clones hand out the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Slots(Arc<Counter>);

#[derive(Debug)]
struct Counter {
    used: AtomicUsize,
    max: usize,
}

impl Slots {
    pub fn new(max: usize) -> Self {
        let used = AtomicUsize::new(0);
        Self(Arc::new(Counter { used, max }))
    }

    /// A free slot, if there is one.
    pub fn take(&self) -> Option<Slot> {
        // Counted first: if it is one too many, dropping it takes it back.
        let slot = Slot(self.0.clone());
        (slot.0.used.fetch_add(1, Ordering::Relaxed) < slot.0.max).then_some(slot)
    }
}

/// A slot in use, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Counter>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.used.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_again_when_it_is_dropped() {
        let slots = Slots::new(2);
        let first = slots.take();
        let second = slots.clone().take();
        assert!(first.is_some() && second.is_some());
        assert!(slots.take().is_none());
        // The refused attempt has left no trace.
        assert!(slots.take().is_none());
        drop(first);
        assert!(slots.take().is_some());
    }
}
