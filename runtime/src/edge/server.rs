//! Accepts connections within their limits, serves an application over them, and drains them at the end.

use super::connection::Connection;
use super::exchange::Edge;
use super::open::OpenConnections;
use super::tls::Tls;
use crate::limits::ConnectionLimits;
use futures_util::FutureExt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The pause after an error that accepting again would only repeat (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The most connections that are still accepted when the server drains: as many as the kernel's queue holds, with the
/// backlog that the listener has.
const MAX_BACKLOG: usize = 1024;

/// How long that may take: some may have to wait for others to end.
const BACKLOG_TIME: Duration = Duration::from_secs(1);

/// How connections are served. Clones share the limit on open connections.
///
/// ```no_run
/// # use http_component_runtime::{App, ConnectionLimits, Edge, Routes, Server};
/// # use std::time::Duration;
/// # async fn example(app: App) -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let server = Server::new(ConnectionLimits::default(), None);
/// let edge = Edge::new(app, Routes::default(), None);
/// // Until somebody presses Ctrl-C; then what is in flight has ten seconds.
/// server.serve(listener, edge, tokio::signal::ctrl_c(), Duration::from_secs(10)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Server {
    limits: ConnectionLimits,
    tls: Option<Tls>,
    open: OpenConnections,
}

impl Server {
    /// Over TLS, if there is `tls`.
    pub fn new(limits: ConnectionLimits, tls: Option<Tls>) -> Self {
        Self {
            limits,
            tls,
            open: OpenConnections::new(limits),
        }
    }

    /// Serves `edge` on `listener` until `shutdown` is done. Then drains: requests in flight may take `grace` to finish.
    pub async fn serve(
        &self,
        listener: TcpListener,
        edge: Edge,
        shutdown: impl Future,
        grace: Duration,
    ) {
        let connections = Connections {
            server: self,
            edge,
            drain: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        connections.accept_until(&listener, shutdown).await;
        let _ = timeout(BACKLOG_TIME, connections.accept_backlog(&listener)).await;
        drop(listener);
        connections.drain(grace).await;
    }
}

/// The connections of one listener.
struct Connections<'a> {
    server: &'a Server,
    edge: Edge,
    drain: CancellationToken,
    tasks: TaskTracker,
}

impl Connections<'_> {
    async fn accept_until(&self, listener: &TcpListener, shutdown: impl Future) {
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = &mut shutdown => return,
            };
            match accepted {
                Ok((stream, address)) => self.start(stream, address).await,
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!("cannot accept connections: {error}");
                    self.server.open.shed(Instant::now());
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Accepts the connections that wait in the kernel's queue, because they would be reset with the listener.
    async fn accept_backlog(&self, listener: &TcpListener) {
        for _ in 0..MAX_BACKLOG {
            match listener.accept().now_or_never() {
                Some(Ok((stream, address))) => self.start(stream, address).await,
                _ => return,
            }
        }
    }

    /// Serves `stream` in a task of its own; closes it if there is no place for it.
    async fn start(&self, stream: TcpStream, address: SocketAddr) {
        let metrics = &self.edge.telemetry().metrics;
        let open = metrics.open_connection();
        let admission = self.server.open.admit(address.ip(), Instant::now());
        let membership = match admission.await {
            Ok(membership) => membership,
            Err(refusal) => return metrics.refusal(refusal),
        };
        let connection = Connection {
            edge: self.edge.clone(),
            limits: self.server.limits,
            drain: self.drain.clone(),
        };
        let tls = self.server.tls.clone();
        self.tasks.spawn(async move {
            connection.serve(stream, tls, membership).await;
            drop(open);
        });
    }

    async fn drain(self, grace: Duration) {
        self.drain.cancel();
        self.tasks.close();
        if timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!("requests were still in flight after {grace:?}, and were cut off");
        }
    }
}

/// Whether an error of `accept` belongs to the connection that was to be accepted, and not to the listener.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_left_is_no_fault_of_the_listener() {
        for (kind, expected) in [
            (io::ErrorKind::ConnectionAborted, true),
            (io::ErrorKind::ConnectionReset, true),
            (io::ErrorKind::OutOfMemory, false),
            (io::ErrorKind::Other, false),
        ] {
            assert_eq!(concerns_one_connection(&kind.into()), expected, "{kind}");
        }
    }
}
