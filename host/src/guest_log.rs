//! What a component writes to its standard output and standard error: lines of the host's log.

use bytes::Bytes;
use http::HeaderValue;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// A longer line is logged in parts.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// Both streams of one instance. Clones share what has been written of a line: a guest may open and close
/// a stream for every few bytes.
#[derive(Clone, Default)]
pub struct GuestLog(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    unfinished: Vec<u8>,
    /// That of the request under way.
    request_id: Option<HeaderValue>,
    /// Where lines are collected in place of the log.
    collected: Option<Vec<String>>,
}

impl GuestLog {
    /// Has lines collected from now on.
    pub fn collect(&self) {
        self.lines().collected = Some(Vec::new());
    }

    /// The lines since [`GuestLog::collect`]; those to come are logged.
    pub fn collected(&self) -> Vec<String> {
        let mut lines = self.lines();
        lines.finish();
        lines.collected.take().unwrap_or_default()
    }

    /// Names the request that lines belong to from now on.
    pub fn begin(&self, request_id: Option<HeaderValue>) {
        self.lines().request_id = request_id;
    }

    /// Ends the line that is being written.
    pub fn finish(&self) {
        self.lines().finish();
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
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
            match self.request_id.as_ref().and_then(|id| id.to_str().ok()) {
                Some(request_id) => tracing::info!(target: "guest", request_id, "{line}"),
                None => tracing::info!(target: "guest", "{line}"),
            }
        }
        self.unfinished.clear();
    }
}

impl IsTerminal for GuestLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestLog {
    async fn ready(&mut self) {}
}

impl OutputStream for GuestLog {
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

impl AsyncWrite for GuestLog {
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
    fn lines_are_put_together_and_bounded() {
        let log = GuestLog::default();
        log.collect();
        let long = "x".repeat(MAX_LINE_BYTES + 1);
        for piece in ["one ", "line\ntwo\n", &long, "\nrest"] {
            log.clone().write(Bytes::from(piece.to_owned())).unwrap();
        }
        let full = &long[1..];
        assert_eq!(log.collected(), ["one line", "two", full, "x", "rest"]);
    }
}
