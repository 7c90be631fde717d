//! What all threads know of one database.

use crate::client_certificate::ClientCertificate;
use crate::connect::FailedAttempt;
use crate::options::Statements;
use crate::outage::Outage;
use crate::pooler::Pooler;
use crate::shared::SharedConnection;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use tokio::sync::Semaphore;

/// The most requests, of all threads, that wait for the end of a short outage: a second of a few hundred per second. More fail
/// at once.
const MAX_WAITING: usize = 256;

/// Whether a database is unreachable, and the shared connections of all threads: a thread that gets none, because the server
/// takes no more, borrows another thread's.
pub struct Endpoint {
    pub outage: Outage,
    pub pooler: Arc<Pooler>,
    /// What the server is shown.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// The last attempt, if it failed. Locked while connecting, so that one session tries and the others wait for the result:
    /// a thread that is refused then finds the connection of the thread that was accepted last.
    pub connecting: tokio::sync::Mutex<Option<FailedAttempt>>,
    /// The places of those that wait for the end of a short outage.
    pub waiting: Semaphore,
    shared: Mutex<Vec<Weak<SharedConnection>>>,
}

impl Endpoint {
    /// Of the database that the log calls `name`, which is shown `certificate`.
    pub fn new(
        name: String,
        statements: Statements,
        certificate: Option<ClientCertificate>,
    ) -> Self {
        Self {
            certificate: certificate.map(Arc::new),
            pooler: Arc::new(Pooler::new(name.clone(), statements)),
            outage: Outage::new(name),
            connecting: tokio::sync::Mutex::default(),
            waiting: Semaphore::new(MAX_WAITING),
            shared: Mutex::default(),
        }
    }

    pub fn add(&self, shared: &Arc<SharedConnection>) {
        let mut all = self.shared.lock();
        all.retain(|shared| shared.strong_count() > 0);
        all.push(Arc::downgrade(shared));
    }

    /// The usable connection with the fewest statements in flight.
    pub fn least_loaded(&self) -> Option<Arc<SharedConnection>> {
        let all = self.shared.lock();
        SharedConnection::least_loaded(all.iter().filter_map(Weak::upgrade))
    }
}
