//! The stream of a connection: its bytes are noted, and what they have the connection hold is bounded.

use super::frames::{FrameBudget, GO_AWAY, Preface};
use super::open::Membership;
use crate::telemetry::{Metrics, Refusal};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Without a request in flight, a client of HTTP/1 may send so many bytes before its connection counts as one with a long head.
const SHORT_HEAD_BYTES: usize = 4 * 1024;

/// What a connection with a long head counts in addition. Such a connection takes 42 kB in all, measured with heads of 31 KiB.
/// More is counted, because where many come and go the allocator keeps what the last ones had: a host that may hold 32 MiB in
/// this way took 60 MiB more than at its start.
const LONG_HEAD_BYTES: usize = 96 * 1024;

/// The windows of HTTP/2 (RFC 9113, 6.9): what a client may send of one body, and of all bodies of its connection, before
/// they are read. At 100 ms from a client to the server, a body comes with 640 kB in a second.
pub(super) const STREAM_WINDOW: u32 = 64 * 1024;
pub(super) const CONNECTION_WINDOW: u32 = 128 * 1024;

/// What a connection of HTTP/2 holds in addition: its window, and the tables of both directions for its headers.
const HTTP2_BYTES: usize = CONNECTION_WINDOW as usize + 16 * 1024;

/// A stream whose bytes are noted.
pub(super) struct Observed<S> {
    stream: S,
    membership: Arc<Membership>,
    metrics: Metrics,
    preface: Preface,
    /// Of HTTP/1: how much of a head has come, and whether it counts as long.
    head_length: usize,
    has_long_head: bool,
    /// Of HTTP/2.
    frames: Option<Box<FrameBudget>>,
}

impl<S> Observed<S> {
    pub fn new(stream: S, membership: Arc<Membership>, metrics: Metrics) -> Self {
        Self {
            stream,
            membership,
            metrics,
            preface: Preface::Undecided(0),
            head_length: 0,
            has_long_head: false,
            frames: None,
        }
    }

    /// # Errors
    /// If the connection has to be closed.
    fn received(&mut self, bytes: &[u8]) -> io::Result<()> {
        let now = Instant::now();
        self.membership.activity.received(now);
        let rest = self.preface.pass(bytes);
        let received = match self.preface {
            Preface::Undecided(_) | Preface::Http1 => self.received_http1(bytes.len(), now),
            Preface::Http2 => self.received_http2(rest, now),
            Preface::Broken => return Err(io::Error::other("a broken preface of HTTP/2")),
        };
        received.map_err(|refusal| {
            self.metrics.refusal(refusal);
            io::Error::other(refusal.as_str())
        })
    }

    fn received_http2(&mut self, bytes: &[u8], now: Instant) -> Result<(), Refusal> {
        let frames = match &mut self.frames {
            Some(frames) => frames,
            None if self.membership.hold(HTTP2_BYTES, now) => {
                self.membership.activity.set_http2();
                self.frames.insert(Box::new(FrameBudget::new(now)))
            }
            None => return Err(Refusal::Connections),
        };
        match frames.received(bytes, self.membership.activity.begun(), now) {
            true => Ok(()),
            false => Err(Refusal::Http2Flood),
        }
    }

    fn received_http1(&mut self, length: usize, now: Instant) -> Result<(), Refusal> {
        if self.has_long_head {
            return Ok(());
        }
        if self.membership.activity.has_requests() {
            self.head_length = 0;
            return Ok(());
        }
        self.head_length += length;
        if self.head_length <= SHORT_HEAD_BYTES {
            return Ok(());
        }
        // For as long as the connection lives, because its buffer does not shrink.
        self.has_long_head = self.membership.hold(LONG_HEAD_BYTES, now);
        match self.has_long_head {
            true => Ok(()),
            false => Err(Refusal::Connections),
        }
    }

    fn half_close(&self, context: &Context<'_>) -> bool {
        let activity = &self.membership.activity;
        activity.half_close(Instant::now(), context.waker())
    }

    fn sent(&mut self, buffers: &[io::IoSlice<'_>], result: &Poll<io::Result<usize>>) {
        let Poll::Ready(Ok(length @ 1..)) = result else {
            return;
        };
        self.membership.activity.sent(Instant::now());
        self.head_length = 0;
        let Some(frames) = &mut self.frames else {
            return;
        };
        let mut left = *length;
        for buffer in buffers {
            let sent = left.min(buffer.len());
            frames.sent(&buffer[..sent]);
            left -= sent;
        }
    }
}

impl<S: AsyncWrite + Unpin> Observed<S> {
    /// Tells a client of HTTP/2 that it has to end, if it can be told at once.
    fn send_go_away(&mut self, context: &mut Context<'_>) {
        let frames = self.frames.as_ref();
        if frames.is_some_and(|frames| frames.may_send_frame()) {
            let _ = Pin::new(&mut self.stream).poll_write(context, &GO_AWAY);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Observed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        let received = &buffer.filled()[before..];
        if received.is_empty() {
            return match result {
                // It is polled again after the answer.
                Poll::Ready(Ok(())) if self.half_close(context) => Poll::Pending,
                result => result,
            };
        }
        let Err(error) = self.received(received) else {
            return result;
        };
        self.send_go_away(context);
        Poll::Ready(Err(error))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(&[io::IoSlice::new(bytes)], &result);
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
        self.sent(buffers, &result);
        result
    }
}
