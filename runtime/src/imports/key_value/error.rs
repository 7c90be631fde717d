//! What goes wrong with a store.

use super::bindings::fermyon::spin::key_value::Error;

/// What a component is told of an outage begins so, so that the component does not log the same for each request
/// (ARCHITECTURE.md, "Conventions between component and host").
pub const LOGGED: &str = "logged by the host: ";

/// Why a [`KeyValueStore`](super::KeyValueStore) failed. The component gets it as an error of the interface, with its text.
///
/// ```
/// # use http_component_runtime::KeyValueError;
/// let error = KeyValueError::Other("the store does not answer".to_owned());
/// assert_eq!(error.to_string(), "the store does not answer");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyValueError {
    /// It can take no more.
    #[error("the store is full")]
    Full,
    /// The application may not use it.
    #[error("access to the store is denied")]
    AccessDenied,
    /// It is out of order, and the store has logged why. The component gets the reason with the mark that it was logged, so
    /// that it does not log the same for each request.
    #[error("{0}")]
    Unavailable(String),
    /// Anything else, in words for the log of the component. They should have no secret.
    #[error("{0}")]
    Other(String),
}

impl From<KeyValueError> for Error {
    fn from(error: KeyValueError) -> Self {
        match error {
            KeyValueError::Full => Self::StoreTableFull,
            KeyValueError::AccessDenied => Self::AccessDenied,
            KeyValueError::Unavailable(reason) => Self::Other(format!("{LOGGED}{reason}")),
            KeyValueError::Other(reason) => Self::Other(reason),
        }
    }
}

/// Why a text does not name a store over the network.
///
/// ```
/// # use http_component_runtime::{InvalidStore, KeyValue};
/// # use std::time::Duration;
/// let store: Result<_, InvalidStore> = KeyValue::redis("redis://:secret@", Duration::from_secs(5));
/// let reason = store.err().map(|error| error.to_string());
/// assert!(reason.is_some_and(|reason| !reason.contains("secret")));
/// ```
#[cfg(any(feature = "dynamodb", feature = "redis"))]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidStore(String);

#[cfg(any(feature = "dynamodb", feature = "redis"))]
impl InvalidStore {
    /// `reason` should have no secret.
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
