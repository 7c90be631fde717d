//! How a future is run to its end: by `wasi:io/poll`, in one task.
//!
//! Every future is polled again when anything has happened. There are never more than a few.

use crate::bindings::monotonic_clock::subscribe_duration;
use crate::bindings::poll::{self, Pollable};
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

thread_local! {
    /// What the future that is being run waits for. It does not keep an event: a stream may not end before its events, and
    /// it is the future that drops both.
    static WAITING: RefCell<Vec<Weak<Pollable>>> = const { RefCell::new(Vec::new()) };
}

/// Something that happens.
pub struct Event(Rc<Pollable>);

impl Event {
    pub fn new(pollable: Pollable) -> Self {
        Self(Rc::new(pollable))
    }

    /// Has the future that is being run polled again when it has happened.
    pub fn wake(&self) {
        WAITING.with_borrow_mut(|waiting| waiting.push(Rc::downgrade(&self.0)));
    }

    fn has_happened(&self) -> bool {
        self.0.ready()
    }
}

/// Whether a future was woken.
#[derive(Default)]
pub struct Woken(AtomicBool);

impl Woken {
    /// Whether it was since the last call.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `future` for at most `limit`; `None` if it takes longer. It must not be called by a future that it runs.
pub fn run<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(within(limit, future));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    loop {
        WAITING.with_borrow_mut(Vec::clear);
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
        if !woken.take() {
            wait();
        }
    }
}

/// Waits until something has happened.
fn wait() {
    let waiting = WAITING.take();
    let events: Vec<_> = waiting.iter().filter_map(Weak::upgrade).collect();
    let events: Vec<_> = events.iter().map(|event| &**event).collect();
    // Of nothing it would be a trap. There is always the end of a limit.
    if !events.is_empty() {
        poll::poll(&events);
    }
}

/// The result of `future` if it takes at most `limit`.
pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let nanoseconds = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    let end = Event::new(subscribe_duration(nanoseconds));
    let mut future = pin!(future);
    poll_fn(|context| {
        if let Poll::Ready(result) = future.as_mut().poll(context) {
            return Poll::Ready(Some(result));
        }
        if end.has_happened() {
            return Poll::Ready(None);
        }
        end.wake();
        Poll::Pending
    })
    .await
}
