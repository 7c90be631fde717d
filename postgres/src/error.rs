//! What can go wrong with a statement.

use crate::answer::{MAX_ANSWER_BYTES, ROW_TOO_LARGE};
use std::error::Error as StdError;
use std::fmt;
use tokio_postgres::error::{DbError, Severity, SqlState};

/// Why a statement gave no answer, or a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none that the driver understands.
    #[error("{0}")]
    BadAddress(String),
    /// The address names a server that may not be connected to.
    #[error("{0}")]
    NotPermitted(String),
    /// The database cannot be reached. The statement was not run. The outage has been logged.
    #[error("{0}")]
    Unreachable(String),
    /// The statement was not run.
    #[error("{0}")]
    NotRun(String),
    /// The connection broke. The statement may or may not have been run. The outage has been logged.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The server refused the statement, which had no effect.
    #[error("{0}")]
    Database(Box<DbError>),
    /// There are more or fewer parameters than the statement has, or one cannot be encoded. The statement was not run.
    #[error("{0}")]
    BadParameter(String),
    /// The statement has more types, with those within types, than the server is asked for. The statement was not run.
    #[error("the statement has too many types")]
    TooManyTypes,
    /// The answer is larger than [`MAX_ANSWER_BYTES`]. The statement was run.
    #[error("the answer has more than {MAX_ANSWER_BYTES} bytes")]
    AnswerTooLarge,
    /// All answers together take more than they may ([`Options::answer_memory`](crate::Options)). The statement was run.
    #[error("all answers together take more than they may")]
    TooManyAnswers,
    /// The driver failed. The statement may or may not have been run.
    #[error("{0}")]
    Driver(String),
}

impl Error {
    /// Whether the server refused the statement, so that it had no effect. Other errors come from this side, and the server
    /// does not know of them.
    pub(crate) fn is_of_server(&self) -> bool {
        matches!(self, Self::Database(_))
    }

    /// Whether the server has rolled the statement back, with the transaction that it was, because of another transaction.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Database(error) if *error.code() == SqlState::T_R_SERIALIZATION_FAILURE)
    }

    /// Whether the rest of an answer has not been read.
    pub(crate) fn leaves_answer(&self) -> bool {
        matches!(self, Self::AnswerTooLarge | Self::TooManyAnswers)
    }

    /// Why it is unknown what became of a statement, if it is.
    pub(crate) fn doubt(&self) -> Option<&str> {
        match self {
            Self::Lost(reason) | Self::Driver(reason) => Some(reason),
            _ => None,
        }
    }

    /// What `error` of the driver means on a connection that is closed, or is not.
    pub(crate) fn of_driver(error: &tokio_postgres::Error, is_closed: bool) -> Self {
        if let Some(error) = error.as_db_error() {
            return Self::of_server(error);
        }
        let source = error.source();
        if let Some(NotEncoded(reason)) = source.and_then(|source| source.downcast_ref()) {
            return Self::BadParameter(reason.clone());
        }
        let reason = chain(error);
        if error.is_closed()
            || is_closed
            || source.is_some_and(|source| source.is::<std::io::Error>())
        {
            Self::Lost(reason)
        } else {
            Self::Driver(reason)
        }
    }

    fn of_server(error: &DbError) -> Self {
        if error.routine() == Some(ROW_TOO_LARGE) {
            return Self::AnswerTooLarge;
        }
        // admin_shutdown, crash_shutdown, cannot_connect_now: the server goes, and the connection with it.
        let is_going = error.code().code().starts_with("57P");
        let is_end = match error.parsed_severity() {
            Some(severity) => matches!(severity, Severity::Fatal | Severity::Panic),
            // pgbouncer says it in its own words only, which are English.
            None => matches!(error.severity(), "FATAL" | "PANIC"),
        };
        if is_end || is_going {
            Self::Lost(error.message().to_owned())
        } else {
            Self::Database(Box::new(error.clone()))
        }
    }
}

/// A parameter that could not be encoded, and why.
#[derive(Debug)]
pub(crate) struct NotEncoded(pub String);

impl fmt::Display for NotEncoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for NotEncoded {}

/// An error and its causes in one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some errors repeat their cause.
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}
