//! Whether a store over the network works: each outage is logged once, and so is its end.

use super::error::KeyValueError;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Successes within this time of a failure do not end an outage, so that a store of which every second operation fails has a
/// line each second at most.
const AFTERMATH: Duration = Duration::from_secs(1);

/// The longest reason that is logged, in bytes: a server chooses its text.
const MAX_REASON: usize = 300;

/// What is wrong with a store. Of each kind there is one line in an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be reached, or does not answer.
    OutOfReach,
    /// It refuses the credentials, or there are none.
    Credentials,
    /// The credentials do not allow what is asked.
    Denied,
    /// It is not set up: there is no table, or no region.
    Setup,
    /// It takes no writes.
    ReadOnly,
    /// It cannot do so much at a time, or has no room.
    Busy,
    /// It answers with an error of its own.
    Broken,
}

/// What was asked of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// Why the store did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub fault: Fault,
    reason: String,
}

impl Failure {
    /// `reason` is for the log: the first line of it, and not all of a long one. It should have no secret.
    pub fn new(fault: Fault, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        let line = reason.lines().next().unwrap_or_default().len();
        reason.truncate(reason.floor_char_boundary(line.min(MAX_REASON)));
        Self { fault, reason }
    }

    /// The store cannot be reached.
    pub fn out_of_reach(reason: impl std::fmt::Display) -> Self {
        Self::new(Fault::OutOfReach, format!("out of reach: {reason}"))
    }
}

/// Why an operation did not succeed.
#[derive(Debug)]
pub enum Cause {
    /// The store is out of order.
    Store(Failure),
    /// The store works, but this call makes no sense.
    Call(KeyValueError),
}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        Self::Store(failure)
    }
}

pub struct Outage {
    name: String,
    is_on: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// What has failed, and has not succeeded since.
    failing: Vec<(Fault, Access)>,
    logged: Vec<Fault>,
    /// When something failed last.
    failed: Instant,
    /// When the last outage ended.
    ended: Instant,
}

impl Outage {
    /// No outage yet, of the store that the log calls `name`.
    pub fn new(name: String) -> Self {
        let now = Instant::now();
        Self {
            name,
            is_on: AtomicBool::new(false),
            state: Mutex::new(State {
                failing: Vec::new(),
                logged: Vec::new(),
                failed: now,
                ended: now,
            }),
        }
    }

    /// Learns from how an operation that began at `began` went. Returns what the component is told.
    pub fn observe<T>(
        &self,
        began: Instant,
        access: Access,
        result: Result<T, Cause>,
    ) -> Result<T, KeyValueError> {
        match result {
            Ok(value) => {
                self.end(access);
                Ok(value)
            }
            Err(Cause::Store(failure)) => {
                self.begin(began, access, &failure);
                Err(KeyValueError::Unavailable(failure.reason))
            }
            Err(Cause::Call(error)) => Err(error),
        }
    }

    fn begin(&self, began: Instant, access: Access, failure: &Failure) {
        let mut state = self.state.lock();
        // An operation from before the end of the last outage tells nothing new.
        if began >= state.ended {
            self.is_on.store(true, Ordering::Relaxed);
            state.failed = Instant::now();
            if !state.failing.contains(&(failure.fault, access)) {
                state.failing.push((failure.fault, access));
            }
            if !state.logged.contains(&failure.fault) {
                state.logged.push(failure.fault);
                tracing::warn!("key-value {}: {}", self.name, failure.reason);
            }
        }
    }

    /// An operation succeeded. Costs one comparison where there is no outage.
    fn end(&self, access: Access) {
        if !self.is_on.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state.lock();
        if state.failed.elapsed() < AFTERMATH {
            return;
        }
        // Whoever can read may not be able to write, and the other way round. But the store is within reach.
        let is_over = |fault, of| of == access || fault == Fault::OutOfReach;
        state.failing.retain(|(fault, of)| !is_over(*fault, *of));
        if state.failing.is_empty() && self.is_on.swap(false, Ordering::Relaxed) {
            state.logged.clear();
            state.ended = Instant::now();
            tracing::info!("key-value {}: back", self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outage() -> Outage {
        Outage::new("test".to_owned())
    }

    fn failure(fault: Fault) -> Failure {
        Failure::new(fault, "as asked")
    }

    fn is_on(outage: &Outage) -> bool {
        outage.is_on.load(Ordering::Relaxed)
    }

    /// As if nothing had failed for a while.
    fn wait(outage: &Outage) {
        outage.state.lock().failed -= 2 * AFTERMATH;
    }

    #[test]
    fn a_success_right_after_a_failure_does_not_end_it() {
        let outage = outage();
        outage.begin(Instant::now(), Access::Read, &failure(Fault::OutOfReach));
        outage.end(Access::Read);
        assert!(is_on(&outage));
        wait(&outage);
        outage.end(Access::Read);
        assert!(!is_on(&outage));
    }

    #[test]
    fn a_store_that_can_only_be_read_is_not_back() {
        let outage = outage();
        outage.begin(Instant::now(), Access::Write, &failure(Fault::ReadOnly));
        wait(&outage);
        outage.end(Access::Read);
        assert!(is_on(&outage));
        outage.end(Access::Write);
        assert!(!is_on(&outage));
    }

    #[test]
    fn a_read_shows_that_it_is_within_reach() {
        let outage = outage();
        outage.begin(Instant::now(), Access::Write, &failure(Fault::OutOfReach));
        wait(&outage);
        outage.end(Access::Read);
        assert!(!is_on(&outage));
    }

    #[test]
    fn an_operation_from_before_the_end_does_not_begin_another_outage() {
        let outage = outage();
        let first = Instant::now();
        outage.begin(first, Access::Read, &failure(Fault::OutOfReach));
        wait(&outage);
        outage.end(Access::Read);
        outage.begin(first, Access::Read, &failure(Fault::OutOfReach));
        assert!(!is_on(&outage));
    }

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        let long = format!("{}\nsecond", "ü".repeat(MAX_REASON));
        let reason = Failure::new(Fault::Broken, long).reason;
        assert_eq!(reason, "ü".repeat(MAX_REASON / 2));
    }
}
