//! A Postgres database. All SQL of the service is in this file.

use crate::bindings::postgres::{
    Connection, DbError, DbValue, Error as PostgresError, ParameterValue, QueryError,
};
use crate::error::Error;
use crate::log::{is_logged, log};
use crate::person::Person;
use birthday_rule::DateOfBirth;
use birthday_rule::Username;
use std::collections::BTreeMap;

/// It always returns one row, with NULL for an unknown user, because Spin 4.0.0 to 4.0.2 never answer a
/// query without rows (spinframework/spin#3671).
const GET: &str = "SELECT (SELECT date_of_birth FROM people WHERE username = $1)";

const PUT: &str = "INSERT INTO people (username, date_of_birth) VALUES ($1, $2) \
    ON CONFLICT (username) DO UPDATE SET date_of_birth = EXCLUDED.date_of_birth";

/// Like [`PUT`], for lists of the same length. No username is in it twice.
const PUT_MANY: &str = "INSERT INTO people (username, date_of_birth) \
    SELECT username, born::date FROM unnest($1::text[], $2::text[]) AS person (username, born) \
    ON CONFLICT (username) DO UPDATE SET date_of_birth = EXCLUDED.date_of_birth";

/// One row with two lists of the same length, also where there is nobody.
const PAGE: &str = "SELECT array_agg(username ORDER BY username), \
    array_agg(to_char(date_of_birth, 'YYYY-MM-DD') ORDER BY username) \
    FROM (SELECT username, date_of_birth FROM people WHERE username > $1 ORDER BY username LIMIT 1000) AS page";

const DELETE_ALL: &str = "DELETE FROM people";

/// Why people could not be read and written, or NULL. Without a table, the first request has to create it.
const CHECK: &str = "SELECT CASE \
    WHEN (SELECT setting FROM pg_settings WHERE name = 'transaction_read_only') = 'on' \
        THEN 'the database is read-only' \
    WHEN to_regclass('people') IS NULL AND NOT EXISTS (SELECT FROM pg_namespace \
        WHERE nspname NOT LIKE 'pg_%' AND has_schema_privilege(nspname, 'CREATE')) \
        THEN 'there is no table people, and the role may not create it' \
    WHEN NOT has_any_column_privilege(to_regclass('people'), 'SELECT') THEN 'the role may not read people' \
    WHEN NOT (has_any_column_privilege(to_regclass('people'), 'INSERT') \
        AND has_any_column_privilege(to_regclass('people'), 'UPDATE')) THEN 'the role may not write people' \
    END";

/// How Spin says that it will never connect to an address: its driver does not understand it, the manifest does not allow it, or
/// it is a Unix socket (`crates/factor-outbound-pg/src/allowed_hosts.rs` of Spin).
const REFUSED: [&str; 3] = [
    "invalid connection string",
    "is not permitted",
    "Unix sockets are not supported",
];

/// The rules of the contract that do not depend on the current day. Usernames are ordered by their bytes, so that an export
/// has the same order everywhere.
const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS people (\
    username text COLLATE \"C\" PRIMARY KEY CHECK (username ~ '^[A-Za-z]{1,64}$'), \
    date_of_birth date NOT NULL CHECK (date_of_birth >= DATE '0001-01-01'))";

/// A database, and the connection to it once there is one.
#[derive(Debug)]
pub struct Postgres {
    address: &'static str,
    connection: Option<Connection>,
}

impl Postgres {
    pub fn new(address: &'static str) -> Self {
        Self {
            address,
            connection: None,
        }
    }

    pub fn get(&mut self, username: &Username) -> Result<Option<DateOfBirth>, Error> {
        let parameters = [ParameterValue::Str(username.as_str())];
        let rows = self.run(Repeat::Safe, |connection| {
            connection.query(GET, &parameters).map(|set| set.rows)
        })?;
        let born = match rows.first().and_then(|row| row.first()) {
            Some(DbValue::DbNull) => return Ok(None),
            Some(DbValue::Date((year, month, day))) => {
                DateOfBirth::from_stored(*year, *month, *day)
            }
            _ => None,
        };
        if born.is_none() {
            log("postgres: people.date_of_birth is not a date that this service stored");
        }
        born.map(Some).ok_or(Error::Internal)
    }

    pub fn put(&mut self, username: &Username, born: DateOfBirth) -> Result<(), Error> {
        let parameters = [
            ParameterValue::Str(username.as_str()),
            ParameterValue::Date(born.to_parts()),
        ];
        self.run(Repeat::Unsafe, |connection| {
            connection.execute(PUT, &parameters).map(drop)
        })
    }

    pub fn put_many(&mut self, people: &BTreeMap<Username, DateOfBirth>) -> Result<(), Error> {
        let usernames: Vec<_> = people.keys().map(|name| Some(name.as_str())).collect();
        let dates: Vec<_> = people.values().map(|born| born.to_text()).collect();
        let dates: Vec<_> = dates.iter().map(|date| Some(date.as_str())).collect();
        let parameters = [
            ParameterValue::ArrayStr(&usernames),
            ParameterValue::ArrayStr(&dates),
        ];
        self.run(Repeat::Unsafe, |connection| {
            connection.execute(PUT_MANY, &parameters).map(drop)
        })
    }

    /// Up to 1000 people whose usernames come after `after`, in their order.
    pub fn page(&mut self, after: &str) -> Result<Vec<Person>, Error> {
        let parameters = [ParameterValue::Str(after)];
        let rows = self.run(Repeat::Safe, |connection| {
            connection.query(PAGE, &parameters).map(|set| set.rows)
        })?;
        let people = match rows.first().map(Vec::as_slice) {
            Some([DbValue::DbNull, DbValue::DbNull]) => return Ok(Vec::new()),
            Some([DbValue::ArrayStr(usernames), DbValue::ArrayStr(dates)]) => {
                let entries = usernames.iter().zip(dates);
                let people = entries.map(|(username, date)| {
                    Some(Person {
                        username: Username::parse(username.as_deref()?).ok()?,
                        born: DateOfBirth::from_stored_text(date.as_deref()?)?,
                    })
                });
                people.collect()
            }
            _ => None,
        };
        if people.is_none() {
            log("postgres: the table people has an entry that this service did not store");
        }
        people.ok_or(Error::Internal)
    }

    pub fn delete_all(&mut self) -> Result<(), Error> {
        self.run(Repeat::Unsafe, |connection| {
            connection.execute(DELETE_ALL, &[]).map(drop)
        })
    }

    pub fn check(&mut self) -> Result<(), Error> {
        let rows = self.run(Repeat::Safe, |connection| {
            connection.query(CHECK, &[]).map(|set| set.rows)
        })?;
        match rows.first().and_then(|row| row.first()) {
            Some(DbValue::Str(reason)) => Err(Failure::Refused(reason.clone()).report()),
            _ => Ok(()),
        }
    }

    /// Runs one statement. If the table does not exist, it is created. If the connection of an earlier
    /// request is broken, a new one is opened. Then the statement is run once more.
    fn run<T>(
        &mut self,
        repeat: Repeat,
        statement: impl Fn(&Connection) -> Result<T, PostgresError>,
    ) -> Result<T, Error> {
        let kept = self.connection.is_some();
        let failure = match self.attempt(&statement) {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        let again = match failure {
            Failure::NoTable => {
                self.attempt(create_table).map_err(Failure::report)?;
                true
            }
            Failure::NotRun(_) => kept,
            Failure::Lost(_) => kept && repeat == Repeat::Safe,
            Failure::BadAddress(_)
            | Failure::BadValue(_)
            | Failure::Refused(_)
            | Failure::Unclear(_) => false,
        };
        let failure = if again {
            match self.attempt(&statement) {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            }
        } else {
            failure
        };
        let is_unclear = matches!(failure, Failure::Lost(_) | Failure::Unclear(_));
        let is_known = repeat == Repeat::Safe || !is_unclear;
        let error = failure.report();
        Err(if is_known {
            error
        } else {
            Error::OutcomeUnknown
        })
    }

    fn attempt<T>(
        &mut self,
        statement: impl Fn(&Connection) -> Result<T, PostgresError>,
    ) -> Result<T, Failure> {
        let connection = match &self.connection {
            Some(connection) => connection,
            None => self.connection.insert(open(self.address)?),
        };
        let result = statement(connection).map_err(Failure::from);
        if let Err(Failure::NotRun(_) | Failure::Lost(_)) = result {
            self.connection = None;
        }
        result
    }
}

fn open(address: &str) -> Result<Connection, Failure> {
    Connection::open(address).map_err(|error| match error {
        // The latter from Spin, for a host that it cannot compare with those that are allowed.
        PostgresError::BadParameter(reason) | PostgresError::Other(reason) => {
            Failure::BadAddress(reason)
        }
        PostgresError::ConnectionFailed(reason)
            if REFUSED.iter().any(|refused| reason.contains(refused)) =>
        {
            Failure::BadAddress(reason)
        }
        other => other.into(),
    })
}

fn create_table(connection: &Connection) -> Result<(), PostgresError> {
    match connection.execute(CREATE_TABLE, &[]) {
        // If two create the table at once, one of them gets one of these errors in spite of IF NOT EXISTS
        // (unique_violation, duplicate_table, duplicate_object). The table exists in either case.
        Err(PostgresError::QueryFailed(QueryError::DbError(DbError { code, .. })))
            if matches!(code.as_str(), "23505" | "42P07" | "42710") =>
        {
            Ok(())
        }
        other => other.map(drop),
    }
}

/// Without the backtrace that some runtimes append.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Whether a statement may be run again after it may already have been run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Safe,
    Unsafe,
}

/// Why a statement gave no result.
enum Failure {
    /// There was no connection that it could run on.
    NotRun(String),
    /// The connection broke, perhaps after it had run.
    Lost(String),
    /// The runtime does not accept the address.
    BadAddress(String),
    /// The table does not exist.
    NoTable,
    /// A value is there that the runtime has no type for, such as a date of `infinity`.
    BadValue(String),
    /// It was not run, for a reason that the log gets.
    Refused(String),
    /// Anything else: it may have run.
    Unclear(String),
}

impl From<PostgresError> for Failure {
    fn from(error: PostgresError) -> Self {
        match error {
            PostgresError::ConnectionFailed(reason) => Self::NotRun(reason),
            PostgresError::QueryFailed(QueryError::DbError(error)) => {
                let DbError {
                    severity,
                    code,
                    message,
                    ..
                } = &error;
                let reason = format!("{message} ({severity} {code})");
                match error.code.as_str() {
                    // undefined_table
                    "42P01" => Self::NoTable,
                    // read_only_sql_transaction: the primary has become a standby.
                    "25006" => Self::NotRun(reason),
                    // Connection exceptions, and a server that stops or starts.
                    code if code.starts_with("08") || code.starts_with("57P") => Self::Lost(reason),
                    _ => Self::Refused(reason),
                }
            }
            PostgresError::QueryFailed(QueryError::Text(reason)) => Self::Lost(reason),
            PostgresError::ValueConversionFailed(reason) => Self::BadValue(reason),
            PostgresError::BadParameter(reason) => Self::Refused(reason),
            PostgresError::Other(reason) => Self::Unclear(reason),
        }
    }
}

impl Failure {
    /// Logs the reason, unless the runtime has logged it, and returns the error for the client.
    fn report(self) -> Error {
        let reason = match &self {
            Self::BadAddress(reason) => {
                log(&format!("database_url: {}", first_line(reason)));
                return Error::Misconfigured;
            }
            Self::BadValue(reason) => {
                log(&format!("postgres: {}", first_line(reason)));
                return Error::Internal;
            }
            Self::NotRun(reason)
            | Self::Lost(reason)
            | Self::Refused(reason)
            | Self::Unclear(reason) => reason,
            Self::NoTable => "the table people was dropped again",
        };
        if !is_logged(reason) {
            log(&format!("postgres: {}", first_line(reason)));
        }
        Error::StoreUnavailable
    }
}
