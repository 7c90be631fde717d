//! The connection of one thread: it is made when it is needed, and made again when it has broken.

use super::address::{Address, Host, Topology};
use crate::client_tls::client_config;
use crate::imports::key_value::outage::{Cause, Failure};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisConnectionInfo,
    RedisError, RedisResult, ServerErrorKind,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long one sentinel may take, if there are others.
const SENTINEL_TIMEOUT: Duration = Duration::from_millis(500);

/// The most commands that wait to be written to one connection; more wait for a place.
const MAX_WAITING: usize = 256;

/// How often the client library follows a slot that has moved to another node.
const MAX_REDIRECTS: u32 = 3;

/// What all threads share.
pub struct Server {
    pub address: Address,
    /// The most time for all of an operation.
    pub timeout: Duration,
    tls: OnceLock<Arc<ClientConfig>>,
}

impl Server {
    pub fn new(address: Address, timeout: Duration) -> Self {
        Self {
            address,
            timeout,
            tls: OnceLock::new(),
        }
    }

    async fn connect(&self) -> RedisResult<Connection> {
        // Read for each connection, so that a new password needs no restart: a server keeps the connections that it has.
        let settings = &self.address.settings().map_err(|error| {
            let kind = ErrorKind::InvalidClientConfig;
            RedisError::from((kind, "the address", error.to_string()))
        })?;
        match &self.address.topology {
            Topology::Single => match self.address.hosts.first() {
                Some(host) => Ok(Connection::Single(self.open(host, settings).await?)),
                None => Err(RedisError::from(io::Error::from(io::ErrorKind::NotFound))),
            },
            Topology::Sentinel(name) => {
                let host = self.ask_sentinels(name).await?;
                Ok(Connection::Single(self.open(&host, settings).await?))
            }
            Topology::Cluster => {
                let client = ClusterClient::builder(self.address.infos(settings))
                    .connection_timeout(self.timeout / 2)
                    .response_timeout(self.timeout)
                    .overall_response_timeout(Some(self.timeout))
                    .retries(MAX_REDIRECTS)
                    .build()?;
                let connection = client.get_async_connection().await?;
                Ok(Connection::Cluster(connection))
            }
        }
    }

    /// Where the server of this name is now, by the first sentinel that knows it.
    async fn ask_sentinels(&self, name: &str) -> RedisResult<Host> {
        let mut failed = RedisError::from((
            ErrorKind::MasterNameNotFoundBySentinel,
            "no sentinel knows the name",
        ));
        for sentinel in &self.address.hosts {
            let asking = timeout(SENTINEL_TIMEOUT, self.ask(sentinel, name));
            match asking.await.unwrap_or_else(|_| Err(silent())) {
                Ok(Some((name, port))) => return Ok(Host { name, port }),
                Ok(None) => {}
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn ask(&self, sentinel: &Host, name: &str) -> RedisResult<Option<(String, u16)>> {
        let mut connection = self.open(sentinel, &RedisConnectionInfo::default()).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        command.query_async(&mut connection).await
    }

    /// Not by the client library, which would set a provider of TLS for the whole process.
    async fn open(
        &self,
        host: &Host,
        settings: &RedisConnectionInfo,
    ) -> RedisResult<MultiplexedConnection> {
        let stream = TcpStream::connect((host.name.as_str(), host.port)).await?;
        stream.set_nodelay(true)?;
        if !self.address.is_encrypted {
            return self.start(settings, stream).await;
        }
        let name = ServerName::try_from(host.name.clone());
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let connector =
            TlsConnector::from(self.tls.get_or_init(|| Arc::new(client_config())).clone());
        let stream = connector.connect(name, stream).await?;
        self.start(settings, stream).await
    }

    async fn start(
        &self,
        settings: &RedisConnectionInfo,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::default()
            .set_response_timeout(Some(self.timeout))
            .set_pipeline_buffer_size(MAX_WAITING);
        let starting = MultiplexedConnection::new_with_config(settings, stream, config);
        let (connection, driver) = starting.await?;
        // It ends when the connection is dropped or breaks.
        tokio::spawn(driver);
        Ok(connection)
    }
}

fn silent() -> RedisError {
    io::Error::new(io::ErrorKind::TimedOut, "it does not answer").into()
}

#[derive(Clone)]
pub enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// What is sent together.
pub enum Request {
    Command(Cmd),
    Pipeline(Pipeline),
}

impl Request {
    async fn send<T: FromRedisValue>(
        &self,
        connection: &mut (impl ConnectionLike + Send),
    ) -> RedisResult<T> {
        match self {
            Self::Command(command) => command.query_async(connection).await,
            Self::Pipeline(pipeline) => pipeline.query_async(connection).await,
        }
    }
}

/// The connection of one thread.
pub struct Link {
    pub server: Arc<Server>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Connection>,
    /// Counts connections, so that each is discarded once.
    number: u64,
    /// When an attempt to connect failed last, and how.
    failed: Option<(Instant, RedisError)>,
}

struct Taken {
    connection: Connection,
    number: u64,
    /// It was there before, and may have broken since.
    is_kept: bool,
}

impl Link {
    pub fn new(server: Arc<Server>) -> Self {
        Self {
            server,
            state: Mutex::default(),
        }
    }

    /// Sends `request`, and once more if a connection that was kept has broken: what it does twice is the same as once.
    pub async fn query<T: FromRedisValue>(&self, request: &Request) -> Result<T, Cause> {
        let mut taken = None;
        let asking = timeout(self.server.timeout, self.try_query(request, &mut taken));
        match asking.await {
            Ok(result) => Ok(result?),
            Err(_) => {
                if let Some(number) = taken {
                    self.discard(number).await;
                }
                Err(Failure::out_of_reach("it does not answer").into())
            }
        }
    }

    async fn try_query<T: FromRedisValue>(
        &self,
        request: &Request,
        number: &mut Option<u64>,
    ) -> RedisResult<T> {
        let is_dropped = |error: &RedisError| error.is_connection_dropped();
        match self.attempt(request, number).await {
            Err((true, error)) if is_dropped(&error) => self.attempt(request, number).await,
            result => result,
        }
        .map_err(|(_, error)| error)
    }

    /// One attempt, on the connection whose number it notes. With the error comes whether the connection was kept.
    async fn attempt<T: FromRedisValue>(
        &self,
        request: &Request,
        number: &mut Option<u64>,
    ) -> Result<T, (bool, RedisError)> {
        let mut taken = self.take().await.map_err(|error| (false, error))?;
        *number = Some(taken.number);
        let result = match &mut taken.connection {
            Connection::Single(connection) => request.send(connection).await,
            Connection::Cluster(connection) => request.send(connection).await,
        };
        if let Err(error) = &result
            && is_broken(error)
        {
            self.discard(taken.number).await;
        }
        result.map_err(|error| (taken.is_kept, error))
    }

    /// The connection, for commands that have to reach certain nodes of a cluster.
    pub async fn connection(&self) -> Result<Connection, Cause> {
        let taking = timeout(self.server.timeout, self.take());
        let taken = taking.await.unwrap_or_else(|_| Err(silent()))?;
        Ok(taken.connection)
    }

    async fn take(&self) -> RedisResult<Taken> {
        let began = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.current {
            return Ok(Taken {
                connection: connection.clone(),
                number: state.number,
                is_kept: true,
            });
        }
        // Whoever has waited for an attempt that failed does not make another one.
        if let Some((at, error)) = &state.failed
            && *at >= began
        {
            return Err(error.clone());
        }
        let connecting = timeout(self.server.timeout / 2, self.server.connect());
        match connecting.await.unwrap_or_else(|_| Err(silent())) {
            Ok(connection) => {
                state.number += 1;
                state.current = Some(connection.clone());
                Ok(Taken {
                    connection,
                    number: state.number,
                    is_kept: false,
                })
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn discard(&self, number: u64) {
        let mut state = self.state.lock().await;
        if state.number == number {
            state.current = None;
        }
    }
}

/// Whether another connection may do better: it may lead to another server, by a name or a sentinel that has changed, or have
/// other rights.
fn is_broken(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || matches!(
            error.kind(),
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
        )
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}
