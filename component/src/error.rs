//! All errors, and the one mapping to statuses and problem documents.

use crate::lines;
use crate::populate::Counts;
use crate::response::Response;
use birthday_rule::{InvalidDate, InvalidUsername};
use serde::Serialize;

/// Why a request failed. 5xx variants carry no cause: the code that fails logs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    InvalidUsername,
    /// What is wrong with the body, for the client.
    InvalidBody(&'static str),
    InvalidDate,
    DateNotPast,
    BodyTooLarge,
    UnsupportedEncoding,
    /// The body is not of the one type that the path takes.
    UnsupportedMediaType,
    Unauthorized,
    UnknownUser,
    NotFound,
    /// There is no server to fetch people from.
    NoSource,
    /// The methods that the path has, as in `Allow` (RFC 9110, 10.2.1).
    MethodNotAllowed(&'static str),
    /// Nothing was changed.
    StoreUnavailable,
    /// The store failed during a change, which it may have made or not.
    OutcomeUnknown,
    /// Many people were to be stored, and something ended it.
    Interrupted {
        by: Interruption,
        /// What was done before.
        counts: Counts,
    },
    /// The source of people did not answer as it should. Nothing was changed.
    UpstreamFailed,
    /// A variable of the runtime has an invalid value.
    Misconfigured,
    Internal,
}

/// What ended the storing of many people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The request body broke off.
    Body,
    Store,
}

impl From<InvalidUsername> for Error {
    fn from(InvalidUsername: InvalidUsername) -> Self {
        Self::InvalidUsername
    }
}

impl From<InvalidDate> for Error {
    fn from(invalid: InvalidDate) -> Self {
        match invalid {
            InvalidDate::NoDay => Self::InvalidDate,
            InvalidDate::NotPast => Self::DateNotPast,
        }
    }
}

/// A problem document (RFC 9457).
#[derive(Serialize)]
struct Problem {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
    #[serde(flatten)]
    counts: Option<Counts>,
}

/// Seconds after which a client may try again: a store that restarts is often back by then.
const RETRY_AFTER_SECONDS: &str = "1";

impl Error {
    fn problem(self) -> Problem {
        let (status, r#type, title, detail) = match self {
            Self::InvalidUsername => (
                400,
                "/problems/invalid-username",
                "The username is not valid",
                "A username is 1 to 64 ASCII letters (A to Z, a to z), without digits, spaces or signs.",
            ),
            Self::InvalidBody(detail) => (
                400,
                "/problems/invalid-body",
                "The request body is not valid",
                detail,
            ),
            Self::InvalidDate => (
                400,
                "/problems/invalid-date",
                "The date of birth is not valid",
                "dateOfBirth is a day of the calendar from 0001-01-01 on, written as YYYY-MM-DD.",
            ),
            Self::DateNotPast => (
                400,
                "/problems/date-not-past",
                "The date of birth is not in the past",
                "dateOfBirth must be a day before today.",
            ),
            Self::BodyTooLarge => (
                413,
                "/problems/body-too-large",
                "The request body is too large",
                "The request body may have at most 4096 bytes.",
            ),
            Self::UnsupportedEncoding => (
                415,
                "/problems/unsupported-encoding",
                "The content coding is not supported",
                "Send the request body without Content-Encoding.",
            ),
            Self::UnsupportedMediaType => (
                415,
                "/problems/unsupported-media-type",
                "The content type is not supported",
                "Send people as Content-Type: application/x-ndjson, one JSON object a line; or nothing, to fetch them.",
            ),
            Self::Unauthorized => (
                401,
                "/problems/unauthorized",
                "The request is not authorized",
                "Send the service's token in the header Authorization: Bearer <token>.",
            ),
            Self::UnknownUser => (
                404,
                "/problems/unknown-user",
                "The user is not known",
                "No date of birth is stored for this username; PUT /hello/{username} stores one.",
            ),
            Self::NotFound => (
                404,
                "/problems/not-found",
                "There is nothing at this path",
                "The paths are /, /hello/{username}, /health, /docs and /openapi.json, which describes them.",
            ),
            Self::NoSource => (
                404,
                "/problems/not-found",
                "There is nothing at this path",
                "Without a body people are fetched, and populate_url, to fetch them from, is not set. Send people as application/x-ndjson.",
            ),
            Self::MethodNotAllowed(_) => (
                405,
                "/problems/method-not-allowed",
                "The path does not have this method",
                "The header Allow lists the methods that this path has.",
            ),
            Self::StoreUnavailable => (
                503,
                "/problems/store-unavailable",
                "The store does not answer",
                "Nothing was changed. Try again in a moment.",
            ),
            Self::OutcomeUnknown => (
                503,
                "/problems/store-unavailable",
                "The store does not answer",
                "It is not known whether the change was made. Send it again in a moment: twice is the same as once.",
            ),
            Self::Interrupted {
                by: Interruption::Body,
                ..
            } => (
                400,
                "/problems/invalid-body",
                "The request body is not valid",
                "The request body ended before it was complete. What was counted before is stored. Send it again: twice is the same as once.",
            ),
            Self::Interrupted {
                by: Interruption::Store,
                ..
            } => (
                503,
                "/problems/store-unavailable",
                "The store does not answer",
                "What was counted before is stored, and some of the next lines may be. Send it again in a moment: twice is the same as once.",
            ),
            Self::UpstreamFailed => (
                502,
                "/problems/upstream-failed",
                "The source of people failed",
                "The server that people are fetched from did not answer as it should; the log of the service says why. Nothing was changed.",
            ),
            Self::Misconfigured => (
                503,
                "/problems/misconfigured",
                "The service is not configured correctly",
                "A setting of the service is invalid; its log says which. The operator has to correct it.",
            ),
            Self::Internal => (
                500,
                "/problems/internal",
                "The service failed",
                "The request could not be answered; the log of the service says why.",
            ),
        };
        let counts = match self {
            Self::Interrupted { counts, .. } => Some(counts),
            _ => None,
        };
        Problem {
            r#type,
            title,
            status,
            detail,
            counts,
        }
    }
}

impl From<Error> for Response {
    fn from(error: Error) -> Self {
        let problem = error.problem();
        let response = Self::json(problem.status, "application/problem+json", &problem);
        match error {
            Error::Unauthorized => response.with_header("www-authenticate", "Bearer"),
            Error::MethodNotAllowed(allow) => response.with_header("allow", allow),
            // What could be sent instead (RFC 9110, 15.5.16).
            Error::UnsupportedEncoding => response.with_header("accept-encoding", "identity"),
            Error::UnsupportedMediaType => response.with_header("accept-post", lines::MEDIA_TYPE),
            Error::StoreUnavailable
            | Error::OutcomeUnknown
            | Error::Interrupted {
                by: Interruption::Store,
                ..
            } => response
                .with_header("retry-after", RETRY_AFTER_SECONDS)
                .with_header("cache-control", "no-store"),
            Error::Misconfigured => response.with_header("cache-control", "no-store"),
            _ => response,
        }
    }
}
