//! What the host knows of a request besides the request itself.

use crate::telemetry::Span;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use std::sync::Arc;
use uuid::fmt::Simple;

/// The header that carries the id, in the request and in the response.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A longer id of a client is replaced by a new one.
const MAX_REQUEST_ID_BYTES: usize = 64;

/// The name of a request in log lines: the client's own, or a random one of 32 hexadecimal digits. It has only
/// letters, digits, `-`, `_` and `.`, so that neither a header nor JSON has to escape it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// Takes the id that the client sent, if it is one, or makes a new one; `headers` have it afterwards.
    pub fn of(headers: &mut HeaderMap) -> Self {
        if let Some(id) = headers.get(REQUEST_ID)
            && is_request_id(id.as_bytes())
        {
            return Self(id.clone());
        }
        let id = Self::random();
        id.write_to(headers);
        id
    }

    /// Not from the system's random numbers, which take a system call each: an id is no secret.
    fn random() -> Self {
        let bytes = fastrand::u128(..).to_ne_bytes();
        let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
        let mut digits = [0; Simple::LENGTH];
        id.simple().encode_lower(&mut digits);
        Self(HeaderValue::from_bytes(&digits).expect("hexadecimal digits are a header value"))
    }

    /// Sets the header.
    pub fn write_to(&self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, self.0.clone());
    }

    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("an id has only ASCII characters")
    }
}

fn is_request_id(bytes: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !bytes.is_empty() && bytes.len() <= MAX_REQUEST_ID_BYTES && bytes.iter().all(is_plain)
}

/// What is passed along with a request.
#[derive(Clone, Default)]
pub(crate) struct RequestContext {
    /// `None` for a request that the host itself makes, or that an embedding program passes in.
    pub id: Option<RequestId>,
    /// The span that what is done for the request is part of, where there are traces.
    pub span: Option<Arc<Span>>,
    /// Its route streams: it has the limits of such a route.
    pub streams: bool,
}

impl RequestContext {
    /// The id, as a field of a log line.
    pub fn request_id(&self) -> Option<&str> {
        self.id.as_ref().map(RequestId::as_str)
    }

    /// The context of the component's own work: a span of its own, which `headers` name as the parent of what
    /// the component calls.
    pub fn enter_guest(self, headers: &mut HeaderMap) -> Self {
        let span = self.span.map(|span| {
            let guest = span.guest();
            guest.inject(headers);
            Arc::new(guest)
        });
        Self { span, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[track_caller]
    fn check(sent: &str, is_kept: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_str(sent).unwrap());
        let id = RequestId::of(&mut headers);
        assert_eq!(id.as_str() == sent, is_kept, "{sent:?}");
        assert_eq!(headers[REQUEST_ID], id.as_str());
    }

    #[test]
    fn an_id_of_the_client_is_kept_if_it_is_short_and_plain() {
        for id in ["a", "A-1_b.c", &"x".repeat(MAX_REQUEST_ID_BYTES)] {
            check(id, true);
        }
        for id in [
            "",
            "a b",
            "a\"b",
            "ä",
            &"x".repeat(MAX_REQUEST_ID_BYTES + 1),
        ] {
            check(id, false);
        }
    }

    #[test]
    fn new_ids_differ_and_are_hexadecimal() {
        let [first, second] = [(); 2].map(|()| RequestId::of(&mut HeaderMap::new()));
        assert_ne!(first, second);
        assert_eq!(first.as_str().len(), 32);
        assert!(Uuid::try_parse(first.as_str()).is_ok());
    }
}
