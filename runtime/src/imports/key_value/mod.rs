//! `fermyon:spin/key-value@2.0.0`: one store with the label `default`, in a SQLite file, in memory, in DynamoDB,
//! in Redis, or the embedder's own.

mod bindings;
mod custom;
#[cfg(feature = "dynamodb")]
mod dynamodb;
mod error;
mod file;
mod host;
mod keys;
mod memory;
#[cfg(any(feature = "dynamodb", feature = "redis"))]
mod outage;
#[cfg(feature = "redis")]
mod redis;
mod resource;
mod sqlite;
mod store;
mod values;

pub(crate) use bindings::fermyon::spin::key_value::Error;
pub use custom::{KeyPage, KeyValueStore};
#[cfg(any(feature = "dynamodb", feature = "redis"))]
pub use error::InvalidStore;
pub use error::KeyValueError;
pub(crate) use host::{KeyValueCtx, add_to_linker, error_type};
pub use sqlite::{CheckpointError, OpenError};
pub use store::KeyValue;
