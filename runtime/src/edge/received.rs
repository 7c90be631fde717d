//! The body of a request of HTTP/1, of which it is noted how far it is read.

use super::activity::Activity;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

pub(super) struct Received {
    body: Incoming,
    activity: Arc<Activity>,
}

impl Received {
    pub fn new(body: Incoming, activity: Arc<Activity>) -> Self {
        match body.is_end_stream() {
            true => activity.receiving.set_whole(),
            false => activity.receiving.set_coming(),
        }
        Self { body, activity }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let receiving = &this.activity.receiving;
        loop {
            let is_last = receiving.is_last();
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
                if receiving.found_nothing(is_last, context.waker()) {
                    continue;
                }
                return Poll::Pending;
            };
            if frame.is_none() || this.body.is_end_stream() {
                receiving.set_whole();
            }
            return Poll::Ready(frame);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
