//! What an application is made of.

use crate::admission::Admission;
use crate::app::App;
use crate::egress::Egress;
use crate::generation::Generation;
use crate::guest::engine::{ComponentError, one_line};
use crate::guest::{GuestConfig, linker};
use crate::imports::Imports;
use crate::imports::key_value::KeyValue;
use crate::imports::postgres::Postgres;
use crate::imports::variables::Variables;
use crate::limits::{Limits, Slots};
use crate::telemetry::Telemetry;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::Component;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

impl App {
    /// Serves `component`. What it imports and what it may take follow.
    pub fn builder(component: Component) -> Builder {
        Builder {
            component,
            config: GuestConfig {
                imports: Imports::default(),
                limits: Limits::default(),
                all_memory: Slots::new(Limits::default().all_memory),
                wall_clock: None,
                telemetry: Telemetry::default(),
            },
            egress: Egress::default(),
        }
    }
}

/// Builds an [`App`]. What is not set has its default.
///
/// ```no_run
/// # use http_component_runtime::{App, Egress, KeyValue, Limits, Postgres, Telemetry, Variables};
/// # use std::time::Duration;
/// # fn example(component: wasmtime::component::Component) -> Result<(), Box<dyn std::error::Error>> {
/// let settings = [("timezone".to_owned(), "Europe/Berlin".to_owned())];
/// let app = App::builder(component)
///     .variables(Variables::new([], settings)?)
///     .key_value(KeyValue::sqlite("data.db".as_ref())?)
///     .egress(Egress::new(vec!["https://api.example.com".parse()?]))
///     .postgres(Postgres::default())
///     .limits(Limits { request_timeout: Duration::from_secs(2), ..Limits::default() })
///     .wall_clock(|| Duration::from_secs(1_800_000_000))
///     .telemetry(Telemetry::default())
///     .build()?;
/// # Ok(())
/// # }
/// ```
pub struct Builder {
    component: Component,
    config: GuestConfig,
    egress: Egress,
}

impl Builder {
    /// What `fermyon:spin/variables` answers. Default: no variable is set.
    pub fn variables(mut self, variables: Variables) -> Self {
        self.config.imports.variables = variables;
        self
    }

    /// The store behind `fermyon:spin/key-value`. Default: in memory.
    pub fn key_value(mut self, key_value: KeyValue) -> Self {
        self.config.imports.key_value = key_value;
        self
    }

    /// Where the component may connect to, over HTTP and to Postgres. Default: nowhere.
    pub fn egress(mut self, egress: Egress) -> Self {
        self.egress = egress;
        self
    }

    /// How `spin:postgres` connects. Default: shared connections, and the system's authorities for TLS.
    pub fn postgres(mut self, postgres: Postgres) -> Self {
        self.config.imports.postgres = postgres;
        self
    }

    /// What requests may take.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self.config.all_memory = Slots::new(limits.all_memory);
        self
    }

    /// What the component's wall clock shows, as the time since 1970-01-01T00:00:00Z. Default: the system's time.
    pub fn wall_clock(mut self, now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.config.wall_clock = Some(Arc::new(now));
        self
    }

    /// Where the application reports what it does. Default: nowhere.
    ///
    /// Each application should have [`Metrics`](crate::Metrics) of its own: of several that share them, requests are counted
    /// together, and connections to Postgres and refused connections are those of the first.
    pub fn telemetry(mut self, telemetry: Telemetry) -> Self {
        self.config.telemetry = telemetry;
        self
    }

    /// The application, which has no instance yet: the first request makes one.
    ///
    /// # Errors
    /// If the component imports what this host does not offer, or does not export an HTTP handler.
    pub fn build(self) -> Result<App, ComponentError> {
        let Self {
            component,
            mut config,
            egress,
        } = self;
        config
            .telemetry
            .metrics
            .observe_egress(egress.refusal_counts());
        config.imports.set_egress(egress);
        let counts = config.imports.postgres.connection_counts();
        config.telemetry.metrics.observe_postgres(counts);
        let linker = linker(component.engine(), &config.imports)
            .map_err(|error| ComponentError::Engine(one_line(&error)))?;
        let pre = linker
            .instantiate_pre(&component)
            .map_err(|error| ComponentError::Imports(one_line(&error)))?;
        let pre = ProxyPre::new(pre).map_err(|error| ComponentError::Exports(one_line(&error)))?;
        let admission = Admission::new(&config.limits, config.telemetry.metrics.clone());
        Ok(App::new(Generation::new(pre, config), admission))
    }
}
