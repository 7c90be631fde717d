//! A stream of bytes over `wasi:sockets/tcp`.
//!
//! WASI cannot switch Nagle's algorithm off, and wasmtime leaves it on: a second small write waits until the server has
//! acknowledged the first one, which it may put off for 40 ms. So what is written is collected, and sent at once before the next
//! read.

use crate::address::Keepalive;
use crate::bindings::instance_network::instance_network;
use crate::bindings::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use crate::bindings::streams::{InputStream, OutputStream, StreamError};
use crate::bindings::tcp::{ShutdownType, TcpSocket};
use crate::bindings::tcp_create_socket::create_tcp_socket;
use crate::executor::Event;
use bytes::BytesMut;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most that is read at a time: the runtime makes a buffer of this size for each read.
const MAX_READ_BYTES: usize = 64 * 1024;

/// The most that is collected before it is sent.
const MAX_UNSENT_BYTES: usize = 64 * 1024;

/// So often is read at a time. A server that sends without end must not keep time limits from being noticed.
const MAX_READS: usize = 16;

/// A connection. (The fields are dropped in their order: events before their streams, and streams before their socket.)
pub struct TcpStream {
    readable: Event,
    writable: Event,
    input: InputStream,
    output: OutputStream,
    socket: TcpSocket,
    unsent: BytesMut,
    reads_left: usize,
}

impl TcpStream {
    /// # Errors
    /// Why there is no connection, in words for an operator.
    pub async fn connect(at: SocketAddr, keepalive: Option<&Keepalive>) -> Result<Self, String> {
        let failed = |code| format!("{at}: {}", reason(code));
        let family = match at {
            SocketAddr::V4(_) => IpAddressFamily::Ipv4,
            SocketAddr::V6(_) => IpAddressFamily::Ipv6,
        };
        let socket = create_tcp_socket(family).map_err(failed)?;
        if let Some(keepalive) = keepalive {
            set_keepalive(&socket, keepalive);
        }
        socket
            .start_connect(&instance_network(), to_wasi(at))
            .map_err(failed)?;
        let changed = Event::new(socket.subscribe());
        let connected = poll_fn(|_| match socket.finish_connect() {
            Err(ErrorCode::WouldBlock) => {
                changed.wake();
                Poll::Pending
            }
            ended => Poll::Ready(ended),
        });
        let (input, output) = connected.await.map_err(failed)?;
        drop(changed);
        Ok(Self {
            readable: Event::new(input.subscribe()),
            writable: Event::new(output.subscribe()),
            input,
            output,
            socket,
            unsent: BytesMut::new(),
            reads_left: MAX_READS,
        })
    }

    /// Sends what the runtime takes now. If it does not take all, it is tried again when it takes more.
    fn send(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            let allowed = self.output.check_write().map_err(broken)?;
            if allowed == 0 {
                self.writable.wake();
                return Ok(());
            }
            let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
            let part = self.unsent.split_to(allowed.min(self.unsent.len()));
            self.output.write(&part).map_err(broken)?;
        }
        Ok(())
    }
}

/// Sets what the runtime lets it set: without it a connection works, too.
fn set_keepalive(socket: &TcpSocket, keepalive: &Keepalive) {
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let _ = socket.set_keep_alive_enabled(true);
    let _ = socket.set_keep_alive_idle_time(nanoseconds(keepalive.idle));
    if let Some(interval) = keepalive.interval {
        let _ = socket.set_keep_alive_interval(nanoseconds(interval));
    }
    if let Some(retries) = keepalive.retries {
        let _ = socket.set_keep_alive_count(retries);
    }
}

/// What an error of a socket means.
fn reason(code: ErrorCode) -> &'static str {
    match code {
        // A component tells a wrong setting from an outage by these words, which Spin has, too.
        ErrorCode::AccessDenied => "the connection is not permitted by the runtime",
        other => other.name(),
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.send()?;
        if self.reads_left == 0 {
            self.reads_left = MAX_READS;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let wanted = buffer.remaining().min(MAX_READ_BYTES);
        match self.input.read(wanted as u64) {
            Ok(bytes) if bytes.is_empty() && wanted > 0 => {
                self.reads_left = MAX_READS;
                self.readable.wake();
                return Poll::Pending;
            }
            // A runtime that gives more than was asked for does not make this one panic.
            Ok(bytes) => buffer.put_slice(&bytes[..bytes.len().min(wanted)]),
            Err(StreamError::Closed) => {}
            Err(error) => return Poll::Ready(Err(broken(error))),
        }
        self.reads_left -= 1;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.unsent.len() >= MAX_UNSENT_BYTES {
            self.send()?;
        }
        let space = MAX_UNSENT_BYTES.saturating_sub(self.unsent.len());
        if space == 0 {
            return Poll::Pending;
        }
        let bytes = &bytes[..bytes.len().min(space)];
        self.unsent.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Leaves it to the next read, which is before anything is waited for.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.unsent.is_empty() {
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection may be gone already.
        let _ = self.send();
        let _ = self.socket.shutdown(ShutdownType::Send);
        Poll::Ready(Ok(()))
    }
}

fn broken(error: StreamError) -> io::Error {
    match error {
        StreamError::Closed => io::ErrorKind::BrokenPipe.into(),
        StreamError::LastOperationFailed(error) => io::Error::other(error.to_debug_string()),
    }
}

fn to_wasi(at: SocketAddr) -> IpSocketAddress {
    match at {
        SocketAddr::V4(at) => IpSocketAddress::Ipv4(Ipv4SocketAddress {
            port: at.port(),
            address: at.ip().octets().into(),
        }),
        SocketAddr::V6(at) => IpSocketAddress::Ipv6(Ipv6SocketAddress {
            port: at.port(),
            flow_info: at.flowinfo(),
            address: at.ip().segments().into(),
            scope_id: at.scope_id(),
        }),
    }
}
