//! A response as a value, and how it is sent.

use crate::bindings::http::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};
use crate::bindings::streams::OutputStream;
use serde::Serialize;

/// The most bytes that `wasi:io/streams.blocking-write-and-flush` accepts in one call.
const MAX_WRITE_BYTES: usize = 4096;

#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
}

impl Response {
    /// `204 No Content`.
    pub fn no_content() -> Self {
        Self {
            status: 204,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type", content_type)],
            body: body.into(),
        }
    }

    /// `value` as JSON.
    pub fn json(status: u16, content_type: &'static str, value: &impl Serialize) -> Self {
        let json = serde_json::to_vec(value);
        let body = json.expect("plain structs of strings and numbers are JSON");
        Self::new(status, content_type, body)
    }

    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// Sends `response`. If the client has gone away meanwhile, that is not an error.
///
/// The answer to a `HEAD` is sent like the answer to a `GET`: the HTTP server that runs the component
/// leaves out the content (RFC 9110, 9.3.2).
pub fn send(out: ResponseOutparam, response: Response) {
    let mut digits = itoa::Buffer::new();
    let length = digits.format(response.body.len());
    let mut headers: Vec<(&str, &[u8])> = response
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    // A 204 has no content-length (RFC 9110, 8.6).
    if response.status != 204 {
        headers.push(("content-length", length.as_bytes()));
    }
    let headers = Fields::from_list(&headers).expect("our header names and values are valid");
    let outgoing = OutgoingResponse::new(headers);
    // The default is 200.
    if response.status != 200 {
        outgoing
            .set_status_code(response.status)
            .expect("our status codes are valid");
    }
    let body = outgoing.body().expect("the body is taken once");
    if response.body.is_empty() {
        ResponseOutparam::set(out, Ok(outgoing));
    } else {
        let stream = body.write().expect("the stream is taken once");
        // Before the head is sent, so that both leave in one segment. Otherwise the content waits on Spin
        // for the client's delayed acknowledgement of the head, 40 ms.
        let rest = write_first(&stream, &response.body);
        ResponseOutparam::set(out, Ok(outgoing));
        let written = write_all(&stream, rest);
        // The stream is a child of the body, so it must be dropped before the body is finished.
        drop(stream);
        if written.is_none() {
            return;
        }
    }
    // It fails only if the client has gone.
    let _ = OutgoingBody::finish(body, None);
}

/// Writes as much as can be written without waiting, and returns the rest.
fn write_first<'a>(stream: &OutputStream, bytes: &'a [u8]) -> &'a [u8] {
    let permitted = stream.check_write().unwrap_or(0);
    let length = bytes
        .len()
        .min(usize::try_from(permitted).unwrap_or(usize::MAX));
    let (first, rest) = bytes.split_at(length);
    // After an error the rest fails, too.
    if first.is_empty() || stream.write(first).is_err() {
        return bytes;
    }
    rest
}

/// `None` if the client has gone.
fn write_all(stream: &OutputStream, bytes: &[u8]) -> Option<()> {
    bytes
        .chunks(MAX_WRITE_BYTES)
        .try_for_each(|chunk| stream.blocking_write_and_flush(chunk).ok())
}
