//! Whether the body of a request of HTTP/1 is cut off, because its client closed its half of the connection.
//!
//! hyper reads ahead: it may see that the client sends no more when it has the end of the body, and the reader of the body
//! has not. The body is cut off only if its reader then finds nothing more.

use futures_util::task::AtomicWaker;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Waker;

/// The body is read to its end, or there is none.
const WHOLE: u8 = 0;
/// Its end has not been read.
const COMING: u8 = 1;
/// The same, and hyper has seen that the client sends no more.
const LAST_OF_CLIENT: u8 = 2;
/// Its end will not come.
const CUT_OFF: u8 = 3;

/// The body of the one request that a connection of HTTP/1 serves at a time.
pub(super) struct Receiving {
    state: AtomicU8,
    /// Of the task that reads the body.
    reader: AtomicWaker,
    /// Of the task that serves the connection.
    connection: AtomicWaker,
}

impl Receiving {
    /// Without a request.
    pub fn new() -> Self {
        Self {
            state: AtomicU8::new(WHOLE),
            reader: AtomicWaker::new(),
            connection: AtomicWaker::new(),
        }
    }

    pub fn set_coming(&self) {
        self.state.store(COMING, Ordering::Release);
    }

    pub fn set_whole(&self) {
        self.state.store(WHOLE, Ordering::Release);
    }

    /// The client sends no more, as the task of `connection` has seen. Returns whether the body may be whole; if it turns out
    /// not to be, the task is woken.
    pub fn client_ends(&self, connection: &Waker) -> bool {
        self.connection.register(connection);
        let change = |from, to| {
            self.state
                .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
        };
        match change(COMING, LAST_OF_CLIENT) {
            Ok(_) => self.reader.wake(),
            Err(CUT_OFF) => return false,
            Err(_) => {}
        }
        true
    }

    /// Whether what the reader does not find from now on will not come.
    pub fn is_last(&self) -> bool {
        self.state.load(Ordering::Acquire) >= LAST_OF_CLIENT
    }

    /// The reader found nothing; `was_last` is what `is_last` said before. Returns whether it has to look again.
    pub fn found_nothing(&self, was_last: bool, reader: &Waker) -> bool {
        if was_last {
            self.state.store(CUT_OFF, Ordering::Release);
            self.connection.wake();
            return false;
        }
        self.reader.register(reader);
        self.is_last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_cut_off_if_nothing_is_found_after_the_end_of_its_client() {
        let body = Receiving::new();
        body.set_coming();
        assert!(!body.found_nothing(body.is_last(), Waker::noop()));
        let was_last = body.is_last();
        assert!(body.client_ends(Waker::noop()), "hyper may have the rest");
        assert!(body.found_nothing(was_last, Waker::noop()), "it came since");
        assert!(!body.found_nothing(body.is_last(), Waker::noop()));
        assert!(!body.client_ends(Waker::noop()));
    }

    #[test]
    fn the_end_of_a_client_does_not_matter_to_a_body_that_is_whole() {
        let body = Receiving::new();
        body.set_coming();
        body.set_whole();
        assert!(body.client_ends(Waker::noop()) && !body.is_last());
        // The next request came with it.
        body.set_coming();
        assert!(!body.found_nothing(body.is_last(), Waker::noop()));
        assert!(body.client_ends(Waker::noop()));
    }
}
