//! What requests and connections may take, and slots: how many of something there may be at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What one request, and all of them together, may take.
///
/// ```
/// # use http_component_runtime::Limits;
/// let limits = Limits { max_body: 4096, max_in_flight: 100, ..Limits::default() };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From when the component gets the request to the end of its work for it.
    pub request_timeout: Duration,
    /// The same for a request to a route that streams, whose body may have any length.
    pub stream_timeout: Duration,
    /// The most requests in flight at a time; more are answered 503 at once.
    pub max_in_flight: usize,
    /// The linear memory of one instance, in bytes.
    pub memory: usize,
    /// That of all instances together, in bytes, where they take more than 2 MiB each.
    pub all_memory: usize,
    /// The longest request body, in bytes.
    pub max_body: u64,
    /// From the request's head to the end of its body, where the component reads it.
    pub body_timeout: Duration,
    /// The bytes that requests may hold together while their bodies arrive. If there are more, the request that has waited
    /// longest is answered 503.
    pub waiting_memory: usize,
}

impl Limits {
    /// Those of a request to a route that streams. How much of its body there is in memory does not depend on its length, and
    /// a caller that is silent is noticed by its connection. The beginning of the body has no more time than any other: by then
    /// nobody has seen who sends it.
    pub(crate) fn streaming(self) -> Self {
        Self {
            request_timeout: self.stream_timeout,
            max_body: u64::MAX,
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(10),
            stream_timeout: Duration::from_secs(15 * 60),
            max_in_flight: 1024,
            memory: 64 * 1024 * 1024,
            all_memory: 512 * 1024 * 1024,
            max_body: 1024 * 1024,
            body_timeout: Duration::from_secs(5),
            waiting_memory: 64 * 1024 * 1024,
        }
    }
}

/// What connections may take.
///
/// ```
/// # use http_component_runtime::ConnectionLimits;
/// let limits = ConnectionLimits {
///     max_connections_per_address: Some(64),
///     ..ConnectionLimits::default()
/// };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// How long the head of a request may take, from its first byte on; and a TLS handshake.
    pub header_timeout: Duration,
    /// How long a connection may stay open without a request.
    pub idle_timeout: Duration,
    /// How long a connection with a request in flight may go without a byte in either direction.
    pub stall_timeout: Duration,
    /// The most open connections. Where there is one more, the one that has been idle longest is closed; if none is idle,
    /// the new one.
    pub max_connections: usize,
    /// The most open connections from one address; more are closed at once.
    pub max_connections_per_address: Option<usize>,
    /// The bytes that connections may hold together; see `max_connections` for what happens where they would be more.
    pub memory: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(85),
            max_connections: 8192,
            max_connections_per_address: None,
            memory: 256 * 1024 * 1024,
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

    /// No slot, to which some can be added.
    pub fn none(&self) -> Slot {
        Slot {
            counter: self.0.clone(),
            count: 0,
        }
    }

    /// A free slot, if there is one.
    pub fn take(&self) -> Option<Slot> {
        self.take_many(1)
    }

    /// So many slots as one, if there are so many.
    pub fn take_many(&self, count: usize) -> Option<Slot> {
        // Counted first: if it is too much, dropping it takes it back.
        let slot = Slot {
            counter: self.0.clone(),
            count,
        };
        let used = slot.counter.used.fetch_add(count, Ordering::Relaxed);
        (used.saturating_add(count) <= slot.counter.max).then_some(slot)
    }
}

/// A slot in use, or many, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    counter: Arc<Counter>,
    count: usize,
}

impl Slot {
    /// Whether more than half of all slots are in use.
    pub fn is_scarce(&self) -> bool {
        self.counter.used.load(Ordering::Relaxed) > self.counter.max / 2
    }

    /// Takes so many more, if there are so many.
    pub fn add(&mut self, count: usize) -> bool {
        let slots = Slots(self.counter.clone());
        match slots.take_many(count) {
            Some(mut more) => {
                self.count += std::mem::take(&mut more.count);
                true
            }
            None => false,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.counter.used.fetch_sub(self.count, Ordering::Relaxed);
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

    #[test]
    fn many_slots_are_taken_together_or_not_at_all() {
        let slots = Slots::new(10);
        let many = slots.take_many(8);
        assert!(many.is_some());
        assert!(slots.take_many(3).is_none());
        assert!(slots.take_many(2).is_some());
        drop(many);
        let mut growing = slots.none();
        assert!(growing.add(4) && !growing.is_scarce());
        assert!(growing.add(6) && growing.is_scarce());
        assert!(!growing.add(1));
        drop(growing);
        assert!(slots.take_many(10).is_some());
    }
}
