//! New connections to other servers, to where the policy allows.

use super::error::ConnectError;
use crate::egress::{Destination, Egress, usual_port};
use crate::limits::{Slot, Slots};
use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tower_service::Service;

/// The most connections of all threads, with those that are kept for another request: each takes a file descriptor.
const MAX_CONNECTIONS: usize = 512;

/// The most addresses of one name that are tried, and how long one of them may take if there are others.
const MAX_ADDRESSES: usize = 8;
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(2);

/// Opens connections of TCP. Clones count them together.
#[derive(Clone)]
pub struct Connector {
    egress: Egress,
    slots: Slots,
}

impl Connector {
    pub fn new(egress: Egress) -> Self {
        Self {
            egress,
            slots: Slots::new(MAX_CONNECTIONS),
        }
    }

    async fn connect(self, uri: Uri) -> Result<Socket, ConnectError> {
        let destination = self.destination(&uri)?;
        let slot = self.slots.take().ok_or(ConnectError::TooMany)?;
        let addresses = addresses(&uri, port(&uri)).await?;
        let mut reason = ConnectError::NoAddress;
        for address in addresses {
            match open(&destination, address).await {
                Ok(stream) => {
                    let stream = TokioIo::new(stream);
                    return Ok(Socket {
                        stream,
                        _slot: slot,
                    });
                }
                // That an address is not allowed says more than that another one did not answer.
                Err(_) if matches!(reason, ConnectError::Refused(_)) => {}
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }

    /// # Errors
    /// If no rule of the policy names the server of `uri`.
    pub fn destination(&self, uri: &Uri) -> Result<Destination, ConnectError> {
        let host = uri.host().unwrap_or_default();
        let named = self.egress.destination(scheme(uri), host, port(uri));
        Ok(named?)
    }
}

fn scheme(uri: &Uri) -> &'static str {
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => "https",
        _ => "http",
    }
}

fn port(uri: &Uri) -> u16 {
    let usual = || usual_port(scheme(uri)).unwrap_or_default();
    uri.port_u16().unwrap_or_else(usual)
}

/// What the host of `uri` is found at.
async fn addresses(uri: &Uri, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let host = uri.host().unwrap_or_default();
    // An address of IPv6 has brackets in a URI.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = lookup_host((host, port)).await.map_err(ConnectError::Dns)?;
    Ok(found.take(MAX_ADDRESSES).collect())
}

async fn open(destination: &Destination, address: SocketAddr) -> Result<TcpStream, ConnectError> {
    destination.admit(address.ip())?;
    let connecting = timeout(ADDRESS_TIMEOUT, TcpStream::connect(address));
    let stream = connecting.await.map_err(|_| ConnectError::Timeout)?;
    let stream = stream.map_err(ConnectError::Io)?;
    stream.set_nodelay(true).map_err(ConnectError::Io)?;
    Ok(stream)
}

impl Service<Uri> for Connector {
    type Response = Socket;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Socket, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// A connection, which counts as open until it is dropped.
pub struct Socket {
    stream: TokioIo<TcpStream>,
    _slot: Slot,
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Socket {
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

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }
}
