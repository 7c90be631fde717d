//! The tests of the host as a whole: the program as a process, and the library with a clock of its own.
#![expect(
    clippy::unwrap_used,
    reason = "in a test, what is not there is a failure"
)]

mod days;
mod durability;
mod guest;
mod limits;
mod postgres;
mod settings;
mod support;
