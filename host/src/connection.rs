//! What a connection is doing, seen from its bytes and its requests: between requests, in the head of one, or
//! serving some.

use crate::ConnectionLimits;
use http::Version;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The record of one connection. Times are in milliseconds since it was opened.
pub struct Watch {
    opened: Instant,
    requests: AtomicUsize,
    /// When the last request ended, or the connection was opened.
    free_since: AtomicU64,
    /// When the first byte came after that; 0: none has come. In HTTP/2, where not every byte is one of a
    /// request, this is kept until the first request only.
    head_since: AtomicU64,
    is_http2: AtomicBool,
    last_received: AtomicU64,
    last_sent: AtomicU64,
}

/// What a connection has not done in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// Ask for something.
    Idle,
    /// Finish the head of a request.
    Head,
    /// Send or take a byte, with a request under way.
    Stalled,
}

impl Watch {
    pub fn new() -> Self {
        Self {
            opened: Instant::now(),
            requests: AtomicUsize::new(0),
            free_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            is_http2: AtomicBool::new(false),
            last_received: AtomicU64::new(0),
            last_sent: AtomicU64::new(0),
        }
    }

    /// A request begins; it ends when what this returns is dropped.
    pub fn request(self: &Arc<Self>, version: Version) -> RequestUnderWay {
        if version == Version::HTTP_2 {
            self.is_http2.store(true, Ordering::Relaxed);
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        RequestUnderWay(self.clone())
    }

    /// Whether nothing would be cut off if the connection were closed: no request is under way (one whose
    /// head is not complete is none yet), and no byte was sent for so long.
    pub fn is_done_for(&self, silence: Duration) -> bool {
        self.requests() == 0 && self.since(&self.last_sent) > silence
    }

    pub fn overdue(&self, limits: &ConnectionLimits) -> Option<Overdue> {
        let is_over = |time, limit| self.since(time) > limit;
        if self.requests() > 0 {
            let is_silent = is_over(&self.last_received, limits.stall_timeout)
                && is_over(&self.last_sent, limits.stall_timeout);
            return is_silent.then_some(Overdue::Stalled);
        }
        let has_begun = self.head_since.load(Ordering::Relaxed) > 0;
        if has_begun && is_over(&self.head_since, limits.header_timeout) {
            return Some(Overdue::Head);
        }
        is_over(&self.free_since, limits.idle_timeout).then_some(Overdue::Idle)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    fn since(&self, time: &AtomicU64) -> Duration {
        let time = Duration::from_millis(time.load(Ordering::Relaxed));
        self.opened.elapsed().saturating_sub(time)
    }

    fn note(&self, time: &AtomicU64) {
        // 0 means never; and nobody keeps a connection for 500 million years.
        let now = self.opened.elapsed().as_millis().max(1) as u64;
        time.store(now, Ordering::Relaxed);
    }

    fn received(&self) {
        self.note(&self.last_received);
        if self.requests() == 0
            && self.head_since.load(Ordering::Relaxed) == 0
            && !self.is_http2.load(Ordering::Relaxed)
        {
            let now = self.last_received.load(Ordering::Relaxed);
            self.head_since.store(now, Ordering::Relaxed);
        }
    }
}

/// A request of a connection, until it is dropped.
pub struct RequestUnderWay(Arc<Watch>);

impl Drop for RequestUnderWay {
    fn drop(&mut self) {
        self.0.note(&self.0.free_since);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream whose bytes are noted.
pub struct Watched<S> {
    stream: S,
    watch: Arc<Watch>,
}

impl<S> Watched<S> {
    pub fn new(stream: S, watch: Arc<Watch>) -> Self {
        Self { stream, watch }
    }

    fn sent(&self, result: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(1..)) = result {
            self.watch.note(&self.watch.last_sent);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.watch.received();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(&result);
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.sent(&result);
        result
    }
}
