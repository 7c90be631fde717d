//! The log of the component: standard error.

use std::io::{self, Write};

/// Writes `line` in one piece. With `eprintln!` each part of a text is a write of its own, and in a runtime that gives all
/// instances one log, lines of concurrent requests run into each other.
pub fn log(line: &str) {
    // There is nobody else to tell.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
