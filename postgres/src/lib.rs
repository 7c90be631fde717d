//! A Postgres client for servers with many small statements on few connections.
//!
//! Statements that leave no trace in their session share a few connections, many at a time (pipelining). Changes that come
//! while another one is in progress are committed as a group. Everything else (`BEGIN`, `SET`, an unknown function) gets a
//! dedicated connection. The driver is `tokio-postgres`: parameters, rows and server errors are its own.
//!
//! A statement goes one way through the files:
//!
//! | module | answers |
//! |---|---|
//! | `databases` | which database is an address? |
//! | `session` | how does a statement run: shared, dedicated, or in a group? |
//! | `group_commit` | which changes are committed together, and what became of them? |
//! | `database` | which connection does a statement go over? |
//! | `shared`, `dedicated` | what is a connection of many callers, and one of a single caller? |
//! | `link` | what is one connection: its prepared statements, its answers? |
//!
//! Beside them:
//!
//! | module | answers |
//! |---|---|
//! | `statement` | what may a statement share, and how is it shown without its values? |
//! | `address`, `connect`, `server`, `attributes`, `tls`, `own_certificate`, `any_certificate` | how is a server reached, and is it the right one? |
//! | `client_certificate` | which certificate is a server shown? |
//! | `inbound`, `rows` | how much may a server send, and how much do all answers take? |
//! | `permit` | which servers may be connected to? |
//! | `password` | who makes a password for each connection? |
//! | `registry`, `endpoint`, `outage`, `pooler` | what do all threads know of a database? |
//! | `types` | how many types is the server asked for? |
//! | `patience` | how long are statements waited for? |
//! | `conflict` | how often is a statement tried again that another transaction was in the way of? |
//! | `counts`, `options`, `answer`, `error` | how many connections are there, what can be chosen, answered, and go wrong? |
//!
//! ```no_run
//! # async fn example() -> Result<(), pipelined_postgres::Error> {
//! use pipelined_postgres::{Databases, Options};
//!
//! // One for each thread; `for_another_thread` makes the others.
//! let databases = Databases::<String>::new(Options::default());
//! let mut session = databases.open("postgres://user@localhost/items").await?;
//! let answer = session.query("SELECT name FROM items WHERE name = $1", &["a".to_owned()]).await?;
//! let names: Vec<String> = answer.rows.iter().map(|row| row.get(0)).collect();
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

mod address;
mod answer;
mod any_certificate;
mod attributes;
mod client_certificate;
mod conflict;
mod connect;
mod counts;
mod database;
mod databases;
mod dedicated;
mod endpoint;
mod error;
mod group_commit;
mod inbound;
mod link;
mod options;
mod outage;
mod own_certificate;
mod password;
mod patience;
mod permit;
mod pooler;
mod registry;
mod rows;
mod server;
mod session;
mod shared;
mod statement;
mod tls;
mod types;

pub use address::destinations;
pub use answer::{Answer, MAX_ANSWER_BYTES};
pub use counts::ConnectionCounts;
pub use databases::Databases;
pub use error::Error;
pub use link::Parameter;
pub use options::{Options, Sharing, Statements};
pub use password::{Account, MakingPassword, Password, PasswordSource};
pub use permit::{Destination, Permit};
pub use session::Session;
pub use statement::redact;
pub use tls::{CaError, Tls};
