//! The tests of the host as a whole: the program as a process, and the library with a clock of its own.
#![expect(
    clippy::unwrap_used,
    reason = "in a test, what is not there is a failure"
)]

mod calls;
mod credentials;
mod days;
mod durability;
mod edge;
mod egress;
mod embedding;
mod guest;
#[expect(dead_code, reason = "the attacks use the rest")]
mod http2;
mod lifecycle;
mod limits;
mod logs;
mod operations;
mod postgres;
mod resources;
mod rolling;
mod settings;
mod stores;
mod streams;
mod support;
mod tls;
mod traces;
mod wire;
