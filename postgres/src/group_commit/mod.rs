//! Group commit: changes that come while another one is in progress wait for its end, and are then committed as one
//! transaction, so that a single commit makes all of them durable.
//!
//! A change that comes alone runs by itself over a shared connection. A transaction has a dedicated connection, and no caller
//! is told of success before its `COMMIT` has succeeded. If it fails it was rolled back: then each of its changes runs by
//! itself, and has an outcome of its own. If the connection breaks during `COMMIT` the outcome is unknown, and callers are told
//! so.
//!
//! `queue` decides which changes are committed together; `transaction` commits them.

mod queue;
mod transaction;

pub use queue::{Admitted, GroupCommit};
