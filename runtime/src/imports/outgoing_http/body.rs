//! The body of a response on its way to the component.

use super::error::of_hyper;
use super::per_host::Turn;
use crate::limits::Slot;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};
use wasmtime_wasi_http::Error as WasiHttpError;

/// A body, whose parts have a time to come in. Until it is dropped the request counts as under way.
pub struct ResponseBody {
    incoming: Incoming,
    between_bytes: Duration,
    timer: Pin<Box<Sleep>>,
    _slot: Slot,
    _turn: Turn,
}

impl ResponseBody {
    pub fn new(incoming: Incoming, between_bytes: Duration, slot: Slot, turn: Turn) -> Self {
        Self {
            incoming,
            between_bytes,
            timer: Box::pin(sleep(between_bytes)),
            _slot: slot,
            _turn: turn,
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = WasiHttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiHttpError>>> {
        match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Ready(frame) => {
                let deadline = Instant::now() + self.between_bytes;
                self.timer.as_mut().reset(deadline);
                Poll::Ready(frame.map(|frame| frame.map_err(of_hyper)))
            }
            Poll::Pending => {
                let timed_out = self.timer.as_mut().poll(context);
                timed_out.map(|()| Some(Err(WasiHttpError::ConnectionReadTimeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
