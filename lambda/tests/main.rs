//! The program as Lambda runs it: a process that asks the runtime interface for events, here one of the test.
#![expect(
    clippy::unwrap_used,
    reason = "in a test, what is not there is a failure"
)]

mod accounts;
mod answers;
mod events;
mod jobs;
mod lifecycle;
mod platform;
mod starts;
