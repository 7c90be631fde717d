//! A stream of bytes over `wasi:sockets/tcp`.

use crate::address::Keepalive;
use crate::bindings::instance_network::instance_network;
use crate::bindings::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use crate::bindings::streams::{InputStream, OutputStream, StreamError};
use crate::bindings::tcp::{ShutdownType, TcpSocket};
use crate::bindings::tcp_create_socket::create_tcp_socket;
use crate::executor::Event;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most that is read at a time: the runtime makes a buffer of this size for each read.
const MAX_READ_BYTES: usize = 64 * 1024;

/// So often is read at a time. A server that sends without end must not keep time limits from being noticed.
const MAX_READS: usize = 16;

/// A connection. (The fields are dropped in their order: events before their streams, and streams before their socket.)
pub struct TcpStream {
    readable: Event,
    writable: Event,
    input: InputStream,
    output: OutputStream,
    socket: TcpSocket,
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
            reads_left: MAX_READS,
        })
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
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let allowed = match self.output.check_write() {
            Ok(0) => {
                self.writable.wake();
                return Poll::Pending;
            }
            Ok(allowed) => usize::try_from(allowed).unwrap_or(usize::MAX),
            Err(error) => return Poll::Ready(Err(broken(error))),
        };
        let bytes = &bytes[..bytes.len().min(allowed)];
        let written = self.output.write(bytes).map(|()| bytes.len());
        Poll::Ready(written.map_err(broken))
    }

    /// The runtime sends what it has been given; this asks it not to wait for more.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.output.flush().map_err(broken))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection may be gone already.
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
