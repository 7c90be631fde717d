//! The connections of one thread to one database, and which of them a statement goes over.

use crate::connect::{Connector, FailedAttempt};
use crate::counts::Usage;
use crate::dedicated::{Dedicated, DedicatedPool};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::link::{Link, MAX_REMEMBERED_BYTES, MAX_STATEMENTS};
use crate::options::Sharing;
use crate::outage::SHORT_OUTAGE;
use crate::shared::SharedConnection;
use crate::statement::Kind;
use lru::LruCache;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep_until;

/// The most shared connections: one does the work, the others take over while it is stalled by a slow statement.
const MAX_SHARED: usize = 4;

/// For so long after the server refused a connection, the pool counts as exhausted.
const EXHAUSTED_AFTER_REFUSAL: Duration = Duration::from_secs(1);

pub struct Database {
    connector: Connector,
    pub sharing: Sharing,
    pub endpoint: Arc<Endpoint>,
    shared: Mutex<Vec<Arc<SharedConnection>>>,
    pub dedicated: Arc<DedicatedPool>,
    kinds: Mutex<LruCache<String, Kind>>,
}

impl Database {
    /// Connects to nothing yet.
    pub fn new(connector: Connector, sharing: Sharing, endpoint: Arc<Endpoint>) -> Self {
        Self {
            sharing,
            endpoint,
            shared: Mutex::default(),
            dedicated: Arc::new(DedicatedPool::new()),
            kinds: Mutex::new(LruCache::new(MAX_STATEMENTS)),
            connector,
        }
    }

    /// What a statement may share. Remembered, because finding it out takes time.
    pub fn kind(&self, sql: &str) -> Kind {
        if sql.len() > MAX_REMEMBERED_BYTES {
            return Kind::Session;
        }
        let mut kinds = self.kinds.lock();
        if let Some(kind) = kinds.get(sql) {
            return *kind;
        }
        let kind = Kind::of(sql);
        kinds.put(sql.to_owned(), kind);
        kind
    }

    /// A shared connection for the next statement: one that is not stalled, or a new one, or the least loaded.
    pub async fn shared(&self) -> Result<Arc<SharedConnection>, Error> {
        if let Some(shared) = self.ready() {
            return Ok(shared);
        }
        self.await_end_of_outage(|| self.connect_shared()).await
    }

    async fn connect_shared(&self) -> Result<Arc<SharedConnection>, FailedAttempt> {
        let mut last = self.endpoint.connecting.lock().await;
        // Another session may have connected meanwhile.
        if let Some(shared) = self.ready() {
            return Ok(shared);
        }
        match self.connect(&mut last, Usage::Shared).await {
            Ok(link) => {
                let shared = Arc::new(SharedConnection::new(link));
                self.shared.lock().push(shared.clone());
                self.endpoint.add(&shared);
                Ok(shared)
            }
            // A stalled connection is better than none, and so is another thread's.
            Err(failed) => self
                .least_loaded()
                .or_else(|| self.endpoint.least_loaded())
                .ok_or(failed),
        }
    }

    /// Has `attempt` made again until it succeeds, as long as the outage is short. Nothing has been sent yet.
    ///
    /// # Errors
    /// [`Error::Unreachable`], with the reason of the last attempt.
    async fn await_end_of_outage<T, F: Future<Output = Result<T, FailedAttempt>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Result<T, Error> {
        let Endpoint {
            outage, waiting, ..
        } = &*self.endpoint;
        // Outages that follow each other are waited for no longer than one.
        let until = Instant::now() + SHORT_OUTAGE;
        let mut place = None;
        loop {
            let failed = match attempt().await {
                Ok(connection) => return Ok(connection),
                Err(failed) => failed,
            };
            outage.begin(failed.began, &failed.reason);
            if place.is_none() {
                place = waiting.try_acquire().ok();
            }
            let next = failed.next();
            if place.is_none() || next > until || !outage.is_short(next) {
                return Err(Error::Unreachable(failed.reason));
            }
            sleep_until(next.into()).await;
        }
    }

    /// A shared connection that is not stalled; or the least loaded, if there may be no more connections.
    fn ready(&self) -> Option<Arc<SharedConnection>> {
        let mut shared = self.shared.lock();
        shared.retain(|shared| shared.is_usable());
        let ready = shared.iter().find(|shared| !shared.is_stalled()).cloned();
        let is_full = shared.len() == MAX_SHARED;
        drop(shared);
        ready.or_else(|| if is_full { self.least_loaded() } else { None })
    }

    fn least_loaded(&self) -> Option<Arc<SharedConnection>> {
        SharedConnection::least_loaded(self.shared.lock().iter().cloned())
    }

    /// A connection for one session.
    pub async fn dedicated(&self) -> Result<Dedicated, Error> {
        let connecting = self.await_end_of_outage(|| self.connect_dedicated());
        self.dedicated.lease(connecting).await
    }

    /// Adds an idle dedicated connection. Returns whether that succeeded; if not, that is no outage.
    pub async fn add_idle(&self) -> bool {
        let connecting = async { self.connect_dedicated().await.ok() };
        self.dedicated.add_idle(connecting).await
    }

    async fn connect_dedicated(&self) -> Result<Link, FailedAttempt> {
        let mut last = self.endpoint.connecting.lock().await;
        self.connect(&mut last, Usage::Dedicated).await
    }

    async fn connect(
        &self,
        last: &mut Option<FailedAttempt>,
        usage: Usage,
    ) -> Result<Link, FailedAttempt> {
        let outage = &self.endpoint.outage;
        self.connector.connect(last, outage, usage).await
    }

    /// Whether sessions wait for dedicated connections, because there may be no more, or the server takes no more.
    pub fn is_exhausted(&self) -> bool {
        let was_refused = || match self.endpoint.connecting.try_lock() {
            Ok(last) => last
                .as_ref()
                .is_some_and(|failed| failed.ended.elapsed() < EXHAUSTED_AFTER_REFUSAL),
            Err(_) => false,
        };
        self.dedicated.is_exhausted() || (self.sharing == Sharing::Exclusive && was_refused())
    }

    /// Whether the address asks for a server that can be written.
    pub fn wants_primary(&self) -> bool {
        self.connector.wants_primary()
    }
}
