//! The request body: `{"dateOfBirth":"YYYY-MM-DD"}`.

use crate::bindings::http::{ErrorCode, IncomingBody, IncomingRequest, http_error_code};
use crate::bindings::streams::{InputStream, StreamError};
use crate::error::Error;
use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// The longest body that is read. The object needs 28 bytes; the rest is for white space and for unknown
/// fields.
const MAX_BODY_BYTES: usize = 4 * 1024;

/// So much of a body is read at a time while it arrives.
const CHUNK_BYTES: usize = 16 * 1024;

const NOT_AN_OBJECT: Error =
    Error::InvalidBody("Send one JSON object such as {\"dateOfBirth\":\"2000-10-01\"}.");
const NO_DATE: Error =
    Error::InvalidBody("The JSON object must have the field dateOfBirth, a string, exactly once.");
const ONLY_A_PART: Error = Error::InvalidBody(
    "Send the whole object, without Content-Range: a part of it cannot be stored.",
);
const NOT_READ: Error = Error::InvalidBody("The request body ended before it was complete.");

/// The whole body of `request`.
///
/// # Errors
/// [`Error::BodyTooLarge`] over [`MAX_BODY_BYTES`], [`Error::UnsupportedEncoding`] if it is compressed,
/// [`Error::InvalidBody`] if it is a part of something, or ends too early.
pub fn read(request: &IncomingRequest) -> Result<Vec<u8>, Error> {
    let mut stream = stream(request)?;
    let mut body = Vec::new();
    // Reading one byte more than is allowed shows whether the body is too large.
    while let Some(chunk) = stream.read(MAX_BODY_BYTES + 1 - body.len())? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY_BYTES {
            return Err(Error::BodyTooLarge);
        }
    }
    Ok(body)
}

/// The body of `request`, while it arrives.
///
/// # Errors
/// [`Error::UnsupportedEncoding`] if it is compressed, [`Error::InvalidBody`] if it is a part of something.
pub fn stream(request: &IncomingRequest) -> Result<BodyStream, Error> {
    let headers = request.headers();
    let is_plain = |coding: &Vec<u8>| coding.eq_ignore_ascii_case(b"identity");
    // Nearly no request has it, and an empty list costs a call into the component.
    if headers.has("content-encoding") && !headers.get("content-encoding").iter().all(is_plain) {
        return Err(Error::UnsupportedEncoding);
    }
    // RFC 9110, 14.5.
    if headers.has("content-range") {
        return Err(ONLY_A_PART);
    }
    let incoming = request.consume().map_err(|()| Error::Internal)?;
    let stream = incoming.stream().map_err(|()| Error::Internal)?;
    Ok(BodyStream {
        stream,
        _incoming: incoming,
    })
}

/// A request body that is being read. The stream is a child of the body, so it is dropped first.
pub struct BodyStream {
    stream: InputStream,
    _incoming: IncomingBody,
}

impl BodyStream {
    /// The next part of it; `None` at its end.
    ///
    /// # Errors
    /// [`Error::InvalidBody`] if it ends too early, [`Error::BodyTooLarge`] if the runtime takes no more of it.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        self.read(CHUNK_BYTES)
    }

    /// At most `max` bytes of it.
    fn read(&mut self, max: usize) -> Result<Option<Vec<u8>>, Error> {
        match self.stream.blocking_read(max as u64) {
            Ok(chunk) => Ok(Some(chunk)),
            Err(StreamError::Closed) => Ok(None),
            Err(StreamError::LastOperationFailed(error)) => Err(match http_error_code(&error) {
                Some(ErrorCode::HttpRequestBodySize(_)) => Error::BodyTooLarge,
                _ => NOT_READ,
            }),
        }
    }
}

/// The text of the field `dateOfBirth`. Other fields are ignored.
///
/// # Errors
/// [`Error::InvalidBody`] if `body` is not one JSON object (RFC 8259) in which that field is once, and is a string.
pub fn date_of_birth(body: &[u8]) -> Result<String, Error> {
    // The whole body is checked, because the parser does not check strings that it skips.
    let text = str::from_utf8(body).map_err(|_| NOT_AN_OBJECT)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let dates = deserializer
        .deserialize_map(DatesOfBirth)
        .map_err(|_| NOT_AN_OBJECT)?;
    deserializer.end().map_err(|_| NOT_AN_OBJECT)?;
    match dates {
        Fields::Once(serde_json::Value::String(date)) => Ok(date),
        _ => Err(NO_DATE),
    }
}

/// How often the object has `dateOfBirth`, and its value.
enum Fields {
    Never,
    Once(serde_json::Value),
    Twice,
}

/// Visits one JSON object. (`derive(Deserialize)` would also accept an array.)
struct DatesOfBirth;

impl<'de> Visitor<'de> for DatesOfBirth {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::Never;
        while let Some(name) = map.next_key::<String>()? {
            if name != "dateOfBirth" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value()?;
            fields = match fields {
                Fields::Never => Fields::Once(value),
                Fields::Once(_) | Fields::Twice => Fields::Twice,
            };
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Result<&str, Error>) {
        let parsed = date_of_birth(body.as_bytes());
        assert_eq!(
            parsed.as_deref().map_err(|error| *error),
            expected,
            "{body}"
        );
    }

    #[test]
    fn the_field_is_found_among_others() {
        check(r#"{"dateOfBirth":"2000-10-01"}"#, Ok("2000-10-01"));
        check(
            r#" {"x":[{"dateOfBirth":1}],"dateOfBirth":"2000-10-01","y":null} "#,
            Ok("2000-10-01"),
        );
        check(r#"{"dateOfBirth":"2000\u002d10-01"}"#, Ok("2000-10-01"));
        check(r#"{"dateOfBirth":""}"#, Ok(""));
    }

    #[test]
    fn only_one_json_object_is_taken() {
        for body in [
            "",
            "x",
            "null",
            "1",
            r#""2000-10-01""#,
            r#"["2000-10-01"]"#,
            r#"[{"dateOfBirth":"2000-10-01"}]"#,
            r#"{"dateOfBirth":"2000-10-01"}{}"#,
            r#"{"dateOfBirth":"2000-10-01"},"#,
            r#"{"dateOfBirth":"2000-10-01""#,
            r#"{'dateOfBirth':'2000-10-01'}"#,
            r#"{"dateOfBirth":"\ud800"}"#,
            "\u{feff}{}",
        ] {
            check(body, Err(NOT_AN_OBJECT));
        }
        assert_eq!(date_of_birth(b"{\"\xff\":1}"), Err(NOT_AN_OBJECT));
        let ignored = b"{\"dateOfBirth\":\"2000-10-01\",\"x\":\"\xff\"}";
        assert_eq!(date_of_birth(ignored), Err(NOT_AN_OBJECT));
        check(&format!("{{\"x\":{}", "[".repeat(4000)), Err(NOT_AN_OBJECT));
    }

    #[test]
    fn the_field_is_a_string_and_given_once() {
        for body in [
            "{}",
            r#"{"dateofbirth":"2000-10-01"}"#,
            r#"{"dateOfBirth":null}"#,
            r#"{"dateOfBirth":20001001}"#,
            r#"{"dateOfBirth":["2000-10-01"]}"#,
            r#"{"dateOfBirth":"2000-10-01","dateOfBirth":"2000-10-01"}"#,
            r#"{"dateOfBirth":1,"dateOfBirth":"2000-10-01","dateOfBirth":"2000-10-01"}"#,
        ] {
            check(body, Err(NO_DATE));
        }
    }
}
