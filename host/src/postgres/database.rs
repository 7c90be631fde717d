//! The connections to one database, and which statement goes over which.

use super::batch::Changes;
use super::link::{Link, MAX_REMEMBERED_BYTES, MAX_STATEMENTS, logged};
use super::outage::Outage;
use super::session::Own;
use super::statement::Kind;
use super::tls::Tls;
use super::{Sharing, chain, lock};
use crate::bindings::spin::postgres::postgres::{Error, QueryError};
use crate::telemetry::{ConnectionState, Counted, Telemetry};
use lru::LruCache;
use std::iter;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The shared connections of one thread to one database: one does the work, the others take over from
/// one that is held up by a slow statement.
const MAX_SHARED: usize = 4;

/// The connections that components of one thread may have to themselves (others wait for one, as long as
/// their request may take), those of changes that go together included; and how many of them are kept for the
/// next user when they are given back.
const MAX_OWN: usize = 16;
const MAX_OWN_IDLE: usize = 4;

/// For so long after the server took no connection, none is kept for later.
const CROWDED: Duration = Duration::from_secs(1);

/// A shared connection that has not answered for so long is held up: work goes elsewhere.
pub const HELD_UP: Duration = Duration::from_millis(50);

/// How long a statement that nobody waits for any more may go on before its connection is given up.
pub const ABANDONED: Duration = Duration::from_secs(1);

/// How often it is looked after until then, and the time between two cancellations: each ends one statement of
/// those that wait in the connection.
pub const MAX_LOOKS: u32 = 1000;
pub const BETWEEN_CANCELLATIONS: Duration = Duration::from_millis(20);

/// From TCP to a session that is ready, all hosts of an address together, unless its `connect_timeout` is
/// longer. TCP alone, for one host, gets `connect_timeout`, or else one second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TCP_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long sent data may go without acknowledgement before the connection counts as lost.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// After a failed attempt to connect, requests fail at once for this long: a database that is out of
/// reach is not stormed, and one that has come back is noticed soon.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

pub struct Database {
    config: Config,
    pub tls: MakeRustlsConnect,
    pub sharing: Sharing,
    telemetry: Telemetry,
    pub everywhere: Arc<Everywhere>,
    shared: Mutex<Vec<Arc<Shared>>>,
    idle: Mutex<Vec<Link>>,
    own_permits: Arc<Semaphore>,
    kinds: Mutex<LruCache<String, Kind>>,
    pub changes: Changes,
}

/// A connection that somebody has alone, and the right to one.
pub struct Lease {
    pub link: Link,
    pub permit: OwnedSemaphorePermit,
}

#[derive(Clone)]
struct FailedAttempt {
    began: Instant,
    ended: Instant,
    reason: String,
}

impl Database {
    /// Reads `address`; connects to nothing yet. `others` is what the other threads know of it, if any does.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if `address` is none that the driver understands.
    pub fn new(
        address: &str,
        tls: &Tls,
        sharing: Sharing,
        telemetry: Telemetry,
        others: Option<Arc<Everywhere>>,
    ) -> Result<Self, Error> {
        // The driver knows three of the six modes. `require` and above always verify; `allow` is a
        // `prefer` that would rather not.
        let known = address
            .replace("sslmode=verify-full", "sslmode=require")
            .replace("sslmode=verify-ca", "sslmode=require")
            .replace("sslmode=allow", "sslmode=prefer");
        let mut config: Config = known
            .parse()
            .map_err(|error| Error::BadParameter(chain(&error)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(Error::BadParameter("the address names no host".to_owned()));
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(TCP_CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(TCP_USER_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name(env!("CARGO_PKG_NAME"));
        }
        config.keepalives_idle(KEEPALIVE_IDLE);
        let tls = match config.get_ssl_mode() {
            SslMode::Require => tls.verifying(),
            _ => Tls::opportunistic(),
        };
        Ok(Self {
            everywhere: others.unwrap_or_else(|| Arc::new(Everywhere::new(name(&config)))),
            config,
            tls,
            sharing,
            telemetry,
            shared: Mutex::default(),
            idle: Mutex::default(),
            own_permits: Arc::new(Semaphore::new(MAX_OWN)),
            kinds: Mutex::new(LruCache::new(MAX_STATEMENTS)),
            changes: Changes::default(),
        })
    }

    pub fn kind(&self, sql: &str) -> Kind {
        if sql.len() > MAX_REMEMBERED_BYTES {
            // To look at it takes time and stack without a bound.
            return Kind::Session;
        }
        let mut kinds = lock(&self.kinds);
        if let Some(kind) = kinds.get(sql) {
            return *kind;
        }
        let kind = Kind::of(sql);
        kinds.put(sql.to_owned(), kind);
        kind
    }

    /// A shared connection to send the next statement over.
    pub async fn shared(&self) -> Result<Arc<Shared>, Error> {
        if let Some(shared) = self.unhindered() {
            return Ok(shared);
        }
        let mut failed = self.everywhere.connecting.lock().await;
        // Another request may have connected meanwhile.
        if let Some(shared) = self.unhindered() {
            return Ok(shared);
        }
        match self.connect(&mut failed, ConnectionState::Shared).await {
            Ok(link) => {
                let shared = Arc::new(Shared::new(link, self.tls.clone()));
                lock(&self.shared).push(shared.clone());
                self.everywhere.add(&shared);
                Ok(shared)
            }
            // Better held up than refused, and better another thread's than none.
            Err(failed) => self
                .least_loaded()
                .or_else(|| self.everywhere.least_loaded())
                .ok_or_else(|| self.out_of_reach(&failed)),
        }
    }

    /// A shared connection that is not held up; or, where there may be no more connections, the one
    /// with the least to do.
    fn unhindered(&self) -> Option<Arc<Shared>> {
        let mut shared = lock(&self.shared);
        shared.retain(|shared| shared.is_usable());
        let free = shared.iter().find(|shared| !shared.is_held_up()).cloned();
        let full = shared.len() == MAX_SHARED;
        drop(shared);
        free.or_else(|| if full { self.least_loaded() } else { None })
    }

    fn least_loaded(&self) -> Option<Arc<Shared>> {
        lock(&self.shared)
            .iter()
            .filter(|shared| shared.is_usable())
            .min_by_key(|shared| shared.load())
            .cloned()
    }

    /// A connection for one component alone.
    pub async fn own(self: &Arc<Self>) -> Result<Own, Error> {
        let permit = self
            .own_permits
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Error::ConnectionFailed("the host is shutting down".to_owned()))?;
        let link = match self.idle() {
            Some(link) => link,
            None => {
                let mut failed = self.everywhere.connecting.lock().await;
                let connected = self.connect(&mut failed, ConnectionState::Own).await;
                connected.map_err(|failed| self.out_of_reach(&failed))?
            }
        };
        Ok(Own::new(self.clone(), Lease { link, permit }))
    }

    /// A connection that was kept.
    fn idle(&self) -> Option<Link> {
        let mut link = iter::from_fn(|| lock(&self.idle).pop()).find(|link| !link.is_closed())?;
        link.set_state(ConnectionState::Own);
        Some(link)
    }

    /// A connection that was kept, if there is one that may be used now.
    pub fn idle_lease(&self) -> Option<Lease> {
        let permit = self.own_permits.clone().try_acquire_owned().ok()?;
        let link = self.idle()?;
        Some(Lease { link, permit })
    }

    /// Connects, and keeps the connection for whoever wants one next. Returns whether that could be done.
    pub async fn connect_idle(&self) -> bool {
        let Ok(_permit) = self.own_permits.try_acquire() else {
            return false;
        };
        let mut failed = self.everywhere.connecting.lock().await;
        let connected = self.connect(&mut failed, ConnectionState::Own).await;
        connected.map(|link| self.give_back(link)).is_ok()
    }

    /// Whether components that want connections for themselves do without, because there may be no more or
    /// the server takes no more.
    pub fn is_crowded(&self) -> bool {
        let was_refused = || match self.everywhere.connecting.try_lock() {
            Ok(last) => last
                .as_ref()
                .is_some_and(|failed| failed.ended.elapsed() < CROWDED),
            Err(_) => false,
        };
        self.own_permits.available_permits() == 0
            || (self.sharing == Sharing::Exclusive && was_refused())
    }

    /// Takes back a connection that somebody had, and that has forgotten them.
    pub fn give_back(&self, mut link: Link) {
        link.set_state(ConnectionState::Idle);
        let mut idle = lock(&self.idle);
        if idle.len() < MAX_OWN_IDLE {
            idle.push(link);
        }
    }

    /// Connects, unless that has just failed. `state` is what the connection is for.
    async fn connect(
        &self,
        last: &mut Option<FailedAttempt>,
        state: ConnectionState,
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
                self.everywhere.outage.end();
                return Ok(Link::new(client, Counted::new(&self.telemetry, state)));
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

    fn out_of_reach(&self, failed: &FailedAttempt) -> Error {
        self.everywhere.outage.begin(failed.began, &failed.reason);
        Error::ConnectionFailed(logged(&failed.reason))
    }

    /// Whether `error` says that a server that had to be writable no longer is.
    pub fn has_become_standby(&self, error: &Error) -> bool {
        let Error::QueryFailed(QueryError::DbError(error)) = error else {
            return false;
        };
        // read_only_sql_transaction
        error.code == "25006"
            && self.config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite
    }
}

/// What all threads know of one database: whether it is out of reach, and each other's shared connections,
/// for a thread that gets none of its own because the server takes no more.
pub struct Everywhere {
    pub outage: Outage,
    /// Held while connecting, so that one request tries and the others wait for what comes of it: a thread
    /// that is refused finds the connection of the one that took the last place.
    connecting: tokio::sync::Mutex<Option<FailedAttempt>>,
    shared: Mutex<Vec<Weak<Shared>>>,
}

impl Everywhere {
    fn new(name: String) -> Self {
        Self {
            outage: Outage::new(name),
            connecting: tokio::sync::Mutex::default(),
            shared: Mutex::default(),
        }
    }

    fn add(&self, shared: &Arc<Shared>) {
        let mut all = lock(&self.shared);
        all.retain(|shared| shared.strong_count() > 0);
        all.push(Arc::downgrade(shared));
    }

    fn least_loaded(&self) -> Option<Arc<Shared>> {
        lock(&self.shared)
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|shared| shared.is_usable())
            .min_by_key(|shared| shared.load())
    }
}

/// A connection that statements of several components go over at the same time.
pub struct Shared {
    pub link: Link,
    tls: MakeRustlsConnect,
    /// Statements under way, and how many of them somebody waits for.
    load: AtomicUsize,
    awaited: AtomicUsize,
    is_cancelling: AtomicBool,
    /// When the last statement was answered, or the first sent after a pause.
    last_sign: Mutex<Instant>,
    retired: AtomicBool,
}

impl Shared {
    fn new(link: Link, tls: MakeRustlsConnect) -> Self {
        Self {
            link,
            tls,
            load: AtomicUsize::new(0),
            awaited: AtomicUsize::new(0),
            is_cancelling: AtomicBool::new(false),
            last_sign: Mutex::new(Instant::now()),
            retired: AtomicBool::new(false),
        }
    }

    fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    fn is_usable(&self) -> bool {
        !self.link.is_closed() && !self.retired.load(Ordering::Relaxed)
    }

    fn is_held_up(&self) -> bool {
        self.load() > 0 && lock(&self.last_sign).elapsed() > HELD_UP
    }

    /// Takes no new statements; it closes when those under way are answered.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    fn finish(&self) {
        *lock(&self.last_sign) = Instant::now();
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A statement that has been sent over a shared connection.
pub struct UnderWay<'a> {
    shared: &'a Arc<Shared>,
    pub answered: bool,
}

impl<'a> UnderWay<'a> {
    pub fn new(shared: &'a Arc<Shared>) -> Self {
        shared.awaited.fetch_add(1, Ordering::Relaxed);
        if shared.load.fetch_add(1, Ordering::Relaxed) == 0 {
            *lock(&shared.last_sign) = Instant::now();
        }
        Self {
            shared,
            answered: false,
        }
    }
}

impl Drop for UnderWay<'_> {
    /// Where nobody waits for the answer any more, the connection is watched until it has come.
    fn drop(&mut self) {
        self.shared.awaited.fetch_sub(1, Ordering::Relaxed);
        if self.answered {
            self.shared.finish();
        } else if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(watch_abandoned(self.shared.clone()));
        }
    }
}

/// Waits for the end of what was abandoned on `shared`. If that takes long (a lock that somebody holds, say),
/// the connection gets no more work; and once nobody waits for anything on it, what runs there is cancelled,
/// statement by statement, so that given-up connections do not pile up in the server.
async fn watch_abandoned(shared: Arc<Shared>) {
    let client = &shared.link.client;
    // Answered in turn, after all that was sent before.
    let mut answered = pin!(client.batch_execute(""));
    let mut patience = ABANDONED;
    for _ in 0..MAX_LOOKS {
        if timeout(patience, &mut answered).await.is_ok() {
            break;
        }
        shared.retire();
        // One at a time: two cancellations at once may hit one statement.
        if shared.awaited.load(Ordering::Relaxed) == 0
            && !shared.is_cancelling.swap(true, Ordering::Relaxed)
        {
            let cancel = client.cancel_token();
            // If the server does not take it, it is tried again.
            let _ = timeout(ABANDONED, cancel.cancel_query(shared.tls.clone())).await;
            shared.is_cancelling.store(false, Ordering::Relaxed);
            patience = BETWEEN_CANCELLATIONS;
        }
    }
    shared.finish();
}

/// `host:port,host:port/database`, without user and password.
fn name(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(index, host)| {
            // One port may stand for all hosts.
            let port = ports.get(index).or(ports.first()).unwrap_or(&5432);
            match host {
                Host::Tcp(host) => format!("{host}:{port}"),
                Host::Unix(folder) => format!("{}:{port}", folder.display()),
            }
        })
        .collect();
    let database = config.get_dbname().or(config.get_user());
    format!("{}/{}", hosts.join(","), database.unwrap_or_default())
}
