//! Requests whose bodies arrive. What they hold together is bounded; the one that has waited longest is shed for a new one,
//! so that senders who are slow on purpose cannot shut out the others.

use super::request_body::AHEAD_BYTES;
use crate::limits::{Slot, Slots};
use http::HeaderMap;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What a request holds besides its head and its body: a task, and the buffer that the body was read into.
const REQUEST_BYTES: usize = 8 * 1024;

/// The requests that wait. Clones are the same ones.
#[derive(Clone)]
pub(crate) struct Waiting(Arc<Inner>);

struct Inner {
    memory: Slots,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    next_number: u64,
    entries: BTreeMap<u64, Entry>,
}

struct Entry {
    _memory: Slot,
    /// Dropped to make it leave.
    _stay: oneshot::Sender<()>,
}

/// A place among those that wait, until it is dropped.
pub(crate) struct Place {
    waiting: Waiting,
    number: u64,
    stay: oneshot::Receiver<()>,
}

impl Waiting {
    /// They may hold so many bytes together.
    pub fn new(memory: usize) -> Self {
        Self(Arc::new(Inner {
            memory: Slots::new(memory),
            queue: Mutex::default(),
        }))
    }

    /// A place for a request that holds so many bytes. `None` if there would be too many even without all others.
    pub fn enter(&self, bytes: usize) -> Option<Place> {
        let mut queue = self.0.queue.lock();
        let memory = loop {
            match self.0.memory.take_many(bytes) {
                Some(memory) => break memory,
                None => drop(queue.entries.pop_first()?),
            }
        };
        let number = queue.next_number;
        queue.next_number += 1;
        let (sender, stay) = oneshot::channel();
        let entry = Entry {
            _memory: memory,
            _stay: sender,
        };
        queue.entries.insert(number, entry);
        Some(Place {
            waiting: self.clone(),
            number,
            stay,
        })
    }
}

impl Place {
    /// Waits until another request takes the place.
    pub async fn lost(&mut self) {
        // Nothing is ever sent.
        let _ = (&mut self.stay).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.0.queue.lock().entries.remove(&self.number);
    }
}

/// What a request with these headers holds while its body of `declared` bytes arrives.
pub(crate) fn held_bytes(headers: &HeaderMap, declared: Option<u64>) -> usize {
    let head = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    let declared = declared.and_then(|length| usize::try_from(length).ok());
    let body = declared.unwrap_or(AHEAD_BYTES).min(AHEAD_BYTES);
    REQUEST_BYTES + head.sum::<usize>() + body
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn is_lost(place: &mut Place) -> bool {
        place.lost().now_or_never().is_some()
    }

    #[test]
    fn the_longest_waiting_request_is_shed() {
        let waiting = Waiting::new(3);
        let mut places = [(); 3].map(|()| waiting.enter(1).unwrap());
        assert!(places.iter_mut().all(|place| !is_lost(place)));
        let mut large = waiting.enter(2).unwrap();
        assert_eq!(places.each_mut().map(is_lost), [true, true, false]);
        assert!(!is_lost(&mut large));
    }

    #[test]
    fn a_place_that_was_given_up_is_free() {
        let waiting = Waiting::new(2);
        let mut first = waiting.enter(1).unwrap();
        drop(waiting.enter(1));
        let _third = waiting.enter(1).unwrap();
        assert!(!is_lost(&mut first));
    }

    #[test]
    fn what_is_larger_than_all_places_is_refused() {
        let waiting = Waiting::new(2);
        assert!(waiting.enter(3).is_none());
        assert!(waiting.enter(2).is_some());
    }
}
