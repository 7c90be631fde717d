//! Errors of the client library as errors of the interface.

use super::bindings::spin::postgres::postgres::{DbError, Error, QueryError};
use pipelined_postgres::Error as ClientError;
use std::error::Error as StdError;

/// What goes wrong with a value.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a parameter cannot be sent. The text is for the component.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadParameter(String);

pub fn bad_parameter(reason: String) -> BoxError {
    Box::new(BadParameter(reason))
}

/// The kind of `error`, for metrics and traces.
pub fn error_type(error: &Error) -> &'static str {
    match error {
        Error::ConnectionFailed(_) => "connection_failed",
        Error::BadParameter(_) => "bad_parameter",
        Error::QueryFailed(_) => "query_failed",
        Error::ValueConversionFailed(_) => "value_conversion_failed",
        Error::Other(_) => "other",
    }
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::BadAddress(reason) | ClientError::BadParameter(reason) => {
                Self::BadParameter(reason)
            }
            // As Spin has it, by which a component tells it from an outage.
            ClientError::NotPermitted(reason) => Self::ConnectionFailed(reason),
            ClientError::Unreachable(reason) => Self::ConnectionFailed(logged(&reason)),
            ClientError::NotRun(reason) => Self::ConnectionFailed(reason),
            ClientError::Lost(_) => Self::QueryFailed(QueryError::DbError(lost(&error))),
            ClientError::Database(error) => Self::QueryFailed(QueryError::DbError(refused(&error))),
            ClientError::Driver(reason) => Self::QueryFailed(QueryError::Text(reason)),
            ClientError::TooManyTypes
            | ClientError::AnswerTooLarge
            | ClientError::TooManyAnswers => Self::Other(error.to_string()),
        }
    }
}

/// What a component is told of an outage. It begins so, so that the component does not log the same for each request
/// (ARCHITECTURE.md, "Conventions between component and host").
fn logged(reason: &str) -> String {
    format!("logged by the host: {reason}")
}

/// A lost connection, as an error of the server's kind.
fn lost(error: &ClientError) -> DbError {
    let message = logged(&error.to_string());
    DbError {
        as_text: message.clone(),
        severity: "FATAL".to_owned(),
        // connection_failure
        code: "08006".to_owned(),
        message,
        detail: None,
        extras: Vec::new(),
    }
}

fn refused(error: &tokio_postgres::error::DbError) -> DbError {
    let line = error.line().map(|line| line.to_string());
    let extras = [
        ("hint", error.hint()),
        ("where", error.where_()),
        ("schema", error.schema()),
        ("table", error.table()),
        ("column", error.column()),
        ("datatype", error.datatype()),
        ("constraint", error.constraint()),
        ("file", error.file()),
        ("line", line.as_deref()),
        ("routine", error.routine()),
    ];
    DbError {
        as_text: error.to_string(),
        severity: error.severity().to_owned(),
        code: error.code().code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().map(ToOwned::to_owned),
        extras: extras
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect(),
    }
}
