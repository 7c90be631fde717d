//! The log of the component: standard error.

use std::io::{self, Write};

/// Writes `line` in one piece. With `eprintln!` each part of a text is a write of its own, and in a runtime that gives all
/// instances one log, lines of concurrent requests run into each other.
pub fn log(line: &str) {
    // There is nobody else to tell.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Whether the runtime has logged `reason` already: our host logs an outage of a store once, and marks the reason. Other hosts do
/// not log it.
pub fn is_logged(reason: &str) -> bool {
    reason.starts_with("logged by the host")
}
