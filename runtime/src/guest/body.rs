//! The bodies of responses.

use super::outcome::Outcome;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

/// The body of a response.
pub struct Body(Source);

enum Source {
    Full(Option<Bytes>),
    Guest {
        body: HyperOutgoingBody,
        /// Says, before the body ends, whether the component came to the end of it.
        outcome: Outcome,
    },
}

/// A body that broke off. The connection has to be closed, or the client would take the body for whole.
#[derive(Debug, thiserror::Error)]
#[error("the component did not finish the response body")]
pub struct BrokenOff;

impl Body {
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self(Source::Full(Some(bytes)))
    }

    pub(crate) fn empty() -> Self {
        Self(Source::Full(None))
    }

    pub(crate) fn of_guest(body: HyperOutgoingBody, outcome: Outcome) -> Self {
        Self(Source::Guest { body, outcome })
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
            Source::Guest { body, outcome } => {
                Pin::new(body).poll_frame(context).map(|frame| match frame {
                    None if outcome.is_cut_off() => Some(Err(BrokenOff)),
                    None => None,
                    Some(frame) => Some(frame.map_err(|_| BrokenOff)),
                })
            }
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
