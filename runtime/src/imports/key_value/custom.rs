//! A store behind a trait: one that the embedder brings, or one over the network.

use super::bindings::fermyon::spin::key_value::Error;
use super::error::KeyValueError;
use super::keys::Keys;
use super::values::Values;
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
/// use http_component_runtime::{KeyPage, KeyValueError, KeyValueStore, async_trait};
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
///     async fn list_keys(&self, cursor: Option<&str>, count: u32) -> Result<KeyPage, KeyValueError> {
///         let map = self.0.lock().unwrap();
///         let behind = map.keys().filter(|key| cursor.is_none_or(|cursor| key.as_str() > cursor));
///         let keys = behind.take(count as usize).cloned().collect();
///         Ok(KeyPage::ordered(keys, count))
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

    /// A page of about `count` keys: the first one, or the one behind the page that had this `cursor`. A store with an order of
    /// keys takes the last key of a page as its cursor ([`KeyPage::ordered`]); one without has cursors of its own, and may list
    /// a key twice.
    async fn list_keys(&self, cursor: Option<&str>, count: u32) -> Result<KeyPage, KeyValueError>;

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

    /// `keys` in their order, each with its value. Unless the store can do better, one by one.
    async fn get_many(
        &self,
        keys: &[String],
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, KeyValueError> {
        let mut values = Values::default();
        for key in keys {
            values.push(key.clone(), self.get(key).await?)?;
        }
        Ok(values.into_inner())
    }

    /// The same store for another thread, if it has connections that belong to a thread. Unless it has, all threads share
    /// it.
    fn for_another_thread(&self) -> Option<Arc<dyn KeyValueStore>> {
        None
    }
}

/// Some of the keys of a [`KeyValueStore`].
///
/// ```
/// # use http_component_runtime::KeyPage;
/// let last = KeyPage { keys: vec!["a".to_owned(), "b".to_owned()], cursor: None };
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<String>,
    /// What the next page is asked for by; `None` after the last one.
    pub cursor: Option<String>,
}

impl KeyPage {
    /// Of a store with an order of keys: `keys` are those behind the cursor, at most `count`, and fewer only if there are no
    /// more.
    ///
    /// ```
    /// # use http_component_runtime::KeyPage;
    /// let full = KeyPage::ordered(vec!["a".to_owned(), "b".to_owned()], 2);
    /// assert_eq!(full.cursor.as_deref(), Some("b"));
    /// ```
    pub fn ordered(keys: Vec<String>, count: u32) -> Self {
        let is_full = keys.len() >= count as usize;
        let cursor = keys.last().filter(|_| is_full).cloned();
        Self { keys, cursor }
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

    pub async fn get_many(&self, keys: &[String]) -> Result<Vec<(String, Option<Vec<u8>>)>, Error> {
        call(self.0.get_many(keys)).await
    }

    pub async fn list_keys(&self, cursor: Option<&str>, count: u32) -> Result<KeyPage, Error> {
        call(self.0.list_keys(cursor, count)).await
    }

    /// All keys, in order. A store that repeats itself is not asked for ever: its keys fill the memory for them.
    pub async fn keys(&self) -> Result<Vec<String>, Error> {
        let (mut keys, mut cursor) = (Keys::default(), None);
        loop {
            let page = self.list_keys(cursor.as_deref(), KEYS_PER_PAGE).await?;
            page.keys.into_iter().try_for_each(|key| keys.push(key))?;
            if page.cursor.is_none() {
                break;
            }
            if page.cursor == cursor {
                return Err(Error::Other("the store repeats a cursor".to_owned()));
            }
            cursor = page.cursor;
        }
        let mut keys = keys.into_inner();
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    /// The same store for another thread.
    pub fn for_another_thread(&self) -> Self {
        match self.0.for_another_thread() {
            Some(store) => Self(store),
            None => self.clone(),
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
                "away" => Err(KeyValueError::Unavailable("away".to_owned())),
                other => Err(KeyValueError::Other(other.to_owned())),
            }
        }

        async fn set(&self, key: &str, _: &[u8]) -> Result<(), KeyValueError> {
            self.get(key).await.map(drop)
        }

        async fn delete(&self, key: &str) -> Result<(), KeyValueError> {
            self.get(key).await.map(drop)
        }

        async fn list_keys(&self, _: Option<&str>, count: u32) -> Result<KeyPage, KeyValueError> {
            let keys = vec![self.0.to_owned(); count as usize + 1];
            Ok(KeyPage::ordered(keys, count))
        }
    }

    #[test]
    fn what_a_store_does_is_an_error_of_the_call() {
        let store = Custom::new(Odd("odd"));
        let get = |key: &str| store.get(key).now_or_never();
        assert!(get("wait").is_none());
        for (key, expected) in [
            ("panic", "the store panicked"),
            ("no route", "no route"),
            ("away", "logged by the host: away"),
        ] {
            let Some(Err(Error::Other(reason))) = get(key) else {
                panic!("{key}");
            };
            assert_eq!(reason, expected);
        }
        assert!(matches!(get("full"), Some(Err(Error::StoreTableFull))));
        assert!(matches!(get("denied"), Some(Err(Error::AccessDenied))));
    }

    #[test]
    fn a_page_that_is_full_has_the_cursor_of_the_next() {
        let keys = vec!["a".to_owned(), "b".to_owned()];
        let cursor = |count| KeyPage::ordered(keys.clone(), count).cursor;
        assert_eq!((cursor(2), cursor(3)), (Some("b".to_owned()), None));
    }

    #[test]
    fn keys_out_of_order_do_not_go_on_for_ever() {
        let store = Custom::new(Odd("odd"));
        let keys = store.keys().now_or_never();
        assert!(matches!(keys, Some(Err(Error::Other(_)))), "{keys:?}");
    }
}
