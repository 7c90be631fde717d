//! Counting problem documents (RFC 9457) by their type, both the host's and the component's.

use crate::guest::{Body, BrokenOff};
use crate::problem::Problem;
use crate::telemetry::Metrics;
use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body::Body as _;
use http_body_util::BodyExt;
use serde::Deserialize;

/// A longer problem document is not read for its type.
const MAX_PROBLEM_BYTES: u64 = 8 * 1024;

/// The type of a problem document that names none (RFC 9457, 4.2.1).
const NO_TYPE: &str = "about:blank";

/// Counts `response`, a problem document, in `metrics`. Returns it, or an internal error if its body breaks off.
pub(super) async fn count_problem(metrics: &Metrics, response: Response<Body>) -> Response<Body> {
    let (response, document) = match collect(response).await {
        Ok(collected) => collected,
        // Nothing of it was sent yet, so that another answer can be given.
        Err(BrokenOff) => collect(Problem::Internal.into())
            .await
            .expect("the host's own answers do not break off"),
    };
    metrics.problem(&problem_type(&document));
    response
}

/// Whether `response` is a problem document short enough to be collected.
pub(super) fn is_problem(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let content_type = headers.get(CONTENT_TYPE);
    if content_type.is_none_or(|content_type| content_type != "application/problem+json") {
        return false;
    }
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    // The body of an answer of the host's own knows its length.
    let length = length.or_else(|| response.body().size_hint().exact());
    length.is_some_and(|length| length <= MAX_PROBLEM_BYTES)
}

/// The response with its body in memory, and that body.
async fn collect(response: Response<Body>) -> Result<(Response<Body>, Bytes), BrokenOff> {
    let (parts, body) = response.into_parts();
    let document = body.collect().await?.to_bytes();
    let body = Body::full(document.clone());
    Ok((Response::from_parts(parts, body), document))
}

fn problem_type(document: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Document {
        r#type: String,
    }

    match serde_json::from_slice::<Document>(document) {
        Ok(document) => document.r#type,
        Err(_) => NO_TYPE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Format;
    use futures_util::FutureExt;
    use http::HeaderValue;

    fn response(content_type: &'static str, body: &str) -> Response<Body> {
        let mut response = Response::new(Body::full(Bytes::from(body.to_owned())));
        let content_type = HeaderValue::from_static(content_type);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }

    /// What is counted of a problem document with this body.
    fn counted(body: &str) -> String {
        let metrics = Metrics::new("host", "1", "1");
        let response = response("application/problem+json", body);
        let response = count_problem(&metrics, response).now_or_never().unwrap();
        let passed_on = response.into_body().collect().now_or_never().unwrap();
        assert_eq!(passed_on.unwrap().to_bytes(), body, "the body is passed on");
        let text = metrics.encode(Format::Prometheus);
        text.lines()
            .filter(|line| line.starts_with("host_problems_total{"))
            .collect()
    }

    #[test]
    fn problem_documents_are_counted_by_type() {
        let typed = "host_problems_total{type=\"/problems/x\"} 1";
        assert_eq!(counted("{\"type\":\"/problems/x\"}"), typed);
        let untyped = "host_problems_total{type=\"about:blank\"} 1";
        assert_eq!(counted("{}"), untyped);
        assert_eq!(counted("not JSON"), untyped);
    }

    #[test]
    fn other_and_long_documents_are_not_counted() {
        let long = " ".repeat(MAX_PROBLEM_BYTES as usize);
        assert!(is_problem(&response("application/problem+json", &long)));
        let longer = format!("{long} ");
        assert!(!is_problem(&response("application/problem+json", &longer)));
        assert!(!is_problem(&response("application/json", "{}")));
    }
}
