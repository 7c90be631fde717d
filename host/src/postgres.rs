//! `spin:postgres@4.0.0`: queries to Postgres databases.
//!
//! A component's connection is a `session`; `database` keeps the connections to one server, each a `link`;
//! `statement` says what may share one, `batch` commits changes together; `value` and `numeric` translate
//! values, `tls` encrypts, `outage` logs.

mod batch;
mod database;
mod link;
mod numeric;
mod outage;
mod session;
mod statement;
mod tls;
mod value;

use crate::bindings::spin::postgres::postgres::{
    Error, Host, HostConnection, ParameterValue, RowSet,
};
use crate::telemetry::{Call, Calls, Telemetry};
use database::{Database, Everywhere};
use session::Session;
use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmtime::component::{HasData, Resource, ResourceTable};

pub use tls::{CaError, Tls};

/// How many databases one component may use at a time. Most use one.
const MAX_DATABASES: usize = 16;

/// How many databases may be known, over all threads, before those that no thread uses are forgotten.
const MAX_KNOWN_DATABASES: usize = 64;

/// How many connections a component may hold open at a time in one instance.
const MAX_OPEN_CONNECTIONS: usize = 64;

/// How statements find their way to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Statements that leave no trace in their session share a few pipelined connections; a connection
    /// that is used for anything else (`BEGIN`, `SET`, …) becomes the component's own until it closes it.
    #[default]
    Pipelined,
    /// Every connection that the component opens is its own from the start, as on Spin. For applications
    /// that rely on session state which cannot be seen in a statement (`currval` after an `INSERT`).
    Exclusive,
}

/// The databases that the components of one thread are connected to. Clones share the connections.
#[derive(Clone)]
pub struct Postgres {
    tls: Tls,
    sharing: Sharing,
    telemetry: Telemetry,
    /// By address, of this thread.
    databases: Arc<Mutex<HashMap<String, Arc<Database>>>>,
    /// By address, for all threads.
    everywhere: Arc<Mutex<HashMap<String, Arc<Everywhere>>>>,
}

impl Postgres {
    pub fn new(tls: Tls, sharing: Sharing) -> Self {
        Self {
            tls,
            sharing,
            telemetry: Telemetry::default(),
            databases: Arc::default(),
            everywhere: Arc::default(),
        }
    }

    /// Counts connections from now on.
    pub(crate) fn report_to(&mut self, telemetry: Telemetry) {
        self.telemetry = telemetry;
    }

    /// The same settings with connections of their own.
    pub(crate) fn for_another_thread(&self) -> Self {
        Self {
            databases: Arc::default(),
            ..self.clone()
        }
    }

    /// Whether somebody waits for a connection of its own, so that nobody should keep one for later.
    pub(crate) fn is_crowded(&self) -> bool {
        lock(&self.databases)
            .values()
            .any(|database| database.is_crowded())
    }

    fn database(&self, address: &str) -> Result<Arc<Database>, Error> {
        let mut databases = lock(&self.databases);
        if let Some(database) = databases.get(address) {
            return Ok(database.clone());
        }
        let mut everywhere = lock(&self.everywhere);
        let others = everywhere.get(address).cloned();
        let database = Arc::new(Database::new(
            address,
            &self.tls,
            self.sharing,
            self.telemetry.clone(),
            others,
        )?);
        if databases.len() == MAX_DATABASES {
            // Connections to a database that nobody holds close when it is dropped.
            databases.retain(|_, database| Arc::strong_count(database) > 1);
        }
        if databases.len() == MAX_DATABASES {
            return Err(Error::ConnectionFailed(format!(
                "more than {MAX_DATABASES} databases at a time"
            )));
        }
        databases.insert(address.to_owned(), database.clone());
        if everywhere.len() >= MAX_KNOWN_DATABASES {
            everywhere.retain(|_, known| Arc::strong_count(known) > 1);
        }
        everywhere.insert(address.to_owned(), database.everywhere.clone());
        Ok(database)
    }
}

/// A connection in the hands of a component.
pub struct Connection(Session);

/// What the functions of the interface work on.
pub(crate) struct PostgresView<'a> {
    pub postgres: &'a Postgres,
    pub calls: Calls<'a>,
    pub open_connections: &'a mut usize,
    pub table: &'a mut ResourceTable,
}

/// Where the linker finds the host's side of this interface.
pub(crate) struct HasPostgres;

impl HasData for HasPostgres {
    type Data<'a> = PostgresView<'a>;
}

impl<'a> PostgresView<'a> {
    fn begin(&self, operation: &'static str, statement: Option<&str>) -> Call<'a> {
        // Only spans have it.
        let statement = match self.calls.parent {
            Some(_) => statement.and_then(statement::without_values),
            None => None,
        };
        self.calls.begin("postgresql", operation, statement)
    }
}

fn end<T>(call: Call<'_>, result: Result<T, Error>) -> Result<T, Error> {
    call.end(result.as_ref().err().map(|error| match error {
        Error::ConnectionFailed(_) => "connection_failed",
        Error::BadParameter(_) => "bad_parameter",
        Error::QueryFailed(_) => "query_failed",
        Error::ValueConversionFailed(_) => "value_conversion_failed",
        Error::Other(_) => "other",
    }));
    result
}

impl Host for PostgresView<'_> {}

impl HostConnection for PostgresView<'_> {
    async fn open(
        &mut self,
        address: String,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        if *self.open_connections == MAX_OPEN_CONNECTIONS {
            return Ok(Err(Error::ConnectionFailed(format!(
                "more than {MAX_OPEN_CONNECTIONS} connections at a time"
            ))));
        }
        let call = self.begin("open", None);
        let opened = match self.postgres.database(&address) {
            Ok(database) => Session::open(database).await,
            Err(error) => Err(error),
        };
        let opened = end(call, opened);
        Ok(match opened {
            Ok(session) => {
                *self.open_connections += 1;
                Ok(self.table.push(Connection(session))?)
            }
            Err(error) => Err(error),
        })
    }

    async fn query(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        params: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<RowSet, Error>> {
        let call = self.begin("query", Some(&statement));
        let Connection(session) = self.table.get_mut(&connection)?;
        Ok(end(call, session.query(&statement, &params).await))
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        params: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        let call = self.begin("execute", Some(&statement));
        let Connection(session) = self.table.get_mut(&connection)?;
        Ok(end(call, session.execute(&statement, &params).await))
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        *self.open_connections -= 1;
        Ok(())
    }
}

/// An error and its causes in one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some errors repeat their cause.
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}

/// No lock here is held over anything that can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
