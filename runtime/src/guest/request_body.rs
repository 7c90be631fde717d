//! The body of a request on its way to the component, within its limits.

use super::outcome::{Ending, Outcome};
use crate::limits::Limits;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use wasmtime_wasi_http::Error as WasiHttpError;

/// How much of a request body that the component did not read is still received, and for how long: a client that is cut
/// off while it sends may never see the answer.
const MAX_DISCARDED_BYTES: u64 = 8 * 1024 * 1024;
const MAX_DISCARD_TIME: Duration = Duration::from_secs(1);

/// The body of a request, up to a number of bytes and up to a time.
pub(crate) struct RequestBody<B: http_body::Body<Data = Bytes> + Send + 'static> {
    /// `None` once it has come to its end.
    body: Option<Pin<Box<B>>>,
    remaining_bytes: u64,
    deadline: Instant,
    /// Ends at `deadline`; created when the body has to be waited for.
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
            remaining_bytes: limits.max_body,
            deadline: Instant::now() + limits.body_timeout,
            timer: None,
            outcome,
            unasked: expects_continue,
        }
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
            let timer = this
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            // The rest is not waited for.
            this.body = None;
            this.outcome.record(Ending::BodyTooSlow);
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
        Poll::Ready(Some(match this.remaining_bytes.checked_sub(length) {
            Some(rest) => {
                this.remaining_bytes = rest;
                Ok(frame)
            }
            None => {
                this.outcome.record(Ending::BodyTooLarge);
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
