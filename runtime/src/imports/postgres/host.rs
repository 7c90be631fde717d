//! The functions of the interface.

use super::bindings::spin::postgres::postgres::{
    Error, Host, HostConnection, ParameterValue, RowSet, add_to_linker as add_interface,
};
use super::databases::Postgres;
use super::error::error_type;
use super::resource::Connection;
use super::{parameter, value};
use crate::limits::Slots;
use crate::telemetry::{Call, Calls, Store};
use pipelined_postgres::redact;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

/// The most connections that one instance may have open at a time.
const MAX_OPEN_CONNECTIONS: usize = 64;

/// The context of one instance.
pub(crate) struct PostgresCtx {
    postgres: Postgres,
    slots: Slots,
}

impl PostgresCtx {
    pub fn new(postgres: Postgres) -> Self {
        let slots = Slots::new(MAX_OPEN_CONNECTIONS);
        Self { postgres, slots }
    }

    pub fn view<'a>(&'a self, calls: Calls<'a>, table: &'a mut ResourceTable) -> PostgresView<'a> {
        PostgresView {
            ctx: self,
            calls,
            table,
        }
    }

    /// Whether instances wait for dedicated connections, so that none should keep one that it does not need.
    pub fn is_exhausted(&self) -> bool {
        self.postgres.is_exhausted()
    }
}

/// Adds the interface to `linker`; `view` finds what its functions work on in the data of a store.
///
/// # Errors
/// If it is there already.
pub(crate) fn add_to_linker<T: Send>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> PostgresView<'_>,
) -> wasmtime::Result<()> {
    add_interface::<T, HasPostgres>(linker, view)
}

struct HasPostgres;

impl HasData for HasPostgres {
    type Data<'a> = PostgresView<'a>;
}

/// What the functions of the interface work on.
pub(crate) struct PostgresView<'a> {
    ctx: &'a PostgresCtx,
    calls: Calls<'a>,
    table: &'a mut ResourceTable,
}

impl<'a> PostgresView<'a> {
    fn begin(&self, operation: &'static str, statement: Option<&str>) -> Call<'a> {
        // Only spans have it.
        let statement = match self.calls.parent {
            Some(_) => statement.and_then(redact),
            None => None,
        };
        self.calls.begin(Store::Postgres, operation, statement)
    }
}

fn end<T>(call: Call<'_>, result: Result<T, Error>) -> Result<T, Error> {
    call.end(result.as_ref().err().map(error_type));
    result
}

impl Host for PostgresView<'_> {}

impl HostConnection for PostgresView<'_> {
    async fn open(
        &mut self,
        address: String,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        let Some(slot) = self.ctx.slots.take() else {
            return Ok(Err(Error::ConnectionFailed(format!(
                "more than {MAX_OPEN_CONNECTIONS} connections at a time"
            ))));
        };
        let call = self.begin("open", None);
        let session = self.ctx.postgres.open(&address).await;
        Ok(match end(call, session) {
            Ok(session) => Ok(self.table.push(Connection::new(session, slot))?),
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
        let connection = self.table.get_mut(&connection)?;
        let answer = connection
            .session
            .query(&statement, &parameter::all(params))
            .await;
        let rows = answer
            .map_err(Error::from)
            .and_then(|answer| value::row_set(&answer));
        Ok(end(call, rows))
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        params: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        let call = self.begin("execute", Some(&statement));
        let connection = self.table.get_mut(&connection)?;
        let changed = connection
            .session
            .execute(&statement, &parameter::all(params))
            .await;
        Ok(end(call, changed.map_err(Error::from)))
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}
