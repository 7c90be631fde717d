//! The bodies of responses.

use super::outcome::Outcome;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

/// The body of a response.
///
/// ```
/// use http_body_util::BodyExt;
/// use http_component_runtime::{Body, BrokenOff};
///
/// async fn text(body: Body) -> Result<String, BrokenOff> {
///     let bytes = body.collect().await?.to_bytes();
///     Ok(String::from_utf8_lossy(&bytes).into_owned())
/// }
/// ```
pub struct Body(Source);

enum Source {
    Full(Option<Bytes>),
    Guest {
        body: HyperOutgoingBody,
        /// Says, before the body ends, whether the component came to the end of it.
        outcome: Outcome,
        /// What may still come of the length that the response says, in bytes.
        remaining: Option<u64>,
    },
}

/// A body that broke off, or is longer than its response says. The connection has to be closed, or the client would take the
/// body for whole.
///
/// ```
/// # use http_component_runtime::BrokenOff;
/// let text = BrokenOff.to_string();
/// assert!(text.starts_with("the component did not finish the response body"));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the component did not finish the response body, or wrote more than it said")]
pub struct BrokenOff;

impl Body {
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self(Source::Full(Some(bytes)))
    }

    pub(crate) fn empty() -> Self {
        Self(Source::Full(None))
    }

    /// The body of a response that says its length, or does not.
    pub(crate) fn of_guest(body: HyperOutgoingBody, length: Option<u64>, outcome: Outcome) -> Self {
        Self(Source::Guest {
            body,
            outcome,
            remaining: length,
        })
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.0 {
            Source::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Source::Guest {
                body,
                outcome,
                remaining,
            } => Pin::new(body).poll_frame(context).map(|frame| match frame {
                None if outcome.is_cut_off() => Some(Err(BrokenOff)),
                None => None,
                Some(Ok(frame)) => Some(within(remaining, frame)),
                Some(Err(_)) => Some(Err(BrokenOff)),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Full(bytes) => bytes.is_none(),
            Source::Guest { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            Source::Guest { body, .. } => body.size_hint(),
        }
    }
}

/// Takes the length of `frame` from what may still come. hyper would cut it to that in HTTP/1.
fn within(remaining: &mut Option<u64>, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BrokenOff> {
    if let (Some(remaining), Some(data)) = (remaining, frame.data_ref()) {
        *remaining = remaining.checked_sub(data.len() as u64).ok_or(BrokenOff)?;
    }
    Ok(frame)
}

/// A body with a guard, which is dropped together with it when the response has ended.
pub(crate) struct Guarded<B, G> {
    body: B,
    _guard: G,
}

impl<B, G> Guarded<B, G> {
    pub fn new(body: B, guard: G) -> Self {
        Self {
            body,
            _guard: guard,
        }
    }
}

impl<B: http_body::Body + Unpin, G: Unpin> http_body::Body for Guarded<B, G> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
