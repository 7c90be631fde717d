//! The server that people are fetched from.

use crate::bindings::clocks::subscribe_duration;
use crate::bindings::http::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, OutgoingRequest, RequestOptions,
    Scheme,
};
use crate::bindings::poll::{Pollable, poll};
use crate::bindings::streams::StreamError;
use crate::bindings::{outgoing_handler, streams::InputStream};
use crate::error::Error;
use crate::log::log;
use crate::settings::Source;
use crate::url::Url;

/// How long the whole takes at most, with redirections, in nanoseconds.
const TIMEOUT_NANOS: u64 = 10_000_000_000;

/// The longest answer.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The most redirections that are followed.
const MAX_REDIRECTIONS: usize = 3;

/// Why there is no answer, in the words of the log. None of them has anything of the answer or of the URL.
type Reason = &'static str;

/// What the server of `source` answers.
///
/// # Errors
/// [`Error::UpstreamFailed`] if that is not `200` with at most [`MAX_BODY_BYTES`], in time. The log has the reason.
pub fn fetch(source: &Source) -> Result<Vec<u8>, Error> {
    let deadline = Deadline(subscribe_duration(TIMEOUT_NANOS));
    let fetched = fetch_following(source, &deadline);
    fetched.map_err(|reason| {
        log(&format!("populate_url: {reason}"));
        Error::UpstreamFailed
    })
}

fn fetch_following(source: &Source, deadline: &Deadline) -> Result<Vec<u8>, Reason> {
    let mut url = source.url.clone();
    for _ in 0..=MAX_REDIRECTIONS {
        // The key is for nobody else.
        let key = source.key.as_deref();
        let key = key.filter(|_| url.has_origin_of(&source.url));
        let response = send(&url, key, deadline)?;
        match response.status() {
            200 => return body(response, deadline),
            301 | 302 | 303 | 307 | 308 => {
                let next = response.headers().get("location");
                let [next] = next.as_slice() else {
                    return Err("a redirection does not say where to");
                };
                let next = str::from_utf8(next).ok();
                let next = next.and_then(|next| url.follow(next));
                url = next.ok_or(
                    "a redirection does not lead to a URL of HTTP, or to one that is not encrypted",
                )?;
            }
            _ => return Err("the answer is not 200 OK"),
        }
    }
    Err("there are too many redirections")
}

fn send(url: &Url, key: Option<&str>, deadline: &Deadline) -> Result<IncomingResponse, Reason> {
    let authorization = key.map(|key| format!("Bearer {key}"));
    let mut headers = vec![
        ("accept", b"application/json".as_slice()),
        ("accept-encoding", b"identity"),
        (
            "user-agent",
            concat!("birthday/", env!("CARGO_PKG_VERSION")).as_bytes(),
        ),
    ];
    if let Some(authorization) = &authorization {
        headers.push(("authorization", authorization.as_bytes()));
    }
    let headers = Fields::from_list(&headers).expect("our header names and values are valid");
    let request = OutgoingRequest::new(headers);
    let scheme = if url.is_encrypted {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let is_set = request.set_scheme(Some(&scheme)).is_ok()
        && request.set_authority(Some(&url.authority)).is_ok()
        && request
            .set_path_with_query(Some(&url.path_with_query))
            .is_ok();
    if !is_set {
        return Err("the URL is not valid");
    }
    let response = outgoing_handler::handle(request, None::<RequestOptions>);
    let response = response.map_err(|error| reason(&error))?;
    deadline.wait(&response.subscribe())?;
    received(&response)
}

fn received(response: &FutureIncomingResponse) -> Result<IncomingResponse, Reason> {
    match response.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(error))) => Err(reason(&error)),
        Some(Err(())) | None => Err("the runtime gave no answer"),
    }
}

fn body(response: IncomingResponse, deadline: &Deadline) -> Result<Vec<u8>, Reason> {
    let headers = response.headers();
    let is_plain = |coding: &Vec<u8>| coding.eq_ignore_ascii_case(b"identity");
    if !headers.get("content-encoding").iter().all(is_plain) {
        return Err("the answer is compressed");
    }
    drop(headers);
    let taken_twice = "the body is taken once";
    let body = response.consume().expect(taken_twice);
    let stream = body.stream().expect(taken_twice);
    read(&stream, deadline)
}

fn read(stream: &InputStream, deadline: &Deadline) -> Result<Vec<u8>, Reason> {
    let mut content = Vec::new();
    loop {
        deadline.wait(&stream.subscribe())?;
        // Reading one byte more than is allowed shows whether there is more.
        let remaining = (MAX_BODY_BYTES + 1 - content.len()) as u64;
        match stream.read(remaining) {
            Ok(chunk) => content.extend_from_slice(&chunk),
            Err(StreamError::Closed) => return Ok(content),
            Err(StreamError::LastOperationFailed(_)) => return Err("the answer broke off"),
        }
        if content.len() > MAX_BODY_BYTES {
            return Err("the answer is too large");
        }
    }
}

fn reason(error: &ErrorCode) -> Reason {
    match error {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            "the runtime does not allow to connect there"
        }
        ErrorCode::DnsTimeout | ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
            "the name of the server cannot be looked up"
        }
        ErrorCode::TlsProtocolError
        | ErrorCode::TlsCertificateError
        | ErrorCode::TlsAlertReceived(_) => "the server cannot be verified",
        ErrorCode::ConnectionTimeout | ErrorCode::ConnectionReadTimeout => {
            "there is no answer in time"
        }
        ErrorCode::HttpProtocolError | ErrorCode::HttpResponseIncomplete => {
            "the answer is not one of HTTP"
        }
        _ => "there is no connection to the server",
    }
}

/// When all has to be over.
struct Deadline(Pollable);

impl Deadline {
    /// Waits for `event`.
    fn wait(&self, event: &Pollable) -> Result<(), Reason> {
        match poll(&[event, &self.0]).contains(&0) {
            true => Ok(()),
            false => Err("there is no answer in time"),
        }
    }
}
