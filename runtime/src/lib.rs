//! Serves WebAssembly components that handle HTTP requests (`wasi:http/incoming-handler@0.2`) and may import Postgres,
//! key-value stores and variables of Spin.
//!
//! An [`App`] is a component with what it imports, as a `tower` service that another program can mount at a route of its
//! own. A [`Server`] serves one on a socket, with an [`Edge`] around it.
//!
//! A request goes one way through the folders:
//!
//! | module | answers |
//! |---|---|
//! | `edge` | how are connections served, bounded, encrypted and drained, and what is noted of each request? |
//! | `app` | what happens to a request, and how long may it take? |
//! | `admission` | which requests are worked on, and which wait or are refused? |
//! | `guest` | how does an instance of the component handle it, and when is the instance used again? |
//! | `imports` | what does the component call: variables, key-value store, Postgres, HTTP? |
//!
//! Beside them:
//!
//! | module | answers |
//! |---|---|
//! | `limits`, `request`, `problem` | what may requests take, what is known of one, and what does the host answer itself? |
//! | `egress` | where may the component connect to? |
//! | `telemetry` | what is counted, measured, traced and logged? |
//! | `admin` | what can the operator ask? |
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

mod admin;
mod admission;
mod app;
mod edge;
mod egress;
mod guest;
mod imports;
mod limits;
mod problem;
mod request;
mod telemetry;

pub use admin::{Admin, Lifecycle, Readiness};
pub use app::{App, Builder, CheckError};
pub use async_trait::async_trait;
pub use edge::{Edge, InvalidRoute, Route, Routes, Server, Tls, TlsError};
pub use egress::{Egress, InvalidRule, Rule};
pub use guest::engine::{self, ComponentError};
pub use guest::{Body, BrokenOff};
pub use imports::key_value::{CheckpointError, KeyValue, KeyValueError, KeyValueStore, OpenError};
pub use imports::postgres::{self, Postgres};
pub use imports::variables::{InvalidName, Variables};
pub use limits::{ConnectionLimits, Limits};
pub use telemetry::{Exporter, ExporterError, Format, Log, LogFormat, Metrics, Telemetry, Tracer};
