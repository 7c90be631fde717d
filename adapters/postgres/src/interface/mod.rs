//! The functions of `spin:postgres@4.0.0`.
//!
//! The conversion of values is the source of our host.

#[path = "../../../../runtime/src/imports/postgres/datetime.rs"]
mod datetime;
#[expect(dead_code, reason = "our host has metrics of errors")]
#[path = "../../../../runtime/src/imports/postgres/error.rs"]
mod error;
#[path = "../../../../runtime/src/imports/postgres/numeric.rs"]
mod numeric;
#[path = "../../../../runtime/src/imports/postgres/parameter.rs"]
mod parameter;
#[path = "../../../../runtime/src/imports/postgres/value.rs"]
mod value;

/// The types of the interface where the files of our host look for them.
mod bindings {
    pub mod spin {
        pub mod postgres {
            pub use crate::bindings::postgres;
        }
    }
}

use crate::address::{self, Location};
use crate::answer::Answer;
use crate::bindings::postgres::{
    Connection as ConnectionHandle, Error, Guest, GuestConnection, ParameterValue, RowSet,
};
use crate::connect::connect;
use crate::session::{Session, Want};
use std::cell::{Cell, RefCell};

/// The most connections that an instance may have open at a time. Each is a session of the server, which takes 100 unless it is
/// told otherwise.
const MAX_OPEN_CONNECTIONS: usize = 16;

/// What the server shows in `pg_stat_activity`, unless the address says otherwise.
const APPLICATION_NAME: &str = env!("CARGO_PKG_NAME");

pub struct Component;

impl Guest for Component {
    type Connection = Connection;
}

thread_local! {
    static OPEN_CONNECTIONS: Cell<usize> = const { Cell::new(0) };
}

/// A connection that a component has open.
pub struct Connection(RefCell<Session>);

impl GuestConnection for Connection {
    fn open(address: String) -> Result<ConnectionHandle, Error> {
        let address = address::parse(&address, APPLICATION_NAME)?;
        let is_unix = |location: &Location| matches!(location, Location::Unix(_));
        if address.hosts.iter().any(|host| is_unix(&host.at)) {
            return Err(Error::BadParameter(
                "Unix sockets are not supported".to_owned(),
            ));
        }
        if address.config.get_user().is_none() {
            return Err(Error::BadParameter("the address names no user".to_owned()));
        }
        if OPEN_CONNECTIONS.get() >= MAX_OPEN_CONNECTIONS {
            return Err(Error::ConnectionFailed(format!(
                "more than {MAX_OPEN_CONNECTIONS} connections at a time"
            )));
        }
        let session = connect(&address).map_err(Error::ConnectionFailed)?;
        OPEN_CONNECTIONS.set(OPEN_CONNECTIONS.get() + 1);
        Ok(ConnectionHandle::new(Self(RefCell::new(session))))
    }

    fn query(&self, statement: String, params: Vec<ParameterValue>) -> Result<RowSet, Error> {
        value::row_set(&self.run(&statement, params, Want::Rows)?)
    }

    fn execute(&self, statement: String, params: Vec<ParameterValue>) -> Result<u64, Error> {
        Ok(self.run(&statement, params, Want::Count)?.affected)
    }
}

impl Connection {
    fn run(
        &self,
        statement: &str,
        params: Vec<ParameterValue>,
        want: Want,
    ) -> Result<Answer, Error> {
        let mut session = self.0.borrow_mut();
        Ok(session.run(statement, &parameter::all(params), want)?)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        OPEN_CONNECTIONS.set(OPEN_CONNECTIONS.get() - 1);
    }
}
