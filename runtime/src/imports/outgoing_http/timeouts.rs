//! How long the parts of a request may take.

use std::time::Duration;
use wasmtime_wasi_http::RequestOptions;

/// Unless the component says otherwise.
const CONNECT: Duration = Duration::from_secs(5);
const FIRST_BYTE: Duration = Duration::from_secs(60);
const BETWEEN_BYTES: Duration = Duration::from_secs(60);

/// The most that a component may say, and the least: a timer of nothing never waits.
const MAX: Duration = Duration::from_secs(600);
const MIN: Duration = Duration::from_millis(1);

/// Like the options of a request in `wasi:http/types`, each with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// How long the request waits for others to the same host.
    pub connect: Duration,
    /// From then to the head of the response; `connect` is added for a new connection.
    pub first_byte: Duration,
    /// Between the parts of its body.
    pub between_bytes: Duration,
}

impl Timeouts {
    pub fn new(options: Option<RequestOptions>) -> Self {
        let options = options.unwrap_or_default();
        let or = |chosen: Option<Duration>, usual| chosen.unwrap_or(usual).clamp(MIN, MAX);
        Self {
            connect: or(options.connect_timeout, CONNECT),
            first_byte: or(options.first_byte_timeout, FIRST_BYTE),
            between_bytes: or(options.between_bytes_timeout, BETWEEN_BYTES),
        }
    }
}
