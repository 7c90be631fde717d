//! One server: sessions on it, and cancellations of what runs there.

use crate::address::{Address, Keepalive};
use crate::attributes::check_attributes;
use crate::error::chain;
use crate::inbound::Inbound;
use crate::password::{Account, Password, PasswordSource};
use futures_util::future::{BoxFuture, FutureExt};
use socket2::{SockRef, TcpKeepalive};
use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{CancelToken, Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::either::Either;

/// A server at one address.
pub struct Server {
    config: Config,
    keepalive: Option<Keepalive>,
    at: Place,
    /// The name in its certificate.
    name: String,
    tls: MakeRustlsConnect,
}

/// Where a server listens: an address, or the path of a socket.
pub enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A session, and where it is.
pub struct Opened {
    pub client: Client,
    pub server: Arc<Server>,
}

/// The class of the errors of a login (PostgreSQL documentation, appendix A).
const INVALID_AUTHORIZATION: &str = "28";

type Socket = Either<TcpStream, UnixStream>;

type Rustls = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;

impl Server {
    /// The server of `address` at `at`, whose certificate is for `name`.
    pub fn new(address: &Address, at: Place, name: &str, tls: &MakeRustlsConnect) -> Self {
        Self {
            config: address.config.clone(),
            keepalive: address.keepalive.clone(),
            at,
            name: name.to_owned(),
            tls: tls.clone(),
        }
    }

    /// Opens a session that has the attributes `wanted`, with a password of `passwords` if there are any.
    ///
    /// # Errors
    /// Why there is none, in one line.
    pub async fn open(
        self: Arc<Self>,
        wanted: TargetSessionAttrs,
        passwords: Option<&PasswordSource>,
    ) -> Result<Opened, String> {
        // First, because the server gives a connection little time to log in.
        let password = self.password(passwords).await?;
        let mut config = Cow::Borrowed(&self.config);
        if let Some(password) = &password {
            config.to_mut().password(password.text());
        }
        let socket = self.connect().await.map_err(|error| error.to_string())?;
        let connected = config.connect_raw(socket, self.encryption()?).await;
        let (client, connection) = connected.map_err(|error| refusal(&error, password.as_ref()))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection to postgres broke: {}", chain(&error));
            }
        });
        check_attributes(&client, wanted).await?;
        Ok(Opened {
            client,
            server: self,
        })
    }

    /// # Errors
    /// Why none was made, in one line.
    async fn password(&self, source: Option<&PasswordSource>) -> Result<Option<Password>, String> {
        let (Some(source), Place::Tcp(at), Some(user)) = (source, &self.at, self.config.get_user())
        else {
            return Ok(None);
        };
        let account = Account {
            host: &self.name,
            port: at.port(),
            user,
        };
        source(account)?.await.map(Some)
    }

    /// Asks for the end of the statement that runs in the session of `token`. It may come too late. Ends when the server has
    /// taken the request, and never if it has stopped.
    ///
    /// # Errors
    /// Why it was not asked, in one line.
    pub async fn cancel(&self, token: &CancelToken) -> Result<(), String> {
        let mut socket = self.connect().await.map_err(|error| error.to_string())?;
        if self.config.get_ssl_mode() != SslMode::Disable {
            // The server answers the request for TLS, so it has not stopped.
            let sent = token.cancel_query_raw(socket, self.encryption()?).await;
            return sent.map_err(|error| chain(&error));
        }
        let sent = token.cancel_query_raw(&mut socket, NoTls).await;
        sent.map_err(|error| chain(&error))?;
        // It closes the connection when it has taken the request (PostgreSQL documentation, "Canceling Requests in Progress").
        let _ = socket.read_u8().await;
        Ok(())
    }

    async fn connect(&self) -> io::Result<Inbound<Socket>> {
        let socket = match self.config.get_connect_timeout() {
            Some(patience) => timeout(*patience, self.dial()).await.map_err(|_| {
                let reason = format!("no connection within {patience:?}");
                io::Error::new(io::ErrorKind::TimedOut, reason)
            })??,
            None => self.dial().await?,
        };
        Ok(match self.config.get_ssl_mode() {
            SslMode::Disable => Inbound::new(socket),
            _ => Inbound::after_request_for_tls(socket),
        })
    }

    async fn dial(&self) -> io::Result<Socket> {
        Ok(match &self.at {
            Place::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                self.set_options(&stream)?;
                Either::Left(stream)
            }
            Place::Unix(path) => Either::Right(UnixStream::connect(path).await?),
        })
    }

    fn set_options(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        if let Some(limit) = self.config.get_tcp_user_timeout() {
            socket.set_tcp_user_timeout(Some(*limit))?;
        }
        if let Some(asked) = &self.keepalive {
            let mut keepalive = TcpKeepalive::new().with_time(asked.idle);
            if let Some(interval) = asked.interval {
                keepalive = keepalive.with_interval(interval);
            }
            if let Some(retries) = asked.retries {
                keepalive = keepalive.with_retries(retries);
            }
            socket.set_tcp_keepalive(&keepalive)?;
        }
        Ok(())
    }

    fn encryption(&self) -> Result<InboundTls, String> {
        let mut tls = self.tls.clone();
        let tls = MakeTlsConnect::<Socket>::make_tls_connect(&mut tls, &self.name);
        tls.map(InboundTls).map_err(|error| error.to_string())
    }
}

/// Why there is no session, in one line; and with which password, if that is why.
fn refusal(error: &tokio_postgres::Error, password: Option<&Password>) -> String {
    let reason = chain(error);
    let is_of_login = error
        .code()
        .is_some_and(|code| code.code().starts_with(INVALID_AUTHORIZATION));
    match password {
        Some(password) if is_of_login => format!("{reason} (with {})", password.origin()),
        _ => reason,
    }
}

/// TLS, under the messages.
struct InboundTls(Rustls);

impl TlsConnect<Inbound<Socket>> for InboundTls {
    type Stream = Inbound<<Rustls as TlsConnect<Socket>>::Stream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Stream>>;

    fn connect(self, stream: Inbound<Socket>) -> Self::Future {
        let connecting = self.0.connect(stream.into_inner());
        connecting.map(|stream| stream.map(Inbound::new)).boxed()
    }
}
