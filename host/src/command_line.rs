//! Reads the command line and the environment.

use crate::failure::usage;
use crate::options::Options;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, CommandFactory, FromArgMatches};
use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};

/// Reads the command line and the environment. `None` if only a text was asked for (`--help`, `--version`), which is
/// printed.
///
/// # Errors
/// If an option is wrong: one line that names it.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<Option<Options>> {
    let command = Options::command().mut_args(without_empty_variable);
    let matches = command.try_get_matches_from(arguments);
    match matches.and_then(|matches| Options::from_arg_matches(&matches)) {
        Ok(options) => Ok(Some(options)),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                // Standard output may be closed.
                let _ = write!(io::stdout(), "{error}");
                Ok(None)
            }
            _ => Err(usage(one_line(&error))),
        },
    }
}

/// The error of an option whose value cannot be used.
pub fn bad_option(option: &str, reason: impl Display) -> anyhow::Error {
    usage(format!("{}: {reason}", source(option)))
}

/// Where the value of `option` comes from: the option itself (`--listen`), or its environment variable.
pub fn source(option: &str) -> String {
    let is_given = env::args_os().any(|argument| {
        let rest = argument.to_str().and_then(|text| text.strip_prefix(option));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    });
    let command = Options::command();
    let variable = command
        .get_arguments()
        .find(|argument| argument.get_long() == option.strip_prefix("--"))
        .and_then(Arg::get_env)
        .filter(|variable| env::var_os(variable).is_some_and(|value| !value.is_empty()));
    match variable {
        Some(variable) if !is_given => variable.to_string_lossy().into_owned(),
        _ => option.to_owned(),
    }
}

/// Without its environment variable, if that is empty: an orchestrator sets what it has no value for to nothing.
fn without_empty_variable(argument: Arg) -> Arg {
    match argument.get_env().and_then(env::var_os) {
        Some(value) if value.is_empty() => argument.env(None::<&str>),
        _ => argument,
    }
}

/// The first paragraph of clap's message: what follows are hints and the usage. It names the variable that a wrong value
/// comes from.
fn one_line(error: &clap::Error) -> String {
    let message = error.to_string();
    let paragraph = message.trim().split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let line = words.join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return line.to_owned();
    };
    // As in `--listen <ADDR>`.
    let option = argument.split(' ').next().unwrap_or_default();
    match source(option) {
        source if source == option => line.to_owned(),
        source => format!("{source}: {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> anyhow::Result<Option<Options>> {
        parse(
            format!("birthday-host {line}")
                .split(' ')
                .map(OsString::from),
        )
    }

    #[track_caller]
    fn check_refused(line: &str, message: &str) {
        assert_eq!(parse_line(line).unwrap_err().to_string(), message);
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        check_refused("--nonsense", "unexpected argument '--nonsense' found");
        check_refused(
            "--listen here",
            "invalid value 'here' for '--listen <ADDR>': expected an address such as 127.0.0.1:3000, \
             or 0.0.0.0:3000 for every interface",
        );
        check_refused(
            "--request-timeout 0s",
            "invalid value '0s' for '--request-timeout <DURATION>': must be greater than 0",
        );
        check_refused(
            "--memory-limit much",
            "invalid value 'much' for '--memory-limit <SIZE>': expected a size such as 64KiB, 10MB or 1GiB",
        );
    }
}
