//! `fermyon:spin/key-value@2.0.0`: one store with the label `default`, in a SQLite file, in memory, or the embedder's own.

mod bindings;
mod custom;
mod file;
mod host;
mod keys;
mod memory;
mod resource;
mod sqlite;
mod store;

pub(crate) use bindings::fermyon::spin::key_value::Error;
pub use custom::{KeyValueError, KeyValueStore};
pub(crate) use host::{KeyValueCtx, add_to_linker, error_type};
pub use sqlite::{CheckpointError, OpenError};
pub use store::KeyValue;
