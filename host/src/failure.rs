//! Why the program ends: any error, of which some are faults of the configuration.

use std::process::ExitCode;

/// Exit codes: as in sysexits.h if the configuration is wrong, 1 if something else fails.
const EX_USAGE: u8 = 64;
const EX_FAILURE: u8 = 1;

/// A fault of the configuration, in one line that names the option.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// The error of a configuration that `line` says is wrong.
pub fn usage(line: impl Into<String>) -> anyhow::Error {
    Usage(line.into()).into()
}

/// The exit code for `error`.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if error.is::<Usage>() {
        EX_USAGE
    } else {
        EX_FAILURE
    })
}
