//! Connecting to a server.

use crate::address::{Address, Encryption, Host, Location, socket};
use crate::client_certificate::ClientCertificate;
use crate::counts::{ConnectionCounts, Counted, Usage};
use crate::link::Link;
use crate::options::Options;
use crate::outage::Outage;
use crate::password::PasswordSource;
use crate::permit::{Destination, Permit};
use crate::pooler::Pooler;
use crate::rows::AnswerMemory;
use crate::server::{Opened, Place, Server};
use crate::tls::{Tls, connect};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::lookup_host;
use tokio::time::{sleep, timeout};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres_rustls::MakeRustlsConnect;

/// If a host has not answered for so long, the next one is tried beside it.
const NEXT_AFTER: Duration = Duration::from_millis(500);

/// The most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// After a failed attempt there is no other for this long: a database that is unreachable is not flooded, and one that has come
/// back is noticed soon.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Connects to one database.
pub struct Connector {
    address: Address,
    tls: MakeRustlsConnect,
    permit: Permit,
    passwords: Option<PasswordSource>,
    counts: ConnectionCounts,
    memory: AnswerMemory,
    pooler: Arc<Pooler>,
    certificate: Option<Arc<ClientCertificate>>,
}

/// An attempt to connect that failed.
#[derive(Clone)]
pub struct FailedAttempt {
    pub began: Instant,
    pub ended: Instant,
    pub reason: String,
}

impl FailedAttempt {
    /// From when on there may be another one.
    pub fn next(&self) -> Instant {
        self.ended + RETRY_PAUSE
    }
}

impl Connector {
    pub fn new(
        address: Address,
        options: &Options,
        counts: ConnectionCounts,
        memory: AnswerMemory,
        pooler: Arc<Pooler>,
        certificate: Option<Arc<ClientCertificate>>,
    ) -> Self {
        let tls = match address.encryption {
            Encryption::Verified => options.tls.verifying(),
            Encryption::Opportunistic | Encryption::None => Tls::opportunistic(),
        };
        let tls = connect(tls, certificate.clone());
        Self {
            address,
            tls,
            permit: options.permit.clone(),
            passwords: options.passwords.clone(),
            counts,
            memory,
            pooler,
            certificate,
        }
    }

    /// Whether the address asks for a server that can be written.
    pub fn wants_primary(&self) -> bool {
        self.address.config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite
    }

    /// Connects, unless the `last` attempt has just failed. A new connection ends the `outage`.
    pub async fn connect(
        &self,
        last: &mut Option<FailedAttempt>,
        outage: &Outage,
        usage: Usage,
    ) -> Result<Link, FailedAttempt> {
        if let Some(failed) = last
            && Instant::now() < failed.next()
        {
            return Err(failed.clone());
        }
        let began = Instant::now();
        let reason = match self.connect_to_any().await {
            Ok(opened) => {
                *last = None;
                outage.connected();
                let counted = Counted::new(self.counts.clone(), usage);
                return Ok(Link::new(
                    opened,
                    counted,
                    self.memory.clone(),
                    self.pooler.clone(),
                ));
            }
            Err(reason) => reason,
        };
        let failed = FailedAttempt {
            began,
            ended: Instant::now(),
            reason,
        };
        *last = Some(failed.clone());
        Err(failed)
    }

    /// # Errors
    /// Why the last host could not be used.
    async fn connect_to_any(&self) -> Result<Opened, String> {
        let mut result = Err("the address names no host".to_owned());
        for wanted in self.address.wanted_attributes() {
            let hosts = self.address.hosts_in_order();
            let attempts = hosts.iter().map(|host| self.connect_to_host(host, wanted));
            result = race(attempts.map(Box::pin).collect()).await;
            if result.is_ok() {
                break;
            }
        }
        result
    }

    async fn connect_to_host(
        &self,
        host: &Host,
        wanted: TargetSessionAttrs,
    ) -> Result<Opened, String> {
        let patience = self.address.connect_timeout;
        let connecting = async {
            match &host.at {
                Location::Unix(folder) => {
                    let socket = Place::Unix(socket(folder, host.port));
                    self.open_session(socket, "", wanted).await
                }
                Location::Tcp(name, Some(ip)) => {
                    let address = Place::Tcp((*ip, host.port).into());
                    self.open_session(address, name, wanted).await
                }
                Location::Tcp(name, None) => {
                    let found = lookup_host((name.as_str(), host.port)).await;
                    let found = found.map_err(|error| format!("{name}: {error}"))?;
                    let attempts = found
                        .take(MAX_ADDRESSES)
                        .map(|address| self.open_session(Place::Tcp(address), name, wanted));
                    race(attempts.map(Box::pin).collect()).await
                }
            }
        };
        let connected = timeout(patience, connecting).await;
        connected.unwrap_or_else(|_| Err(format!("no session within {patience:?}")))
    }

    /// Opens a session on the server at `at`, whose certificate is for `name`.
    async fn open_session(
        &self,
        at: Place,
        name: &str,
        wanted: TargetSessionAttrs,
    ) -> Result<Opened, String> {
        if let Place::Tcp(at) = at {
            (self.permit)(Destination::Found { host: name, at })?;
        }
        if let Some(certificate) = &self.certificate {
            certificate.refresh();
        }
        let server = Server::new(&self.address, at, name, &self.tls);
        Arc::new(server).open(wanted, self.passwords.as_ref()).await
    }
}

/// The first of `attempts` that succeeds. The next one begins when one has failed, or none has ended for [`NEXT_AFTER`].
///
/// # Errors
/// If all fail; the reason of the last one.
async fn race<T>(
    attempts: VecDeque<impl Future<Output = Result<T, String>> + Unpin>,
) -> Result<T, String> {
    let mut waiting = attempts;
    let mut running = FuturesUnordered::new();
    let mut reason = "the name has no address".to_owned();
    loop {
        if let Some(next) = waiting.pop_front() {
            running.push(next);
        }
        if running.is_empty() {
            return Err(reason);
        }
        tokio::select! {
            ended = running.next() => match ended {
                Some(Ok(connected)) => return Ok(connected),
                Some(Err(failed)) => reason = failed,
                None => {}
            },
            () = sleep(NEXT_AFTER), if !waiting.is_empty() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::{BoxFuture, FutureExt, pending, ready};

    type Attempt = BoxFuture<'static, Result<u8, String>>;

    fn run(attempts: Vec<Attempt>) -> (Result<u8, String>, Duration) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let start = Instant::now();
        let result = runtime.unwrap().block_on(race(attempts.into()));
        (result, start.elapsed())
    }

    fn ends(result: Result<u8, &str>) -> Attempt {
        ready(result.map_err(str::to_owned)).boxed()
    }

    #[test]
    fn the_first_that_succeeds_is_taken() {
        let (result, took) = run(vec![ends(Err("gone")), ends(Ok(2)), ends(Ok(3))]);
        assert_eq!(result, Ok(2));
        assert!(took < NEXT_AFTER);
    }

    #[test]
    fn one_that_is_silent_blocks_no_other() {
        let silent = || pending().boxed();
        let (result, took) = run(vec![silent(), ends(Ok(2))]);
        assert_eq!(result, Ok(2));
        assert!(took >= NEXT_AFTER && took < 3 * NEXT_AFTER, "{took:?}");
        let late = async {
            sleep(NEXT_AFTER * 2).await;
            Ok(1)
        };
        let (result, _) = run(vec![late.boxed(), ends(Err("gone")), silent()]);
        assert_eq!(result, Ok(1), "the first one is still waited for");
    }

    #[test]
    fn the_last_reason_is_told() {
        let (result, _) = run(vec![ends(Err("first")), ends(Err("second"))]);
        assert_eq!(result, Err("second".to_owned()));
        assert!(run(vec![]).0.is_err());
    }
}
