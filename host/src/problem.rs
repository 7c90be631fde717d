//! What the host itself answers where no component could: problem documents (RFC 9457).

use crate::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

/// Why a request got no answer from the component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The request is not one that a component can be asked.
    BadRequest,
    /// The body has more bytes than the host passes on.
    BodyTooLarge,
    /// The body took too long to come.
    BodyTooSlow,
    /// The component trapped, or ended without an answer.
    Internal,
    /// As many requests as may be are under way.
    Overloaded,
    /// The component took too long.
    Timeout,
}

/// Seconds after which a refused caller may come again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

impl Problem {
    fn parts(self) -> (StatusCode, &'static str, &'static str, &'static str) {
        match self {
            Self::BadRequest => (
                StatusCode::BAD_REQUEST,
                "bad-request",
                "The request is not valid",
                "A request has one Host header, and a valid one.",
            ),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "The request body is too large",
                "The request body has more bytes than this server takes.",
            ),
            Self::BodyTooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "body-too-slow",
                "The request body took too long",
                "The request body did not come to its end in time.",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "The service failed",
                "The request could not be answered; the log of the service says why.",
            ),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "The service is busy",
                "As many requests as the service takes are under way. Try again in a moment.",
            ),
            Self::Timeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "timeout",
                "The service took too long",
                "The request was not answered in time, and was given up.",
            ),
        }
    }
}

impl From<Problem> for Response<Body> {
    fn from(problem: Problem) -> Self {
        let (status, name, title, detail) = problem.parts();
        let document = serde_json::json!({
            "type": format!("/problems/{name}"),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
        });
        let mut response = Self::new(Body::full(Bytes::from(document.to_string())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if problem == Problem::Overloaded {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}
