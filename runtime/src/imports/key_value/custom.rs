//! A store that the embedder brings.

use super::bindings::fermyon::spin::key_value::Error;
use super::keys::Keys;
use async_trait::async_trait;
use futures_util::FutureExt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// So many keys are asked for at a time.
const KEYS_PER_PAGE: u32 = 1000;

/// A store of keys and values of the embedder's own, for [`KeyValue::custom`](super::KeyValue::custom).
///
/// All instances of an application use it, from several threads where the application has several. What a component has
/// been told is stored should be durable when `set` returns.
///
/// A call may take as long as it likes: the limit on the time of a request ends it, and drops its future. It must not block
/// the thread, which serves other requests, too; `tokio::task::spawn_blocking` is for that. A panic is an error of that one
/// call.
///
/// ```
/// use http_component_runtime::{KeyValueError, KeyValueStore, async_trait};
/// use std::collections::BTreeMap;
/// use std::sync::Mutex;
///
/// #[derive(Default)]
/// struct Map(Mutex<BTreeMap<String, Vec<u8>>>);
///
/// #[async_trait]
/// impl KeyValueStore for Map {
///     async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
///         Ok(self.0.lock().unwrap().get(key).cloned())
///     }
///
///     async fn set(&self, key: &str, value: &[u8]) -> Result<(), KeyValueError> {
///         self.0.lock().unwrap().insert(key.to_owned(), value.to_owned());
///         Ok(())
///     }
///
///     async fn delete(&self, key: &str) -> Result<(), KeyValueError> {
///         self.0.lock().unwrap().remove(key);
///         Ok(())
///     }
///
///     async fn keys_after(&self, after: &str, count: u32) -> Result<Vec<String>, KeyValueError> {
///         let map = self.0.lock().unwrap();
///         let behind = map.keys().filter(|key| key.as_str() > after);
///         Ok(behind.take(count as usize).cloned().collect())
///     }
/// }
/// ```
#[async_trait]
pub trait KeyValueStore: Send + Sync + 'static {
    /// The value of `key`, if it has one.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError>;

    /// Sets `key` to `value`, and replaces what it had.
    async fn set(&self, key: &str, value: &[u8]) -> Result<(), KeyValueError>;

    /// Removes `key`, if it is there.
    async fn delete(&self, key: &str) -> Result<(), KeyValueError>;

    /// At most `count` keys that come after `after`, in the order of their bytes; fewer only if there are no more.
    async fn keys_after(&self, after: &str, count: u32) -> Result<Vec<String>, KeyValueError>;

    /// Sets many keys. Unless the store can do better, one by one: if one fails, those before it are set.
    async fn set_many(&self, pairs: &[(String, Vec<u8>)]) -> Result<(), KeyValueError> {
        for (key, value) in pairs {
            self.set(key, value).await?;
        }
        Ok(())
    }

    /// Removes many keys, like `set_many`.
    async fn delete_many(&self, keys: &[String]) -> Result<(), KeyValueError> {
        for key in keys {
            self.delete(key).await?;
        }
        Ok(())
    }
}

/// Why a [`KeyValueStore`] failed. The component gets it as an error of the interface, with its text.
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
    /// Anything else, in words for the log of the component. They should have no secret.
    #[error("{0}")]
    Other(String),
}

impl From<KeyValueError> for Error {
    fn from(error: KeyValueError) -> Self {
        match error {
            KeyValueError::Full => Self::StoreTableFull,
            KeyValueError::AccessDenied => Self::AccessDenied,
            KeyValueError::Other(reason) => Self::Other(reason),
        }
    }
}

/// The store, of which nothing is expected but that it returns.
#[derive(Clone)]
pub struct Custom(Arc<dyn KeyValueStore>);

impl Custom {
    pub fn new(store: impl KeyValueStore) -> Self {
        Self(Arc::new(store))
    }

    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        call(self.0.get(key)).await
    }

    pub async fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        call(self.0.set(key, value)).await
    }

    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        call(self.0.delete(key)).await
    }

    pub async fn set_many(&self, pairs: &[(String, Vec<u8>)]) -> Result<(), Error> {
        call(self.0.set_many(pairs)).await
    }

    pub async fn delete_many(&self, keys: &[String]) -> Result<(), Error> {
        call(self.0.delete_many(keys)).await
    }

    pub async fn keys_after(&self, after: &str, count: u32) -> Result<Vec<String>, Error> {
        let mut keys = call(self.0.keys_after(after, count)).await?;
        keys.truncate(count as usize);
        Ok(keys)
    }

    /// All keys. Each page has to come after the one before, so that a store that repeats itself is not asked for ever.
    pub async fn keys(&self) -> Result<Vec<String>, Error> {
        let (mut keys, mut last) = (Keys::default(), String::new());
        loop {
            let page = self.keys_after(&last, KEYS_PER_PAGE).await?;
            let is_last = page.len() < KEYS_PER_PAGE as usize;
            for key in page {
                if key <= last {
                    return Err(Error::Other("the store lists keys out of order".to_owned()));
                }
                last.clone_from(&key);
                keys.push(key)?;
            }
            if is_last {
                return Ok(keys.into_inner());
            }
        }
    }
}

/// Awaits `operation`. Its panic ends the operation, and nothing else.
async fn call<T>(operation: impl Future<Output = Result<T, KeyValueError>>) -> Result<T, Error> {
    match AssertUnwindSafe(operation).catch_unwind().await {
        Ok(result) => result.map_err(Error::from),
        Err(_) => {
            tracing::error!("the key-value store panicked");
            Err(Error::Other("the store panicked".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    /// A store whose keys are its name, again and again.
    struct Odd(&'static str);

    #[async_trait]
    impl KeyValueStore for Odd {
        async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
            match key {
                "panic" => panic!("as asked"),
                "wait" => pending().await,
                "full" => Err(KeyValueError::Full),
                "denied" => Err(KeyValueError::AccessDenied),
                other => Err(KeyValueError::Other(other.to_owned())),
            }
        }

        async fn set(&self, key: &str, _: &[u8]) -> Result<(), KeyValueError> {
            self.get(key).await.map(drop)
        }

        async fn delete(&self, key: &str) -> Result<(), KeyValueError> {
            self.get(key).await.map(drop)
        }

        async fn keys_after(&self, _: &str, count: u32) -> Result<Vec<String>, KeyValueError> {
            Ok(vec![self.0.to_owned(); count as usize + 1])
        }
    }

    #[test]
    fn what_a_store_does_is_an_error_of_the_call() {
        let store = Custom::new(Odd("odd"));
        let get = |key: &str| store.get(key).now_or_never();
        assert!(get("wait").is_none());
        for (key, expected) in [("panic", "the store panicked"), ("no route", "no route")] {
            let Some(Err(Error::Other(reason))) = get(key) else {
                panic!("{key}");
            };
            assert_eq!(reason, expected);
        }
        assert!(matches!(get("full"), Some(Err(Error::StoreTableFull))));
        assert!(matches!(get("denied"), Some(Err(Error::AccessDenied))));
    }

    #[test]
    fn keys_out_of_order_do_not_go_on_for_ever() {
        let store = Custom::new(Odd("odd"));
        let keys = store.keys().now_or_never();
        assert!(matches!(keys, Some(Err(Error::Other(_)))), "{keys:?}");
    }
}
