//! Connecting to a server.

use crate::counts::{ConnectionCounts, Counted, Usage};
use crate::error::chain;
use crate::link::Link;
use crate::outage::Outage;
use crate::tls::Tls;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

/// From TCP to a session that is ready, all hosts of an address together, unless its `connect_timeout` is longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// After a failed attempt, others fail at once for this long: a database that is unreachable is not flooded, and one that has
/// come back is noticed soon.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Connects to one database.
pub struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
    counts: ConnectionCounts,
}

/// An attempt to connect that failed.
#[derive(Clone)]
pub struct FailedAttempt {
    pub began: Instant,
    pub ended: Instant,
    pub reason: String,
}

impl Connector {
    pub fn new(config: Config, tls: &Tls, counts: ConnectionCounts) -> Self {
        let tls = match config.get_ssl_mode() {
            SslMode::Require => tls.verifying(),
            _ => Tls::opportunistic(),
        };
        Self {
            config,
            tls,
            counts,
        }
    }

    /// Encrypts cancellations, too, which have connections of their own.
    pub fn tls(&self) -> &MakeRustlsConnect {
        &self.tls
    }

    /// Whether the address asks for a server that can be written.
    pub fn wants_primary(&self) -> bool {
        self.config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite
    }

    /// Connects, unless the `last` attempt has just failed. A new connection ends the `outage`.
    pub async fn connect(
        &self,
        last: &mut Option<FailedAttempt>,
        outage: &Outage,
        usage: Usage,
    ) -> Result<Link, FailedAttempt> {
        if let Some(failed) = last
            && failed.ended.elapsed() < RETRY_PAUSE
        {
            return Err(failed.clone());
        }
        let began = Instant::now();
        let tcp_timeout = self.config.get_connect_timeout().copied();
        let patience = CONNECT_TIMEOUT.max(tcp_timeout.unwrap_or_default());
        let reason = match timeout(patience, self.config.connect(self.tls.clone())).await {
            Ok(Ok((client, connection))) => {
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!("a connection to postgres broke: {}", chain(&error));
                    }
                });
                *last = None;
                outage.end();
                let counted = Counted::new(self.counts.clone(), usage);
                return Ok(Link::new(client, counted));
            }
            Ok(Err(error)) => chain(&error),
            Err(_) => format!("no session within {patience:?}"),
        };
        let failed = FailedAttempt {
            began,
            ended: Instant::now(),
            reason,
        };
        *last = Some(failed.clone());
        Err(failed)
    }
}
