//! What a component prints on its standard output and standard error: lines of the host's log.

use crate::request::RequestId;
use crate::telemetry::GUEST;
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// A longer line is logged in parts of this size.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// How much of the output of one request is logged.
const MAX_REQUEST_BYTES: usize = 64 * 1024;
const LEFT_OUT: &[u8] = b"the rest of the output of this request is left out\n";

/// Both streams of one instance. Clones share the unfinished line: a guest may open and close a stream for every few
/// bytes.
#[derive(Clone, Default)]
pub(crate) struct GuestOutput(Arc<Mutex<Lines>>);

struct Lines {
    unfinished: Vec<u8>,
    /// How much more of this request is logged.
    remaining: usize,
    /// There was more, and the log says so.
    is_cut_off: bool,
    /// Of the request that is being handled.
    request_id: Option<RequestId>,
    /// Lines are collected here instead of being logged.
    collected: Option<Vec<String>>,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            unfinished: Vec::new(),
            remaining: MAX_REQUEST_BYTES,
            is_cut_off: false,
            request_id: None,
            collected: None,
        }
    }
}

impl GuestOutput {
    /// Collects lines from now on, instead of logging them.
    pub fn collect(&self) {
        self.lines().collected = Some(Vec::new());
    }

    /// The lines since [`GuestOutput::collect`]; those to come are logged.
    pub fn collected(&self) -> Vec<String> {
        let mut lines = self.lines();
        lines.finish();
        lines.collected.take().unwrap_or_default()
    }

    /// Lines belong to the request with this id from now on.
    pub fn begin(&self, request_id: Option<RequestId>) {
        let mut lines = self.lines();
        lines.request_id = request_id;
        lines.remaining = MAX_REQUEST_BYTES;
        lines.is_cut_off = false;
    }

    /// Ends the line that is being written.
    pub fn finish(&self) {
        self.lines().finish();
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock()
    }
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        let (bytes, left_out) = bytes.split_at(bytes.len().min(self.remaining));
        self.remaining -= bytes.len();
        self.append(bytes);
        if !left_out.is_empty() && !self.is_cut_off {
            self.is_cut_off = true;
            self.finish();
            self.append(LEFT_OUT);
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(MAX_LINE_BYTES) {
                if self.unfinished.len() + part.len() > MAX_LINE_BYTES {
                    self.finish();
                }
                self.unfinished.extend_from_slice(part);
            }
            if piece.ends_with(b"\n") {
                self.finish();
            }
        }
    }

    fn finish(&mut self) {
        if self.unfinished.is_empty() {
            return;
        }
        let line = String::from_utf8_lossy(&self.unfinished);
        let line = line.trim_end();
        if let Some(collected) = &mut self.collected {
            collected.push(line.to_owned());
        } else if !line.is_empty() {
            let request_id = self.request_id.as_ref().map(RequestId::as_str);
            tracing::info!(target: GUEST, request_id, "{line}");
        }
        self.unfinished.clear();
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.lines().push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LINE_BYTES)
    }
}

impl AsyncWrite for GuestOutput {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.lines().push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_a_request_is_bounded() {
        let log = GuestOutput::default();
        log.collect();
        for _ in 0..2 {
            log.begin(None);
            for _ in 0..2 * MAX_REQUEST_BYTES / 1024 {
                let line = format!("{}\n", "x".repeat(1023));
                log.clone().write(Bytes::from(line)).unwrap();
            }
        }
        let lines = log.collected();
        assert_eq!(lines.len(), 2 * (MAX_REQUEST_BYTES / 1024 + 1));
        assert!(lines.last().unwrap().contains("is left out"), "{lines:?}");
    }

    #[test]
    fn lines_are_put_together_and_bounded() {
        let log = GuestOutput::default();
        log.collect();
        let long = "x".repeat(MAX_LINE_BYTES + 1);
        for piece in ["one ", "line\ntwo\n", &long, "\nrest"] {
            log.clone().write(Bytes::from(piece.to_owned())).unwrap();
        }
        let full = &long[1..];
        assert_eq!(log.collected(), ["one line", "two", full, "x", "rest"]);
    }
}
