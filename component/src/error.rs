//! All errors, and the one mapping to statuses and problem documents.

use crate::response::Response;
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
    Unauthorized,
    UnknownUser,
    NotFound,
    /// The methods that the path has, as in `Allow` (RFC 9110, 10.2.1).
    MethodNotAllowed(&'static str),
    /// Nothing was changed.
    StoreUnavailable,
    /// The store failed during a change, which it may have made or not.
    OutcomeUnknown,
    /// A variable of the runtime has an invalid value.
    Misconfigured,
    Internal,
}

/// A problem document (RFC 9457).
#[derive(Serialize)]
struct Problem {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
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
        Problem {
            r#type,
            title,
            status,
            detail,
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
            Error::StoreUnavailable | Error::OutcomeUnknown => response
                .with_header("retry-after", RETRY_AFTER_SECONDS)
                .with_header("cache-control", "no-store"),
            Error::Misconfigured => response.with_header("cache-control", "no-store"),
            _ => response,
        }
    }
}
