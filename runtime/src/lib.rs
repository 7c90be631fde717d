//! Serves WebAssembly components that handle HTTP requests (`wasi:http/incoming-handler@0.2`) and may import Postgres,
//! key-value stores and variables of Spin.
//!
//! An [`App`] is a component with what it imports, as a `tower` service that another program can mount at a route of its
//! own. A [`Server`] serves one on a socket, with an [`Edge`] around it.
//!
//! # As a service of your own program
//!
//! ```no_run
//! # async fn example(request: http::Request<http_body_util::Full<bytes::Bytes>>) -> Result<(), Box<dyn std::error::Error>> {
//! use http_component_runtime::{App, KeyValue, engine};
//!
//! let engine = engine::engine()?;
//! let component = engine::load_file(&engine, "component.wasm".as_ref())?;
//! let app = App::builder(component)
//!     .key_value(KeyValue::sqlite("data.db".as_ref())?)
//!     .build()?;
//! let response = app.handle(request).await;
//! # Ok(())
//! # }
//! ```
//!
//! # As a server
//!
//! ```no_run
//! use http_component_runtime::{App, ConnectionLimits, Edge, KeyValue, Routes, Server, engine};
//! use std::{error::Error, time::Duration};
//! use tokio::{net::TcpListener, signal::ctrl_c};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn Error>> {
//!     let engine = engine::engine()?;
//!     let component = engine::load_file(&engine, "component.wasm".as_ref())?;
//!     let app = App::builder(component)
//!         .key_value(KeyValue::sqlite("data.db".as_ref())?)
//!         .build()?;
//!     let edge = Edge::new(app, Routes::default(), None);
//!     let listener = TcpListener::bind("127.0.0.1:3000").await?;
//!     let server = Server::new(ConnectionLimits::default(), None);
//!     server.serve(listener, edge, ctrl_c(), Duration::from_secs(10)).await;
//!     Ok(())
//! }
//! ```
//!
//! # What it does to the process
//!
//! Several applications with different settings can be in one process. The library sets no allocator, panic hook, subscriber
//! of `tracing`, provider of `rustls`, or handler of a signal to stop. Only wasmtime, with the first engine, adds handlers of
//! the signals by which it notices that a component has trapped (SIGILL, SIGFPE, SIGSEGV and SIGBUS).
//!
//! It reads the environment in [`Tracer::from_environment`] (the variables of OpenTelemetry). Where the authorities of the
//! system are needed for TLS, `SSL_CERT_FILE` and `SSL_CERT_DIR` may name others.
//!
//! # How it is made
//!
//! A request goes one way through the folders:
//!
//! | module | answers |
//! |---|---|
//! | `edge` | how are connections served, bounded, encrypted and drained, and what is noted of each request? |
//! | `app` | what happens to a request, and how long may it take? |
//! | `admission` | which requests are worked on, and which wait or are refused? |
//! | `generation` | with which settings, and which instances have them? |
//! | `guest` | how does an instance of the component handle it, and when is the instance used again? |
//! | `imports` | what does the component call: variables, key-value store, Postgres, HTTP? |
//!
//! Beside them:
//!
//! | module | answers |
//! |---|---|
//! | `builder` | what is an application made of? |
//! | `client_tls` | whom does the host trust, as a client? |
//! | `secret_file` | what is the secret in a file? |
//! | `limits`, `request`, `problem` | what may requests take, what is known of one, and what does the host answer itself? |
//! | `egress` | where may the component connect to? |
//! | `telemetry` | what is counted, measured, traced and logged? |
//! | `admin` | what can the operator ask? |
#![warn(missing_docs)]

mod admin;
mod admission;
mod app;
mod builder;
mod client_tls;
mod edge;
mod egress;
mod generation;
mod guest;
mod imports;
mod limits;
mod problem;
mod request;
mod secret_file;
mod telemetry;

pub use admin::{Admin, Lifecycle, Readiness};
pub use app::App;
pub use async_trait::async_trait;
pub use builder::Builder;
pub use edge::{Edge, InvalidRoute, Route, Routes, Server, Tls, TlsError};
pub use egress::{Egress, InvalidRule, Rule};
pub use generation::CheckError;
pub use guest::engine::{self, ComponentError};
pub use guest::{Body, BrokenOff};
#[cfg(any(feature = "dynamodb", feature = "redis"))]
pub use imports::key_value::InvalidStore;
pub use imports::key_value::{
    CheckpointError, KeyPage, KeyValue, KeyValueError, KeyValueStore, OpenError,
};
pub use imports::postgres::{self, Postgres};
pub use imports::variables::{InvalidName, Variables};
pub use limits::{ConnectionLimits, Limits};
pub use secret_file::{InvalidSecretFile, read_secret_file};
pub use telemetry::{Exporter, ExporterError, Format, Log, LogFormat, Metrics, Telemetry, Tracer};
