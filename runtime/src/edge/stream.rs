//! The stream of a connection: its bytes are noted, and what they have the connection hold is bounded.

use super::frames::{FrameBudget, GO_AWAY, Preface};
use super::open::{Claim, Membership};
use crate::telemetry::{Metrics, Refusal};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Without a request in flight, a client of HTTP/1 may send so many bytes before its connection counts as one with a long head.
const SHORT_HEAD_BYTES: usize = 4 * 1024;

/// What a connection with a long head counts in addition. Measured: 42 kB in all, with heads of 31 KiB.
const LONG_HEAD_BYTES: u32 = 40 * 1024;

/// The windows of HTTP/2 (RFC 9113, 6.9): what a client may send of one body, and of all bodies of its connection, before
/// they are read. At 100 ms from a client to the server, a body comes with 640 kB in a second.
pub(super) const STREAM_WINDOW: u32 = 64 * 1024;
pub(super) const CONNECTION_WINDOW: u32 = 128 * 1024;

/// What a connection of HTTP/2 holds in addition: its window, and the tables of both directions for its headers.
const HTTP2_BYTES: u32 = CONNECTION_WINDOW + 16 * 1024;

/// A stream whose bytes are noted.
pub(super) struct Observed<S> {
    stream: S,
    membership: Arc<Membership>,
    metrics: Metrics,
    preface: Preface,
    /// What it holds more than a connection that sends short heads by HTTP/1.
    claim: Option<Claim>,
    /// Of HTTP/1: how much of a head has come.
    head_length: usize,
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
            claim: None,
            head_length: 0,
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
            None => {
                self.claim(HTTP2_BYTES, now)?;
                self.membership.activity.set_http2();
                self.frames.insert(Box::new(FrameBudget::new(now)))
            }
        };
        match frames.received(bytes, self.membership.activity.begun(), now) {
            true => Ok(()),
            false => Err(Refusal::Http2Flood),
        }
    }

    fn received_http1(&mut self, length: usize, now: Instant) -> Result<(), Refusal> {
        if self.claim.is_some() {
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
        self.claim(LONG_HEAD_BYTES, now)
    }

    fn claim(&mut self, bytes: u32, now: Instant) -> Result<(), Refusal> {
        let claim = self.membership.hold(bytes, now);
        self.claim = Some(claim.ok_or(Refusal::Connections)?);
        Ok(())
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
        if let Some(claim) = &mut self.claim {
            // The buffers grow only now.
            ready!(claim.poll_granted(context));
        }
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
