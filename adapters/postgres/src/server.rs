//! One server: sessions on it, and cancellations of what runs there.

use crate::address::{Address, Keepalive};
use crate::attributes::check_attributes;
use crate::error::chain;
use crate::executor::within;
use crate::inbound::Inbound;
use crate::session::Session;
use crate::tcp::TcpStream;
use crate::tls::{Handshake, Tls};
use crate::wire::Wire;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{CancelToken, Config, NoTls};

/// How long TCP may take for a cancellation.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A server at one address.
#[derive(Clone)]
pub struct Server {
    config: Config,
    keepalive: Option<Keepalive>,
    at: SocketAddr,
    /// The name in its certificate.
    name: String,
    tls: Tls,
}

impl Server {
    /// The server of `address` at `at`, whose certificate is for `name`.
    pub fn new(address: &Address, at: SocketAddr, name: &str, tls: &Tls) -> Self {
        Self {
            config: address.config.clone(),
            keepalive: address.keepalive.clone(),
            at,
            name: name.to_owned(),
            tls: tls.clone(),
        }
    }

    /// Opens a session that has the attributes `wanted`.
    ///
    /// # Errors
    /// Why there is none, in one line.
    pub async fn open(self, wanted: TargetSessionAttrs) -> Result<Session, String> {
        let stream = self.connect().await?;
        let connected = self.config.connect_raw(stream, self.handshake()?).await;
        let (client, driver) = connected.map_err(|error| chain(&error))?;
        let mut wire = Wire::new(driver);
        wire.carry(check_attributes(&client, wanted)).await?;
        Ok(Session::new(client, wire, self))
    }

    /// Asks for the end of the statement that runs in the session of `token`. It may come too late. Ends when the server has
    /// taken the request, and never if it has stopped.
    ///
    /// # Errors
    /// Why it was not asked, in one line.
    pub async fn cancel(&self, token: CancelToken) -> Result<(), String> {
        let mut stream = self.connect().await?;
        if self.config.get_ssl_mode() != SslMode::Disable {
            // The server answers the request for TLS, so it has not stopped.
            let sent = token.cancel_query_raw(stream, self.handshake()?).await;
            return sent.map_err(|error| chain(&error));
        }
        let sent = token.cancel_query_raw(&mut stream, NoTls).await;
        sent.map_err(|error| chain(&error))?;
        // It closes the connection when it has taken the request (PostgreSQL documentation, "Canceling Requests in Progress").
        let _ = stream.read_u8().await;
        Ok(())
    }

    async fn connect(&self) -> Result<Inbound<TcpStream>, String> {
        let patience = *self
            .config
            .get_connect_timeout()
            .unwrap_or(&CONNECT_TIMEOUT);
        let connecting = TcpStream::connect(self.at, self.keepalive.as_ref());
        let late = || Err(format!("{}: no connection within {patience:?}", self.at));
        let stream = within(patience, connecting).await.unwrap_or_else(late)?;
        Ok(match self.config.get_ssl_mode() {
            SslMode::Disable => Inbound::new(stream),
            _ => Inbound::after_request_for_tls(stream),
        })
    }

    fn handshake(&self) -> Result<Handshake, String> {
        self.tls.to(&self.name)
    }
}
