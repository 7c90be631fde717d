//! Whether a database is unreachable: each outage is logged once, and so is its end.

use crate::error::Error;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Answers within this time of the begin were sent before the connection broke, and do not end the outage.
const AFTERMATH: Duration = Duration::from_secs(1);

/// For so long after the begin of an outage, requests that have sent nothing wait for its end: a pooler that is restarted
/// is back by then, and callers are still there. In a longer outage requests fail at once, so that none pile up.
pub const SHORT_OUTAGE: Duration = Duration::from_secs(3);

pub struct Outage {
    name: String,
    is_on: AtomicBool,
    was_reached: AtomicBool,
    /// A statement was lost in it. A new connection does not end it then, because a pooler takes connections while its server is
    /// away; an answer does.
    has_lost: AtomicBool,
    /// When it began or ended last.
    since: Mutex<Instant>,
}

impl Outage {
    /// No outage yet, of the database that the log calls `name`.
    pub fn new(name: String) -> Self {
        Self {
            name,
            is_on: AtomicBool::new(false),
            was_reached: AtomicBool::new(false),
            has_lost: AtomicBool::new(false),
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
    pub fn connected(&self) {
        self.was_reached.store(true, Ordering::Relaxed);
        if !self.has_lost.load(Ordering::Relaxed) {
            self.end();
        }
    }

    fn end(&self) {
        if self.is_on.load(Ordering::Relaxed) {
            let mut since = self.since.lock();
            if self.is_on.swap(false, Ordering::Relaxed) {
                self.has_lost.store(false, Ordering::Relaxed);
                *since = Instant::now();
                tracing::info!("postgres {}: back", self.name);
            }
        }
    }

    /// Whether an outage, if there is one, is still short at `time`. One of a database that was never reached is not: its
    /// address may be wrong.
    pub fn is_short(&self, time: Instant) -> bool {
        let is_on = self.is_on.load(Ordering::Relaxed);
        let is_new = || time.saturating_duration_since(*self.since.lock()) < SHORT_OUTAGE;
        self.was_reached.load(Ordering::Relaxed) && (!is_on || is_new())
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
            Err(Error::Lost(reason)) => {
                self.begin(Instant::now(), reason);
                self.has_lost.store(true, Ordering::Relaxed);
            }
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
        outage.connected();
        outage.begin(first, "");
        assert!(!outage.is_on.load(Ordering::Relaxed));
        outage.begin(Instant::now(), "");
        assert!(outage.is_on.load(Ordering::Relaxed));
    }

    #[test]
    fn an_outage_is_short_at_first_and_only_of_a_database_that_was_there() {
        let outage = Outage::new(String::new());
        let start = Instant::now();
        outage.begin(start, "");
        assert!(!outage.is_short(start));
        outage.connected();
        assert!(outage.is_short(start), "it is over");
        outage.begin(Instant::now(), "");
        let begun = Instant::now();
        assert!(outage.is_short(begun + SHORT_OUTAGE / 2));
        assert!(!outage.is_short(begun + SHORT_OUTAGE));
    }

    #[test]
    fn a_connection_does_not_end_an_outage_in_which_a_statement_was_lost() {
        let outage = Outage::new(String::new());
        outage.observe::<()>(&Err(Error::Lost(String::new())));
        outage.connected();
        assert!(outage.is_on.load(Ordering::Relaxed));
        *outage.since.lock() -= 2 * AFTERMATH;
        outage.observe(&Ok(()));
        assert!(!outage.is_on.load(Ordering::Relaxed));
        outage.begin(Instant::now(), "");
        outage.connected();
        assert!(!outage.is_on.load(Ordering::Relaxed));
    }

    #[test]
    fn an_answer_right_after_the_begin_does_not_end_it() {
        let outage = Outage::new(String::new());
        outage.observe::<()>(&Err(Error::Lost(String::new())));
        outage.observe(&Ok(()));
        assert!(outage.is_on.load(Ordering::Relaxed));
    }
}
