//! How the work on a request ended: one record for each request, written by the part that notices first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What can end the work on a request early. Each is a bit of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ending {
    /// The request body had more bytes than the limit.
    BodyTooLarge = 1,
    /// The request body did not arrive in time.
    BodyTooSlow = 2,
    /// The component did not finish in time.
    TimedOut = 4,
    /// The component trapped.
    Trapped = 8,
    /// The component returned and left the response body unfinished.
    Unfinished = 16,
}

impl Ending {
    /// Faults of the request first.
    const ALL: [Self; 5] = [
        Self::BodyTooLarge,
        Self::BodyTooSlow,
        Self::TimedOut,
        Self::Trapped,
        Self::Unfinished,
    ];
}

/// The bit that says that the client was asked for the body, which it sends only then.
const ASKED: u8 = 32;

/// The record. Clones are the same record; empty as long as nothing went wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome(Arc<AtomicU8>);

impl Outcome {
    pub fn record(&self, ending: Ending) {
        // Release: a reader of it also sees what the component had written before.
        self.0.fetch_or(ending as u8, Ordering::Release);
    }

    /// The client was asked for the body.
    pub fn ask(&self) {
        self.0.fetch_or(ASKED, Ordering::Relaxed);
    }

    pub fn was_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed) & ASKED != 0
    }

    /// What ended the work early, if anything did. A fault of the request comes first: a component that traps because its
    /// request body broke off is not at fault.
    pub fn ending(&self) -> Option<Ending> {
        Ending::ALL.into_iter().find(|ending| self.has(*ending))
    }

    /// Whether the component did not come to the end of its work, so that the response body is not whole.
    pub fn is_cut_off(&self) -> bool {
        const CUT_OFF: u8 =
            Ending::TimedOut as u8 | Ending::Trapped as u8 | Ending::Unfinished as u8;
        self.0.load(Ordering::Acquire) & CUT_OFF != 0
    }

    fn has(&self, ending: Ending) -> bool {
        self.0.load(Ordering::Acquire) & ending as u8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_at_fault_before_the_component() {
        let outcome = Outcome::default();
        assert_eq!(outcome.ending(), None);
        outcome.record(Ending::Trapped);
        assert_eq!(outcome.ending(), Some(Ending::Trapped));
        outcome.record(Ending::BodyTooLarge);
        assert_eq!(outcome.ending(), Some(Ending::BodyTooLarge));
    }

    #[test]
    fn only_the_component_cuts_off_a_response() {
        for (ending, is_cut_off) in [
            (Ending::BodyTooLarge, false),
            (Ending::BodyTooSlow, false),
            (Ending::TimedOut, true),
            (Ending::Trapped, true),
            (Ending::Unfinished, true),
        ] {
            let outcome = Outcome::default();
            outcome.clone().record(ending);
            assert_eq!(outcome.is_cut_off(), is_cut_off, "{ending:?}");
        }
    }
}
