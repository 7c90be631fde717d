//! The body of a request on its way to the component, within its limits.

use super::outcome::{Ending, Outcome};
use crate::limits::Limits;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep, timeout};
use wasmtime_wasi_http::Error as WasiHttpError;

/// How much of a request body that the component did not read is still received, and for how long: a client that is cut
/// off while it sends may never see the answer.
const MAX_DISCARDED_BYTES: u64 = 8 * 1024 * 1024;
const MAX_DISCARD_TIME: Duration = Duration::from_secs(1);

/// So much of a body is received before the component gets the request. A shorter one is then whole, and its sender has no
/// say in how long the component takes.
pub(crate) const AHEAD_BYTES: usize = 16 * 1024;

/// The body of a request, up to a number of bytes and up to a time.
pub(crate) struct RequestBody<B: http_body::Body<Data = Bytes> + Send + 'static> {
    /// `None` once it has come to its end.
    body: Option<Pin<Box<B>>>,
    /// What was received ahead, and not passed on yet.
    ahead: Bytes,
    trailers: Option<HeaderMap>,
    remaining_bytes: u64,
    body_timeout: Duration,
    /// It was not there when it was first asked for.
    is_awaited: bool,
    /// Takes `body_timeout`, from when the body has to be waited for.
    timer: Option<Pin<Box<Sleep>>>,
    outcome: Outcome,
    /// The client sends the body only when asked for it (`Expect: 100-continue`), and was not asked.
    unasked: bool,
}

impl<B: http_body::Body<Data = Bytes> + Send + 'static> RequestBody<B> {
    /// Passes on as much of `body` as `limits` allow. Where there is more, or it takes longer, it fails, and records that
    /// in `outcome`.
    pub fn new(body: B, limits: &Limits, expects_continue: bool, outcome: Outcome) -> Self {
        Self {
            body: (!body.is_end_stream()).then(|| Box::pin(body)),
            ahead: Bytes::new(),
            trailers: None,
            remaining_bytes: limits.max_body,
            body_timeout: limits.body_timeout,
            is_awaited: false,
            timer: None,
            outcome,
            unasked: expects_continue,
        }
    }

    /// Whether all of it has been received.
    pub fn is_whole(&self) -> bool {
        self.body.is_none()
    }

    /// Whether its sender waits to be asked for it.
    pub fn waits_to_be_asked(&self) -> bool {
        self.unasked
    }

    /// From now on the rest of it has so much time.
    pub fn allow(&mut self, time: Duration) {
        self.body_timeout = time;
        self.timer = None;
    }

    /// Receives it up to its end, or up to [`AHEAD_BYTES`].
    ///
    /// # Errors
    /// Where it breaks off, or goes beyond its limits.
    pub async fn receive_ahead(&mut self) -> Result<(), WasiHttpError> {
        // Pieces are copied together, because each may keep a larger buffer alive.
        let mut pieces = Vec::new();
        while self.ahead.len() + pieces.len() < AHEAD_BYTES {
            let Some(frame) = poll_fn(|context| self.poll_receive(context)).await else {
                break;
            };
            match frame?.into_data() {
                Ok(data) if self.is_whole() && pieces.is_empty() => self.ahead = data,
                Ok(data) => pieces.extend_from_slice(&data),
                Err(other) => self.trailers = other.into_trailers().ok(),
            }
        }
        if !pieces.is_empty() {
            self.ahead = Bytes::from(pieces);
        }
        Ok(())
    }

    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiHttpError>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        if self.unasked {
            self.unasked = false;
            self.outcome.ask();
        }
        let Poll::Ready(frame) = body.as_mut().poll_frame(context) else {
            if !self.is_awaited {
                // hyper reads a body when it is asked for it. If it came with the head, it is there the next time.
                self.is_awaited = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let body_timeout = self.body_timeout;
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep(body_timeout)));
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            // The rest is not waited for.
            self.body = None;
            self.outcome.record(Ending::BodyTooSlow);
            return Poll::Ready(Some(Err(WasiHttpError::ConnectionReadTimeout)));
        };
        let is_last = body.is_end_stream();
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(_)) => {
                self.body = None;
                return Poll::Ready(Some(Err(WasiHttpError::HttpProtocolError)));
            }
            None => {
                self.body = None;
                return Poll::Ready(None);
            }
        };
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        let Some(rest) = self.remaining_bytes.checked_sub(length) else {
            self.outcome.record(Ending::BodyTooLarge);
            return Poll::Ready(Some(Err(WasiHttpError::HttpRequestBodySize(None))));
        };
        self.remaining_bytes = rest;
        if is_last {
            self.body = None;
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl<B: http_body::Body<Data = Bytes> + Send + 'static> http_body::Body for RequestBody<B> {
    type Data = Bytes;
    type Error = WasiHttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiHttpError>>> {
        if !self.ahead.is_empty() {
            let ahead = std::mem::take(&mut self.ahead);
            return Poll::Ready(Some(Ok(Frame::data(ahead))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        self.poll_receive(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none() && self.ahead.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = self.ahead.len() as u64;
        let Some(body) = &self.body else {
            return SizeHint::with_exact(ahead);
        };
        let mut hint = body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint.set_lower(hint.lower().saturating_add(ahead));
        hint
    }
}

impl<B: http_body::Body<Data = Bytes> + Send + 'static> Drop for RequestBody<B> {
    /// Receives the rest for a while, so that the client finishes sending and then reads the answer.
    fn drop(&mut self) {
        let (Some(body), Ok(runtime)) = (self.body.take(), Handle::try_current()) else {
            return;
        };
        if !self.unasked && !body.is_end_stream() {
            runtime.spawn(timeout(MAX_DISCARD_TIME, discard(body)));
        }
    }
}

async fn discard<B: http_body::Body<Data = Bytes>>(mut body: Pin<Box<B>>) {
    let mut remaining = MAX_DISCARDED_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        match remaining.checked_sub(length) {
            Some(rest) => remaining = rest,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Empty, Full, StreamBody};
    use std::convert::Infallible;
    use std::future::Future;

    fn limits() -> Limits {
        Limits {
            max_body: 4,
            body_timeout: Duration::from_millis(20),
            ..Limits::default()
        }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(future)
    }

    /// Reads `body` to its end; returns whether it was whole, and what is recorded.
    fn read<B>(body: B) -> (bool, Option<Ending>)
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        block_on(async {
            let outcome = Outcome::default();
            let body = RequestBody::new(body, &limits(), false, outcome.clone());
            let is_whole = body.collect().await.is_ok();
            (is_whole, outcome.ending())
        })
    }

    #[test]
    fn a_body_within_the_limits_is_passed_on() {
        assert_eq!(read(Full::new(Bytes::from("1234"))), (true, None));
        assert_eq!(read(Empty::new()), (true, None));
    }

    #[test]
    fn a_body_that_is_too_large_or_too_slow_is_cut_off() {
        let large = read(Full::new(Bytes::from("12345")));
        assert_eq!(large, (false, Some(Ending::BodyTooLarge)));
        let endless = futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>();
        let slow = read(StreamBody::new(endless));
        assert_eq!(slow, (false, Some(Ending::BodyTooSlow)));
    }

    #[test]
    fn a_body_that_breaks_off_is_not_recorded() {
        let broken = futures_util::stream::iter([Err::<Frame<Bytes>, _>("gone")]);
        assert_eq!(read(StreamBody::new(broken)), (false, None));
    }
}
