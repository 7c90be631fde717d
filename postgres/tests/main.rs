//! The library against a real PostgreSQL.
#![expect(
    clippy::unwrap_used,
    reason = "in a test, what is not there is a failure"
)]

mod classification;
mod client_certificates;
mod conflicts;
mod dedicated;
mod group_commit;
mod hostile;
mod loss;
mod passwords;
mod shared;
mod standby;
mod support;
mod tls;
