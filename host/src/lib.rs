//! A small wasmtime host for components that handle HTTP requests (`wasi:http/incoming-handler@0.2`) and
//! may import Postgres, key-value and variables of Spin (`wit/world.wit`).
//!
//! An [`App`] is a component with what it imports, as a `tower` service that another program can mount
//! at a route of its own; [`Server`] puts one on a socket, with an [`Edge`] around it.
//!
//! | module | answers |
//! |---|---|
//! | `engine` | how is wasmtime configured, and how is a component loaded? |
//! | `app` | what happens to a request, and within what limits? |
//! | `turns` | how much does one thread work on side by side? |
//! | `instance` | what does one instance of the component have, and when is it used again? |
//! | `body`, `problem` | how do bodies travel, and what does the host say itself? |
//! | `postgres`, `key_value`, `variables` | the host's side of the WIT interfaces of these names |
//! | `guest_log`, `log` | where does the component's output go, and where the host's? |
//! | `server`, `connection`, `https` | how are connections served, bounded, encrypted and drained? |
//! | `edge`, `route` | what is noted of each request around the application? |
//! | `telemetry` | what is counted, measured and traced? |
//! | `admin` | what does whoever runs it ask? |
//!
//! ```no_run
//! # async fn example(request: http::Request<http_body_util::Full<bytes::Bytes>>) -> Result<(), Box<dyn std::error::Error>> {
//! use birthday_host::{App, COMPONENT, KeyValue, engine};
//!
//! let engine = engine::engine()?;
//! let app = App::builder(engine::load(&engine, COMPONENT)?)
//!     .key_value(KeyValue::sqlite("birthday.db".as_ref())?)
//!     .build()?;
//! let response = app.handle(request).await;
//! # Ok(())
//! # }
//! ```

mod admin;
mod app;
mod bindings;
mod body;
mod connection;
mod edge;
mod guest_log;
mod https;
mod instance;
mod key_value;
mod log;
mod postgres;
mod problem;
mod route;
mod server;
mod telemetry;
mod turns;
mod variables;

pub mod engine;

pub use admin::{Admin, Life};
pub use app::{App, Builder, Limits, Misconfigured};
pub use body::{Body, BrokenOff};
pub use edge::Edge;
pub use engine::ComponentError;
pub use https::{Https, HttpsError};
pub use key_value::{KeyValue, OpenError};
pub use log::{Log, LogFormat};
pub use postgres::{CaError, Postgres, Sharing, Tls};
pub use route::{InvalidRoute, Routes};
pub use server::{ConnectionLimits, Server};
pub use telemetry::{Exporter, ExporterError, Metrics, Telemetry, Tracer};
pub use variables::{InvalidName, Variables};

/// The birthday component, as it was built with this crate; where nothing could compile it, it is not there.
#[cfg(feature = "compiler")]
pub const COMPONENT: &[u8] = include_bytes!(env!("EMBEDDED_COMPONENT"));
