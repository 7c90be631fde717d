//! What a server sends, bounded before it reaches the driver.
//!
//! The driver holds each message as a whole, and keeps the last value of each parameter that the server reports. The server says
//! how long a message is and how many parameters there are; so the head of each message is looked at here (PostgreSQL
//! documentation, "Message Formats").

use crate::answer::{MAX_ANSWER_BYTES, ROW_TOO_LARGE};
use bytes::{Buf, Bytes};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

/// The most that a server may send until a session is ready, in bytes. PostgreSQL sends less than 1 kB.
const MAX_STARTUP_BYTES: usize = 1024 * 1024;

/// A tag, and a length, which counts itself and not the tag.
const HEAD_BYTES: usize = 5;

const DATA_ROW: u8 = b'D';
const PARAMETER_STATUS: u8 = b'S';
const READY_FOR_QUERY: u8 = b'Z';

/// The stream of messages from a server, without those that would take too much memory. What is sent to it passes as it is.
pub struct Inbound<S> {
    stream: S,
    messages: Messages,
}

impl<S> Inbound<S> {
    /// `stream` begins with a message.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            messages: Messages::new(0),
        }
    }

    /// `stream` begins with one byte, the answer to a request for TLS ("SSL Session Encryption"), and goes on with messages if
    /// there is no TLS.
    pub fn after_request_for_tls(stream: S) -> Self {
        Self {
            stream,
            messages: Messages::new(1),
        }
    }

    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Inbound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, messages } = &mut *self;
        loop {
            if messages.hand_over(buffer) {
                return Poll::Ready(Ok(()));
            }
            let mut rest_of_head = [0; HEAD_BYTES];
            let rest_of_head = match messages.rest_of_head() {
                0 => None,
                length => Some(&mut rest_of_head[..length]),
            };
            // A head that has begun is read by itself: it may not reach the driver, or be followed by something else.
            if let Some(rest) = rest_of_head {
                let mut rest = ReadBuf::new(rest);
                ready!(Pin::new(&mut *stream).poll_read(context, &mut rest))?;
                if rest.filled().is_empty() {
                    return Poll::Ready(Ok(()));
                }
                messages.receive_head(rest.filled())?;
                continue;
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut *stream).poll_read(context, buffer))?;
            let received = &mut buffer.filled_mut()[before..];
            if received.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let kept = messages.receive(received)?;
            buffer.set_filled(before + kept);
            if kept > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Inbound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S: TlsStream + Unpin> TlsStream for Inbound<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

/// Where in the messages of a server the stream is.
struct Messages {
    head: [u8; HEAD_BYTES],
    /// How much of `head` has come.
    head_length: usize,
    /// How much of the content is still to come, and whether the driver gets it.
    content_left: usize,
    is_dropped: bool,
    /// What the server may still send until the session is ready; `None` from then on.
    startup_left: Option<usize>,
    /// What the driver gets before the rest.
    first: Bytes,
}

impl Messages {
    /// The first message comes after so many bytes.
    fn new(before: usize) -> Self {
        Self {
            head: [0; HEAD_BYTES],
            head_length: 0,
            content_left: before,
            is_dropped: false,
            startup_left: Some(MAX_STARTUP_BYTES),
            first: Bytes::new(),
        }
    }

    /// Puts what comes first into `buffer`. Returns whether there was anything.
    fn hand_over(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if self.first.is_empty() {
            return false;
        }
        let length = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..length]);
        self.first.advance(length);
        true
    }

    /// How much is missing of a head that has begun.
    fn rest_of_head(&self) -> usize {
        match self.head_length {
            0 => 0,
            length => HEAD_BYTES - length,
        }
    }

    /// Takes a part of a head, which the driver gets when it is complete, if it gets the message.
    fn receive_head(&mut self, part: &[u8]) -> io::Result<()> {
        if self.take_head(part)? && !self.is_dropped {
            self.first = Bytes::copy_from_slice(&self.head);
        }
        Ok(())
    }

    /// Takes what has come. Returns how much of it the driver gets, which is at its start then.
    fn receive(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let (mut read, mut kept) = (0, 0);
        while read < bytes.len() {
            let left = bytes.len() - read;
            let length = match self.content_left {
                0 => (HEAD_BYTES - self.head_length).min(left),
                content => content.min(left),
            };
            let part = read..read + length;
            read = part.end;
            let is_kept = if self.content_left > 0 {
                self.content_left -= length;
                !self.is_dropped
            } else {
                self.take_head(&bytes[part.clone()])? && !self.is_dropped
            };
            if !is_kept {
                continue;
            }
            if !self.first.is_empty() {
                // It would overtake what comes first. No stream reads a row that is too large in one piece.
                return Err(broken("a row that is too large came in one piece"));
            }
            if part.start > kept {
                bytes.copy_within(part, kept);
            }
            kept += length;
        }
        Ok(kept)
    }

    /// Takes a part of a head. Returns whether it is complete.
    fn take_head(&mut self, part: &[u8]) -> io::Result<bool> {
        let end = self.head_length + part.len();
        self.head[self.head_length..end].copy_from_slice(part);
        self.head_length = end % HEAD_BYTES;
        let is_complete = self.head_length == 0;
        if is_complete {
            self.begin()?;
        }
        Ok(is_complete)
    }

    /// A message begins, whose head is complete.
    fn begin(&mut self) -> io::Result<()> {
        let [tag, length @ ..] = self.head;
        let length = u32::from_be_bytes(length) as usize;
        self.content_left = length
            .checked_sub(size_of::<u32>())
            .ok_or_else(|| broken("a message is shorter than its own length"))?;
        if let Some(left) = &mut self.startup_left {
            *left = left
                .checked_sub(length + 1)
                .ok_or_else(|| broken("the server sends too much before it is ready"))?;
        }
        if tag == READY_FOR_QUERY {
            self.startup_left = None;
        }
        let is_too_long = length > MAX_ANSWER_BYTES;
        self.is_dropped = tag == PARAMETER_STATUS || is_too_long;
        if is_too_long && tag == DATA_ROW {
            self.first = row_too_large(length);
        } else if is_too_long && tag != PARAMETER_STATUS {
            return Err(broken("a message is too long"));
        }
        Ok(())
    }
}

fn broken(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// The message that the driver gets in place of a row: an error ("Error and Notice Message Fields"), so that it ends the statement of that row, and the
/// connection goes on.
fn row_too_large(length: usize) -> Bytes {
    let message = format!("a row has {length} bytes");
    // Severity, SQLSTATE (program_limit_exceeded), message, routine.
    let fields = [
        ("S", "ERROR"),
        ("C", "54000"),
        ("M", &message),
        ("R", ROW_TOO_LARGE),
    ];
    let fields = fields.map(|(kind, text)| [kind, text, "\0"].concat());
    let content = [fields.concat(), "\0".to_owned()].concat();
    let length = (content.len() + size_of::<u32>()) as u32;
    [b"E", &length.to_be_bytes()[..], content.as_bytes()]
        .concat()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn message(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = (content.len() + 4) as u32;
        [&[tag], &length.to_be_bytes()[..], content].concat()
    }

    /// What the driver gets of `sent`, if it comes in pieces of `sent_length` and is read in pieces of `read_length`.
    fn received(
        sent: &[u8],
        sent_length: usize,
        read_length: usize,
        inbound: impl FnOnce(tokio::io::DuplexStream) -> Inbound<tokio::io::DuplexStream>,
    ) -> io::Result<Vec<u8>> {
        let (mut server, client) = duplex(sent_length);
        let mut inbound = inbound(client);
        let reading = async {
            let mut received = Vec::new();
            let mut buffer = vec![0; read_length];
            loop {
                match inbound.read(&mut buffer).await? {
                    0 => return Ok(received),
                    length => received.extend_from_slice(&buffer[..length]),
                }
            }
        };
        let sending = async {
            // It may be broken off.
            let _ = server.write_all(sent).await;
            drop(server);
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(async {
            tokio::select! {
                received = reading => received,
                received = async { sending.await; std::future::pending().await } => received,
            }
        })
    }

    #[test]
    fn parameters_are_left_out_wherever_they_are_cut() {
        let status = message(b'S', b"TimeZone\0UTC\0");
        let others = [
            message(b'R', &[0; 4]),
            message(b'Z', b"I"),
            message(b'2', b""),
            message(b'D', b"some content of a row"),
            message(b'C', b"SELECT 1\0"),
        ];
        let sent: Vec<_> = others.iter().flat_map(|one| [&status[..], one]).collect();
        let sent = [sent.concat(), status.clone()].concat();
        for sent_length in 1..40 {
            for read_length in 1..40 {
                let whole = received(&sent, sent_length, read_length, Inbound::new);
                assert_eq!(
                    whole.unwrap(),
                    others.concat(),
                    "{sent_length} {read_length}"
                );
                let sent = [b"N", &sent[..]].concat();
                let whole = received(
                    &sent,
                    sent_length,
                    read_length,
                    Inbound::after_request_for_tls,
                );
                assert_eq!(whole.unwrap(), [b"N", &others.concat()[..]].concat());
            }
        }
    }

    #[test]
    fn a_row_that_is_too_large_becomes_an_error() {
        let ready = message(b'Z', b"I");
        let fits = message(b'D', &vec![0; MAX_ANSWER_BYTES - 4]);
        let row = message(b'D', &vec![0; MAX_ANSWER_BYTES - 3]);
        let sent = [&ready, &fits, &row, &ready].map(Vec::as_slice).concat();
        for sent_length in [1000, 100_000] {
            let received = received(&sent, sent_length, 100_000, Inbound::new).unwrap();
            let error = row_too_large(MAX_ANSWER_BYTES + 1);
            assert!(received == [&ready, &fits, &error[..], &ready].concat());
        }
    }

    #[test]
    fn other_messages_that_are_too_long_end_the_connection() {
        let ready = message(b'Z', b"I");
        let long = u32::MAX.to_be_bytes();
        for tag in [b'E', b'N', b'T', b'x'] {
            let sent = [&ready, &[tag][..], &long].concat();
            assert!(received(&sent, 100, 100, Inbound::new).is_err());
        }
        let short = [b"Z", &3_u32.to_be_bytes()[..]].concat();
        assert!(received(&short, 100, 100, Inbound::new).is_err());
    }

    #[test]
    fn a_server_is_ready_soon_or_not_at_all() {
        let notice = message(b'N', &vec![0; 1000]);
        let notices = notice.repeat(MAX_STARTUP_BYTES / notice.len() + 1);
        assert!(received(&notices, 10_000, 10_000, Inbound::new).is_err());
        let ready = message(b'Z', b"I");
        let sent = [ready, notices].concat();
        let all = received(&sent, 10_000, 10_000, Inbound::new).unwrap();
        assert!(all == sent, "afterwards it may");
    }
}
