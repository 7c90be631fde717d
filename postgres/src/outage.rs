//! Whether a database is unreachable: each outage is logged once, and so is its end.

use crate::error::Error;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Answers within this time of the begin were sent before the connection broke, and do not end the outage.
const AFTERMATH: Duration = Duration::from_secs(1);

pub struct Outage {
    name: String,
    is_on: AtomicBool,
    /// When it began or ended last.
    since: Mutex<Instant>,
}

impl Outage {
    /// No outage yet, of the database that the log calls `name`.
    pub fn new(name: String) -> Self {
        Self {
            name,
            is_on: AtomicBool::new(false),
            since: Mutex::new(Instant::now()),
        }
    }

    /// An attempt to connect that began at `attempted` failed, or a connection broke then.
    pub fn begin(&self, attempted: Instant, reason: &str) {
        let mut since = self.since.lock();
        // An attempt from before the end of the last outage tells nothing new.
        if attempted >= *since && !self.is_on.swap(true, Ordering::Relaxed) {
            *since = Instant::now();
            tracing::warn!("postgres {}: out of reach: {reason}", self.name);
        }
    }

    /// A new connection was made.
    pub fn end(&self) {
        if self.is_on.load(Ordering::Relaxed) {
            let mut since = self.since.lock();
            if self.is_on.swap(false, Ordering::Relaxed) {
                *since = Instant::now();
                tracing::info!("postgres {}: back", self.name);
            }
        }
    }

    /// A statement was answered. Costs one comparison where there is no outage.
    fn end_if_over(&self) {
        if self.is_on.load(Ordering::Relaxed) && self.since.lock().elapsed() > AFTERMATH {
            self.end();
        }
    }

    /// Learns from how a statement went.
    pub fn observe<T>(&self, result: &Result<T, Error>) {
        match result {
            Ok(_) => self.end_if_over(),
            Err(Error::Lost(reason)) => self.begin(Instant::now(), reason),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_from_before_the_end_does_not_begin_another_outage() {
        let outage = Outage::new(String::new());
        let first = Instant::now();
        outage.begin(first, "");
        assert!(outage.is_on.load(Ordering::Relaxed));
        outage.end();
        outage.begin(first, "");
        assert!(!outage.is_on.load(Ordering::Relaxed));
        outage.begin(Instant::now(), "");
        assert!(outage.is_on.load(Ordering::Relaxed));
    }

    #[test]
    fn an_answer_right_after_the_begin_does_not_end_it() {
        let outage = Outage::new(String::new());
        outage.observe::<()>(&Err(Error::Lost(String::new())));
        outage.observe(&Ok(()));
        assert!(outage.is_on.load(Ordering::Relaxed));
    }
}
