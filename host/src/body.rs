//! The bodies of requests and responses on their way between HTTP and the component.

use crate::Limits;
use crate::problem::Problem;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use wasmtime_wasi_http::Error as WasiHttpError;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

/// How much of a request body that the component did not want is still taken, and for how long: a caller
/// that is cut off while it sends may never see the answer.
const MAX_DISCARDED_BYTES: u64 = 8 * 1024 * 1024;
const MAX_DISCARDING: Duration = Duration::from_secs(1);

/// The body of a response.
pub struct Body(Source);

enum Source {
    Full(Option<Bytes>),
    Component {
        body: HyperOutgoingBody,
        /// Set before the body ends, if the component did not come to the end of it.
        broken: Arc<AtomicBool>,
    },
}

/// A body that broke off: the connection has to be closed, or the caller would take it for whole.
#[derive(Debug)]
pub struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the component did not finish the response body")
    }
}

impl std::error::Error for BrokenOff {}

impl Body {
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self(Source::Full(Some(bytes)))
    }

    pub(crate) fn component(body: HyperOutgoingBody, broken: Arc<AtomicBool>) -> Self {
        Self(Source::Component { body, broken })
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
            Source::Component { body, broken } => {
                Pin::new(body).poll_frame(context).map(|frame| match frame {
                    None if broken.load(Ordering::Acquire) => Some(Err(BrokenOff)),
                    None => None,
                    Some(frame) => Some(frame.map_err(|_| BrokenOff)),
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Full(bytes) => bytes.is_none(),
            Source::Component { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            Source::Component { body, .. } => body.size_hint(),
        }
    }
}

/// A body, and what is dropped when it has ended.
pub(crate) struct Held<B, H> {
    body: B,
    _held: H,
}

impl<B, H> Held<B, H> {
    pub fn new(body: B, held: H) -> Self {
        Self { body, _held: held }
    }
}

impl<B: http_body::Body + Unpin, H: Unpin> http_body::Body for Held<B, H> {
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

/// Why the rest of a request body was not passed on, once it was not. Clones tell the same.
#[derive(Clone, Default)]
pub(crate) struct Cut(Arc<OnceLock<Problem>>);

impl Cut {
    pub fn get(&self) -> Option<Problem> {
        self.0.get().copied()
    }
}

/// The body of a request, up to a number of bytes and up to a time.
pub(crate) struct RequestBody<B: http_body::Body<Data = Bytes> + Send + 'static> {
    /// `None` once it has come to its end.
    body: Option<Pin<Box<B>>>,
    room: u64,
    deadline: Instant,
    /// Goes off at `deadline`; there is none as long as nothing had to be waited for.
    alarm: Option<Pin<Box<Sleep>>>,
    cut: Cut,
    /// The caller sends the body only when asked for it (`Expect: 100-continue`), and was not asked.
    unasked: bool,
}

impl<B: http_body::Body<Data = Bytes> + Send + 'static> RequestBody<B> {
    /// Passes on as much of `body` as `limits` allow; where there is more, or it takes longer, tells `cut` so
    /// and fails.
    pub fn new(body: B, limits: &Limits, expects_continue: bool, cut: Cut) -> Self {
        Self {
            body: (!body.is_end_stream()).then(|| Box::pin(body)),
            room: limits.max_body,
            deadline: Instant::now() + limits.body_timeout,
            alarm: None,
            cut,
            unasked: expects_continue,
        }
    }

    fn cut(&mut self, problem: Problem) {
        // The first reason is the reason.
        let _ = self.cut.0.set(problem);
    }
}

impl<B: http_body::Body<Data = Bytes> + Send + 'static> http_body::Body for RequestBody<B> {
    type Data = Bytes;
    type Error = WasiHttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiHttpError>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        this.unasked = false;
        let Poll::Ready(frame) = body.as_mut().poll_frame(context) else {
            let deadline = this.deadline;
            let alarm = this
                .alarm
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            // Nobody waits for the rest of it.
            this.body = None;
            this.cut(Problem::BodyTooSlow);
            return Poll::Ready(Some(Err(WasiHttpError::ConnectionReadTimeout)));
        };
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(_)) => {
                this.body = None;
                return Poll::Ready(Some(Err(WasiHttpError::HttpProtocolError)));
            }
            None => {
                this.body = None;
                return Poll::Ready(None);
            }
        };
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        Poll::Ready(Some(match this.room.checked_sub(length) {
            Some(room) => {
                this.room = room;
                Ok(frame)
            }
            None => {
                this.cut(Problem::BodyTooLarge);
                Err(WasiHttpError::HttpRequestBodySize(None))
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl<B: http_body::Body<Data = Bytes> + Send + 'static> Drop for RequestBody<B> {
    /// Reads on for a while, so that the caller comes to the point where it reads the answer.
    fn drop(&mut self) {
        let (Some(body), Ok(runtime)) = (self.body.take(), Handle::try_current()) else {
            return;
        };
        if !self.unasked && !body.is_end_stream() {
            runtime.spawn(timeout(MAX_DISCARDING, discard(body)));
        }
    }
}

async fn discard<B: http_body::Body<Data = Bytes>>(mut body: Pin<Box<B>>) {
    let mut room = MAX_DISCARDED_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        match room.checked_sub(length) {
            Some(rest) => room = rest,
            None => return,
        }
    }
}
