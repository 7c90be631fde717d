//! Dedicated connections: one caller at a time, and a pool of idle ones.

use crate::answer::Answer;
use crate::counts::Usage;
use crate::error::Error;
use crate::link::{Link, Parameter, Want};
use crate::patience::GIVEN_UP_AFTER;
use parking_lot::Mutex;
use std::iter;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The most dedicated connections of one thread to one database, those of group commits included. Further sessions wait for
/// one, as long as their caller does.
const MAX_DEDICATED: usize = 16;

/// The most of them that are kept while they are idle.
const MAX_IDLE: usize = 4;

/// The dedicated connections of one thread to one database.
pub struct DedicatedPool {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Link>>,
}

/// A connection of one caller, with the permit to have it.
pub struct Lease {
    pub link: Link,
    permit: OwnedSemaphorePermit,
}

impl DedicatedPool {
    pub fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(MAX_DEDICATED)),
            idle: Mutex::default(),
        }
    }

    /// An idle connection, or else one that `connect` makes. Waits for a permit.
    pub async fn lease(
        self: &Arc<Self>,
        connect: impl Future<Output = Result<Link, Error>>,
    ) -> Result<Dedicated, Error> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Error::NotRun("the pool is closed".to_owned()))?;
        let link = match self.take_idle() {
            Some(link) => link,
            None => connect.await?,
        };
        Ok(Dedicated {
            pool: self.clone(),
            lease: Some(Lease { link, permit }),
            is_busy: false,
        })
    }

    /// An idle connection, if there is one that may be used now.
    pub fn try_lease(&self) -> Option<Lease> {
        let permit = self.permits.clone().try_acquire_owned().ok()?;
        let link = self.take_idle()?;
        Some(Lease { link, permit })
    }

    /// Adds an idle connection, which `connect` makes, if there may be one more. Returns whether that succeeded.
    pub async fn add_idle(&self, connect: impl Future<Output = Option<Link>>) -> bool {
        let Ok(_permit) = self.permits.try_acquire() else {
            return false;
        };
        connect.await.map(|link| self.give_back(link)).is_some()
    }

    /// Whether callers wait for a permit, or would.
    pub fn is_exhausted(&self) -> bool {
        self.permits.available_permits() == 0
    }

    fn take_idle(&self) -> Option<Link> {
        let is_good = |link: &Link| !link.is_closed() && !link.is_old();
        let mut link = iter::from_fn(|| self.idle.lock().pop()).find(is_good)?;
        link.set_usage(Usage::Dedicated);
        Some(link)
    }

    /// Takes back a connection that remembers nothing of its last caller.
    pub fn give_back(&self, mut link: Link) {
        link.set_usage(Usage::Idle);
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE {
            idle.push(link);
        }
    }
}

/// A connection of one session, until it is dropped.
pub struct Dedicated {
    pool: Arc<DedicatedPool>,
    /// There until this is dropped.
    lease: Option<Lease>,
    /// A statement is in flight, or its answer was not read to the end.
    is_busy: bool,
}

impl Dedicated {
    pub async fn run<P: Parameter>(
        &mut self,
        sql: &str,
        parameters: &[P],
        want: Want,
    ) -> Result<Answer, Error> {
        let Some(Lease { link, .. }) = &self.lease else {
            return Err(Error::NotRun("the connection is closed".to_owned()));
        };
        self.is_busy = true;
        let result = link.run(sql, parameters, want).await;
        self.is_busy = result.as_ref().is_err_and(Error::leaves_answer);
        result
    }
}

impl Drop for Dedicated {
    /// Resets the connection and gives it back; or cancels what is still running and closes it.
    fn drop(&mut self) {
        let (Some(lease), Ok(runtime)) = (self.lease.take(), Handle::try_current()) else {
            return;
        };
        let (pool, is_busy) = (self.pool.clone(), self.is_busy);
        let Lease { link, permit } = lease;
        runtime.spawn(async move {
            if is_busy {
                // The connection closes either way; this only spares the server.
                let _ = timeout(GIVEN_UP_AFTER, link.cancel()).await;
            } else if let Ok(Ok(link)) = timeout(GIVEN_UP_AFTER, link.reset()).await {
                pool.give_back(link);
            }
            drop(permit);
        });
    }
}
