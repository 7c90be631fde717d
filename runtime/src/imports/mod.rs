//! What a component may import beyond WASI: a folder for each WIT package, with its own bindings, its own
//! `add_to_linker`, and what stands behind it.
//!
//! Each folder has the handle that all instances of a thread share (`KeyValue`), the context of one instance
//! (`KeyValueCtx`), and a view that implements the functions of the interface (`KeyValueView`).

pub mod key_value;
pub mod outgoing_http;
pub mod postgres;
pub mod variables;
pub mod wasi_key_value;

use crate::egress::Egress;
use key_value::{KeyValue, KeyValueCtx, OpenError};
use outgoing_http::OutgoingRequests;
use postgres::{Postgres, PostgresCtx};
use variables::Variables;
use wasi_key_value::WasiKeyValueCtx;

/// What stands behind the imports of the instances of one thread. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Imports {
    pub variables: Variables,
    pub key_value: KeyValue,
    pub postgres: Postgres,
    pub outgoing_requests: OutgoingRequests,
    egress: Egress,
}

impl Imports {
    /// The same for another thread, with connections of its own.
    ///
    /// # Errors
    /// If the key-value store cannot be opened once more.
    pub fn for_another_thread(&self) -> Result<Self, OpenError> {
        Ok(Self {
            variables: self.variables.clone(),
            key_value: self.key_value.for_another_thread()?,
            postgres: self.postgres.for_another_thread(),
            outgoing_requests: self.outgoing_requests.for_another_thread(),
            egress: self.egress.clone(),
        })
    }

    /// The same with other variables and another policy, with connections of its own, which are counted with those of before.
    pub fn with_settings(&self, variables: Variables, egress: Egress) -> Self {
        let egress = egress.counted_with(&self.egress);
        Self {
            variables,
            key_value: self.key_value.clone(),
            postgres: self.postgres.anew(egress.clone()),
            outgoing_requests: OutgoingRequests::new(egress.clone()),
            egress,
        }
    }

    /// The same for the thread that `other` is for, with its key-value store and connections of its own.
    pub fn on_thread_of(&self, other: &Self) -> Self {
        Self {
            variables: self.variables.clone(),
            key_value: other.key_value.clone(),
            postgres: self.postgres.for_another_thread(),
            outgoing_requests: self.outgoing_requests.for_another_thread(),
            egress: self.egress.clone(),
        }
    }

    /// Connects, over HTTP and to Postgres, to where `egress` allows.
    pub fn set_egress(&mut self, egress: Egress) {
        self.postgres.set_egress(egress.clone());
        self.outgoing_requests = OutgoingRequests::new(egress.clone());
        self.egress = egress;
    }
}

/// The contexts of the imports of one instance.
pub(crate) struct ImportsCtx {
    pub variables: Variables,
    pub key_value: KeyValueCtx,
    pub wasi_key_value: WasiKeyValueCtx,
    pub postgres: PostgresCtx,
}

impl ImportsCtx {
    pub fn new(imports: Imports) -> Self {
        Self {
            variables: imports.variables,
            wasi_key_value: WasiKeyValueCtx::new(imports.key_value.clone()),
            key_value: KeyValueCtx::new(imports.key_value),
            postgres: PostgresCtx::new(imports.postgres),
        }
    }
}
