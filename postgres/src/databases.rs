//! The databases of one thread.

use crate::address;
use crate::client_certificate::ClientCertificate;
use crate::connect::Connector;
use crate::counts::ConnectionCounts;
use crate::database::Database;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::group_commit::GroupCommit;
use crate::link::Parameter;
use crate::options::Options;
use crate::password;
use crate::permit::Permit;
use crate::registry::Registry;
use crate::rows::AnswerMemory;
use crate::session::Session;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The most databases of one thread at a time. Most programs use one.
const MAX_DATABASES: usize = 16;

/// The databases that one thread is connected to, for parameters of the type `P`. Clones share the connections.
pub struct Databases<P: Parameter> {
    options: Arc<Options>,
    counts: ConnectionCounts,
    memory: AnswerMemory,
    registry: Registry,
    /// By address.
    open: Arc<Mutex<Open<P>>>,
}

type Open<P> = HashMap<String, Arc<GroupCommit<P>>>;

impl<P: Parameter> Clone for Databases<P> {
    fn clone(&self) -> Self {
        Self {
            options: self.options.clone(),
            counts: self.counts.clone(),
            memory: self.memory.clone(),
            registry: self.registry.clone(),
            open: self.open.clone(),
        }
    }
}

impl<P: Parameter> Databases<P> {
    /// Connects to nothing yet.
    pub fn new(options: Options) -> Self {
        Self {
            memory: AnswerMemory::new(options.answer_memory),
            options: Arc::new(options),
            counts: ConnectionCounts::default(),
            registry: Registry::default(),
            open: Arc::default(),
        }
    }

    /// The same options for another thread, which has its own connections and shares what is known of the databases.
    pub fn for_another_thread(&self) -> Self {
        Self {
            open: Arc::default(),
            ..self.clone()
        }
    }

    /// The same options with connections of their own, which are made only to what `permit` permits. Only the memory of
    /// answers is shared.
    pub fn with_permit(&self, permit: Permit) -> Self {
        let options = Options::clone(&self.options);
        Self {
            memory: self.memory.clone(),
            ..Self::new(Options { permit, ..options })
        }
    }

    /// The same options with connections of their own, which are made only to what `permit` permits, and are counted together
    /// with these.
    pub fn anew(&self, permit: Permit) -> Self {
        Self {
            counts: self.counts.clone(),
            ..self.with_permit(permit)
        }
    }

    /// A session on the database at `address`, a URL or key-value pairs as libpq has them.
    ///
    /// # Errors
    /// [`Error::BadAddress`], [`Error::NotPermitted`], [`Error::Unreachable`]; [`Error::NotRun`] if there are too many databases.
    pub async fn open(&self, address: &str) -> Result<Session<P>, Error> {
        Session::open(self.database(address)?).await
    }

    fn database(&self, address: &str) -> Result<Arc<GroupCommit<P>>, Error> {
        let mut open = self.open.lock();
        if let Some(database) = open.get(address) {
            return Ok(database.clone());
        }
        let parsed = address::parse(address, &self.options.application_name)?;
        let permit = &self.options.permit;
        parsed.visit(|destination| permit(destination).map_err(Error::NotPermitted))?;
        if let Some(source) = &self.options.passwords {
            password::check(source, &parsed)?;
        }
        if open.len() == MAX_DATABASES {
            // Dropping a database that no session uses closes its connections.
            open.retain(|_, database| Arc::strong_count(database) > 1);
        }
        if open.len() == MAX_DATABASES {
            return Err(Error::NotRun(format!(
                "more than {MAX_DATABASES} databases at a time"
            )));
        }
        let endpoint = self.registry.endpoint(address, || {
            let files = parsed.client_certificate.as_ref();
            let certificate = files.map(|files| ClientCertificate::read(parsed.name(), files));
            let statements = self.options.statements;
            Ok(Endpoint::new(
                parsed.name(),
                statements,
                certificate.transpose()?,
            ))
        })?;
        let connector = Connector::new(
            parsed,
            &self.options,
            self.counts.clone(),
            self.memory.clone(),
            endpoint.pooler.clone(),
            endpoint.certificate.clone(),
        );
        let database = Database::new(connector, self.options.sharing, endpoint);
        let database = Arc::new(GroupCommit::new(database));
        open.insert(address.to_owned(), database.clone());
        Ok(database)
    }

    /// Whether sessions wait for dedicated connections, so that a session that is not in use should be dropped.
    pub fn is_exhausted(&self) -> bool {
        let open = self.open.lock();
        open.values().any(|one| one.database().is_exhausted())
    }

    /// How many connections there are, of all threads together.
    pub fn connection_counts(&self) -> ConnectionCounts {
        self.counts.clone()
    }
}
