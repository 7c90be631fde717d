//! The component at work.
//!
//! | module | answers |
//! |---|---|
//! | `engine` | how is wasmtime configured, and how is a component loaded? |
//! | `linker` | what may a component import? |
//! | `state` | what does the host keep for one instance? |
//! | `instance` | how is one instance made, and how does it handle a request? |
//! | `pool` | which instance handles the next request? |
//! | `concurrency` | how many requests does one thread work on at once? |
//! | `memory_limit` | how far may the memory of an instance grow? |
//! | `output` | where does what the component prints go? |
//! | `prepare` | which requests are refused, and how are the others handed over? |
//! | `waiting` | how many requests may wait for their bodies? |
//! | `request_body`, `body` | how do bodies travel to the component and back? |
//! | `outcome` | how did the work on a request end? |

mod body;
mod concurrency;
mod instance;
mod linker;
mod memory_limit;
mod outcome;
mod output;
mod pool;
mod prepare;
mod request_body;
mod state;
mod waiting;

pub mod engine;

pub(crate) use body::Guarded;
pub use body::{Body, BrokenOff};
pub(crate) use concurrency::ConcurrencyLimit;
pub(crate) use instance::{GuestResponse, Instance};
pub(crate) use linker::linker;
pub(crate) use outcome::{Ending, Outcome};
pub(crate) use pool::Pool;
pub(crate) use prepare::{declared_length, prepare, with_authority};
pub(crate) use request_body::RequestBody;
pub(crate) use state::{GuestConfig, State};
pub(crate) use waiting::{Waiting, held_bytes};
