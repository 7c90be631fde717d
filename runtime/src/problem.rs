//! What the host itself answers where the component cannot: problem documents (RFC 9457). The one mapping of the
//! host's errors to statuses.

use crate::guest::{Body, Ending};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

/// Why a request got no answer from the component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The request has no `Host` header, more than one, or one that is no host.
    BadRequest,
    /// The body has more bytes than the host passes on.
    BodyTooLarge,
    /// The body took too long to arrive.
    BodyTooSlow,
    /// The body broke off, or is not framed as HTTP has it.
    InvalidBody,
    /// The component trapped, or ended without an answer.
    Internal,
    /// Too many requests are in flight, or wait for their bodies.
    Overloaded,
    /// The component took too long.
    Timeout,
    /// The request body has a transfer coding other than `chunked` (RFC 9112, 6.1).
    UnsupportedTransferCoding,
}

/// Seconds after which a refused client may try again.
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
                "The request body did not arrive in time.",
            ),
            Self::InvalidBody => (
                StatusCode::BAD_REQUEST,
                "invalid-body",
                "The request body is invalid",
                "The request body ended before it was complete.",
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
                "Too many requests are in flight, or this one waited too long for its body while others came. \
                 Try again in a moment.",
            ),
            Self::Timeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "timeout",
                "The service took too long",
                "The request was not answered in time, and was given up.",
            ),
            Self::UnsupportedTransferCoding => (
                StatusCode::NOT_IMPLEMENTED,
                "unsupported-transfer-coding",
                "The transfer coding is not supported",
                "Send the request body with Content-Length, or with Transfer-Encoding: chunked only.",
            ),
        }
    }
}

impl From<Ending> for Problem {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::BodyTooLarge => Self::BodyTooLarge,
            Ending::BodyTooSlow => Self::BodyTooSlow,
            Ending::TimedOut => Self::Timeout,
            Ending::Trapped | Ending::Unfinished => Self::Internal,
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

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[test]
    fn a_problem_is_a_document_with_its_own_status() {
        for (problem, status, name) in [
            (Problem::BadRequest, 400, "/problems/bad-request"),
            (Problem::BodyTooLarge, 413, "/problems/body-too-large"),
            (Problem::BodyTooSlow, 408, "/problems/body-too-slow"),
            (Problem::InvalidBody, 400, "/problems/invalid-body"),
            (Problem::Internal, 500, "/problems/internal"),
            (Problem::Overloaded, 503, "/problems/overloaded"),
            (Problem::Timeout, 504, "/problems/timeout"),
        ] {
            let response = Response::from(problem);
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
            let may_retry = response.headers().contains_key(RETRY_AFTER);
            assert_eq!(may_retry, problem == Problem::Overloaded);
            let body = futures_util::FutureExt::now_or_never(response.into_body().collect());
            let body = body.unwrap().unwrap().to_bytes();
            let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (&document["type"], &document["status"]),
                (&name.into(), &status.into())
            );
        }
    }
}
