//! A response as a value, and how it is sent.

use crate::bindings::http::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};
use crate::bindings::streams::OutputStream;
use crate::error::Error;
use serde::Serialize;
use std::iter;

/// The most bytes that `wasi:io/streams.blocking-write-and-flush` accepts in one call.
const MAX_WRITE_BYTES: usize = 4096;

/// The most bytes that are handed over before the head is sent. The runtime keeps them until the client takes them, so
/// it is more than any answer of the API has, and much less than a large file.
const MAX_FIRST_BYTES: usize = 16 * 1024;

pub struct Response {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: Body,
}

/// The content of a response.
pub enum Body {
    Owned(Vec<u8>),
    Static(&'static [u8]),
    /// Made while it is sent. After an error the response breaks off, so that the client knows that it is not complete.
    Stream {
        /// All bytes together, if that is known before.
        length: Option<usize>,
        chunks: Chunks,
    },
}

type Chunks = Box<dyn Iterator<Item = Result<Vec<u8>, Error>>>;

impl From<Vec<u8>> for Body {
    fn from(content: Vec<u8>) -> Self {
        Self::Owned(content)
    }
}

impl From<String> for Body {
    fn from(content: String) -> Self {
        Self::Owned(content.into_bytes())
    }
}

impl From<&'static [u8]> for Body {
    fn from(content: &'static [u8]) -> Self {
        Self::Static(content)
    }
}

impl Response {
    /// `204 No Content`.
    pub fn no_content() -> Self {
        Self::without_content(204)
    }

    /// `304 Not Modified`.
    pub fn not_modified() -> Self {
        Self::without_content(304)
    }

    fn without_content(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Static(&[]),
        }
    }

    pub fn new(status: u16, content_type: &'static str, body: impl Into<Body>) -> Self {
        Self {
            status,
            headers: vec![("content-type", content_type)],
            body: body.into(),
        }
    }

    /// A response whose content is made while it is sent.
    pub fn stream(
        status: u16,
        content_type: &'static str,
        length: Option<usize>,
        chunks: impl Iterator<Item = Result<Vec<u8>, Error>> + 'static,
    ) -> Self {
        let chunks = Box::new(chunks);
        Self::new(status, content_type, Body::Stream { length, chunks })
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
    let Response {
        status,
        headers,
        body,
    } = response;
    match body {
        Body::Owned(content) => {
            let head = head(status, &headers, Some(content.len()));
            send_parts(out, head, &content, iter::empty());
        }
        Body::Static(content) => {
            let head = head(status, &headers, Some(content.len()));
            send_parts(out, head, content, iter::empty());
        }
        Body::Stream { length, mut chunks } => match chunks.next().transpose() {
            Ok(first) => {
                let head = head(status, &headers, length);
                send_parts(out, head, &first.unwrap_or_default(), chunks);
            }
            // Nothing was sent yet, so the client can be told.
            Err(error) => send(out, error.into()),
        },
    }
}

/// The status and the headers. `length` is that of the content, if it is known.
fn head(
    status: u16,
    headers: &[(&'static str, &'static str)],
    length: Option<usize>,
) -> OutgoingResponse {
    let mut digits = itoa::Buffer::new();
    let length = length.map(|length| digits.format(length));
    let mut fields: Vec<(&str, &[u8])> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    // A 204 has no content-length, and that of a 304 would be of what is not sent (RFC 9110, 8.6).
    if let Some(length) = length
        && !matches!(status, 204 | 304)
    {
        fields.push(("content-length", length.as_bytes()));
    }
    let fields = Fields::from_list(&fields).expect("our header names and values are valid");
    let head = OutgoingResponse::new(fields);
    // The default is 200.
    if status != 200 {
        head.set_status_code(status)
            .expect("our status codes are valid");
    }
    head
}

/// Sends `head`, then `first`, then `rest`.
fn send_parts(
    out: ResponseOutparam,
    head: OutgoingResponse,
    first: &[u8],
    rest: impl Iterator<Item = Result<Vec<u8>, Error>>,
) {
    let body = head.body().expect("the body is taken once");
    if first.is_empty() {
        ResponseOutparam::set(out, Ok(head));
    } else {
        let stream = body.write().expect("the stream is taken once");
        // Before the head is sent, so that both leave in one segment. Otherwise the content waits on Spin
        // for the client's delayed acknowledgement of the head, 40 ms.
        let unwritten = write_first(&stream, first);
        ResponseOutparam::set(out, Ok(head));
        let written = write_all(&stream, unwritten).and_then(|()| write_chunks(&stream, rest));
        // The stream is a child of the body, so it must be dropped before the body is finished.
        drop(stream);
        // A body that is dropped without being finished breaks off at the client.
        if written.is_none() {
            return;
        }
    }
    // It fails only if the client has gone.
    let _ = OutgoingBody::finish(body, None);
}

/// Writes as much as can be written without waiting, at most [`MAX_FIRST_BYTES`], and returns the rest.
fn write_first<'a>(stream: &OutputStream, bytes: &'a [u8]) -> &'a [u8] {
    let permitted = stream.check_write().unwrap_or(0);
    let length = bytes
        .len()
        .min(MAX_FIRST_BYTES)
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

/// `None` if the client has gone, or a chunk could not be made.
fn write_chunks(
    stream: &OutputStream,
    mut chunks: impl Iterator<Item = Result<Vec<u8>, Error>>,
) -> Option<()> {
    chunks.try_for_each(|chunk| write_all(stream, &chunk.ok()?))
}
