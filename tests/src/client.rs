//! A client that sends requests exactly as they are given, and accepts any answer.

use flate2::read::GzDecoder;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::time::Duration;
use ureq::Agent;
use ureq::http::Request;

/// Longer than an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Longer than any answer: a million people are exported.
const MAX_BODY_BYTES: u64 = 256 * 1024 * 1024;

static AGENT: LazyLock<Agent> = LazyLock::new(|| {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(TIMEOUT))
        .build()
        .into()
});

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// Inflated, if it was compressed.
    pub body: String,
    /// Bytes of the body as they were sent.
    pub sent: usize,
}

impl Answer {
    /// The only header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none())
    }

    /// The last part of the `type` of a problem document.
    pub fn problem(&self) -> Option<String> {
        let document: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        let name = document["type"].as_str()?.strip_prefix("/problems/")?;
        let complete = self.header("content-type") == Some("application/problem+json")
            && document["status"] == self.status
            && document["title"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
            && document["detail"]
                .as_str()
                .is_some_and(|text| !text.is_empty());
        complete.then(|| name.to_owned())
    }
}

/// Whether `tag` is a strong entity tag (RFC 9110, 8.8.3).
pub fn is_strong_tag(tag: &str) -> bool {
    let opaque = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    opaque.is_some_and(|opaque| !opaque.is_empty() && !opaque.contains('"'))
}

/// Sends `method` to `url` and waits for the answer.
pub fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, ureq::Error> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = if body.is_empty() && method != "PUT" {
        AGENT.run(request.body(())?)
    } else {
        AGENT.run(request.body(body)?)
    }?;
    let body = response.body_mut().with_config().limit(MAX_BODY_BYTES);
    let sent = body.read_to_vec()?;
    let is_gzip = response
        .headers()
        .get("content-encoding")
        .is_some_and(|coding| coding == "gzip");
    let body = if is_gzip && !sent.is_empty() {
        std::io::read_to_string(GzDecoder::new(sent.as_slice()))?
    } else {
        String::from_utf8(sent.clone()).map_err(std::io::Error::other)?
    };
    Ok(Answer {
        status: response.status().as_u16(),
        headers: response
            .headers()
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.to_string(), value)
            })
            .collect(),
        body,
        sent: sent.len(),
    })
}

pub fn get(url: &str) -> Result<Answer, ureq::Error> {
    send("GET", url, &[], b"")
}

/// Sends `bytes` as they are to a service at `http://host:port`, and returns all that comes back until it
/// closes the connection. The last header has to be `Connection: close`.
pub fn send_bytes(base_url: &str, bytes: &[u8]) -> std::io::Result<String> {
    let address = base_url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
