//! How deep the types of a statement may be.
//!
//! The driver asks the server for each type that it does not know, for the types of its fields, and so on, and goes one step
//! down the stack for each. How many there are, the server says; so they are bounded here.

use crate::executor::Woken;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The most steps of the driver for the types of one statement, as in our host: a type takes one at least, a composite type two.
const MAX_STEPS: usize = 512;

/// The result of `work`, if it is woken not too often until it is there.
pub async fn in_few_steps<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    waker.wake_by_ref();
    let mut left = MAX_STEPS;
    poll_fn(|_| {
        // It is polled more often than anything has come for it.
        if !woken.take() {
            return Poll::Pending;
        }
        let Some(rest) = left.checked_sub(1) else {
            return Poll::Ready(None);
        };
        left = rest;
        let mut context = Context::from_waker(&waker);
        work.as_mut().poll(&mut context).map(Some)
    })
    .await
}
