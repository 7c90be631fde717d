//! The settings that an application has at a time, and the instances that were made with them.

use crate::guest::{GuestConfig, Instance, Pool, State};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

/// Settings, with the instances and connections of one thread that have them. Other settings have another generation: this one,
/// with its connections, ends with the last request that it works on.
pub(crate) struct Generation {
    pub config: GuestConfig,
    pub pool: Pool,
}

impl Generation {
    pub fn new(config: GuestConfig) -> Self {
        let pool = Pool::new(config.telemetry.metrics.clone());
        Self { config, pool }
    }

    /// An idle instance, or a new one.
    ///
    /// # Errors
    /// If none can be made.
    pub async fn instance(&self, pre: &ProxyPre<State>) -> wasmtime::Result<Instance> {
        match self.pool.take() {
            Some(instance) => Ok(instance),
            // In a box, because it is rare, and large in the future of each request.
            None => Box::pin(Instance::new(pre, self.config.clone())).await,
        }
    }
}
