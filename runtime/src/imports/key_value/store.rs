//! The store behind the interface: in memory, a SQLite file, over the network, or the embedder's own.

use super::bindings::fermyon::spin::key_value::Error;
use super::custom::{Custom, KeyPage, KeyValueStore};
#[cfg(feature = "dynamodb")]
use super::dynamodb::DynamoDb;
#[cfg(any(feature = "dynamodb", feature = "redis"))]
use super::error::InvalidStore;
use super::memory::Memory;
#[cfg(feature = "redis")]
use super::redis::Redis;
use super::sqlite::{CheckpointError, OpenError, Sqlite};
use super::values::Values;
use std::path::Path;
#[cfg(any(feature = "dynamodb", feature = "redis"))]
use std::time::Duration;

/// What the default store, in memory, may keep.
const DEFAULT_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// A store of keys and values. Clones share it.
///
/// ```
/// # use http_component_runtime::KeyValue;
/// let in_memory = KeyValue::memory(1024 * 1024);
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("data.db");
/// let in_a_file = KeyValue::sqlite(&path)?;
/// // Now the one file has everything, and can be copied.
/// in_a_file.checkpoint()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct KeyValue(Backend);

#[derive(Clone)]
enum Backend {
    Memory(Memory),
    Sqlite(Sqlite),
    Custom(Custom),
}

impl KeyValue {
    /// Keeps everything in memory, until the process ends; up to `max_bytes` of keys and values.
    pub fn memory(max_bytes: usize) -> Self {
        Self(Backend::Memory(Memory::new(max_bytes)))
    }

    /// Keeps everything in the SQLite file at `path`, which is created if it does not exist. It has the table of Spin's
    /// own key-value files.
    ///
    /// # Errors
    /// If the file cannot be opened or is no such database.
    pub fn sqlite(path: &Path) -> Result<Self, OpenError> {
        Ok(Self(Backend::Sqlite(Sqlite::open(path)?)))
    }

    /// Keeps everything in a table of DynamoDB, as Spin's `aws_dynamo` has it: `address` is
    /// `dynamodb:TABLE[?region=…][&endpoint=…][&create=true]`. Credentials, and what the address does not have, come from where
    /// the AWS SDK looks for them: the environment, profiles, web identities, containers, instances. The table is created only
    /// if `create=true` says so. An operation takes at most `timeout`, with all attempts.
    ///
    /// Nothing is connected yet: a table that is out of reach is an error of each operation, logged once.
    ///
    /// ```
    /// # use http_component_runtime::{InvalidStore, KeyValue};
    /// # use std::time::Duration;
    /// let store = KeyValue::dynamodb("dynamodb:items?region=eu-central-1", Duration::from_secs(5))?;
    /// let local = "dynamodb:items?region=local&endpoint=http://127.0.0.1:8000&create=true";
    /// let local = KeyValue::dynamodb(local, Duration::from_secs(5))?;
    /// # Ok::<(), InvalidStore>(())
    /// ```
    ///
    /// # Errors
    /// If `address` is not of this form.
    #[cfg(feature = "dynamodb")]
    pub fn dynamodb(address: &str, timeout: Duration) -> Result<Self, InvalidStore> {
        Ok(Self::custom(DynamoDb::new(address, timeout)?))
    }

    /// Keeps everything in Redis or Valkey, as Spin's `redis` does: a key is the key of a string. `address` is
    /// `redis://[user:password@]host[:port][/database]`, or `rediss:` for TLS; `?cluster=true` for a cluster, and
    /// `?sentinel=NAME` where the hosts are sentinels that know the server by this name, both with several hosts, separated by
    /// commas. With `?replicas=N` a write succeeds when so many replicas have it, too. An operation takes at most `timeout`.
    ///
    /// Nothing is connected yet: a server that is out of reach is an error of each operation, logged once.
    ///
    /// Without a cluster nothing is set for the process. A cluster over `rediss:` makes rustls install its default provider, if
    /// the process has none.
    ///
    /// ```
    /// # use http_component_runtime::{InvalidStore, KeyValue};
    /// # use std::time::Duration;
    /// let store = KeyValue::redis("redis://127.0.0.1:6379", Duration::from_secs(5))?;
    /// let cluster = "rediss://api:secret@a.example.com,b.example.com?cluster=true";
    /// let cluster = KeyValue::redis(cluster, Duration::from_secs(5))?;
    /// # Ok::<(), InvalidStore>(())
    /// ```
    ///
    /// # Errors
    /// If `address` is not of this form. The error does not show it, because it may have a password.
    #[cfg(feature = "redis")]
    pub fn redis(address: &str, timeout: Duration) -> Result<Self, InvalidStore> {
        Ok(Self::custom(Redis::new(address, timeout)?))
    }

    /// Keeps everything in `store`, which the embedder brings.
    pub fn custom(store: impl KeyValueStore) -> Self {
        Self(Backend::Custom(Custom::new(store)))
    }

    /// Writes into the file itself what is only in the write-ahead log beside it, so that a copy of the one file has
    /// everything.
    ///
    /// # Errors
    /// If another process uses the file, or it cannot be written.
    pub fn checkpoint(&self) -> Result<(), CheckpointError> {
        match &self.0 {
            Backend::Memory(_) | Backend::Custom(_) => Ok(()),
            Backend::Sqlite(sqlite) => sqlite.checkpoint(),
        }
    }

    /// The same store for another thread, so that threads that read do not wait for one another.
    pub(crate) fn for_another_thread(&self) -> Result<Self, OpenError> {
        Ok(Self(match &self.0 {
            Backend::Memory(memory) => Backend::Memory(memory.clone()),
            Backend::Sqlite(sqlite) => Backend::Sqlite(sqlite.for_another_thread()?),
            Backend::Custom(custom) => Backend::Custom(custom.for_another_thread()),
        }))
    }

    /// Whether a `get` may have to wait, so that [`KeyValue::get_now`] cannot be used.
    pub(crate) fn waits(&self) -> bool {
        matches!(self.0, Backend::Custom(_))
    }

    /// A `get` of a store that does not wait.
    pub(crate) fn get_now(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        match &self.0 {
            Backend::Memory(memory) => Ok(memory.get(key)),
            Backend::Sqlite(sqlite) => sqlite.get(key),
            Backend::Custom(_) => Err(Error::Other("the store waits".to_owned())),
        }
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        match &self.0 {
            Backend::Memory(_) | Backend::Sqlite(_) => self.get_now(key),
            Backend::Custom(custom) => custom.get(key).await,
        }
    }

    pub(crate) async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        match &self.0 {
            Backend::Memory(memory) => memory.set(key, value),
            Backend::Sqlite(sqlite) => sqlite.set(key, value).await,
            Backend::Custom(custom) => custom.set(&key, &value).await,
        }
    }

    pub(crate) async fn delete(&self, key: String) -> Result<(), Error> {
        match &self.0 {
            Backend::Memory(memory) => {
                memory.delete(&key);
                Ok(())
            }
            Backend::Sqlite(sqlite) => sqlite.delete(key).await,
            Backend::Custom(custom) => custom.delete(&key).await,
        }
    }

    /// Sets many keys: in a file up to 4096 together, all or none; in memory one by one.
    pub(crate) async fn set_many(&self, pairs: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        match &self.0 {
            Backend::Memory(memory) => pairs
                .into_iter()
                .try_for_each(|(key, value)| memory.set(key, value)),
            Backend::Sqlite(sqlite) => {
                let changes = pairs.into_iter().map(|(key, value)| (key, Some(value)));
                sqlite.change_many(changes.collect()).await
            }
            Backend::Custom(custom) => custom.set_many(&pairs).await,
        }
    }

    /// Deletes many keys, in a file like `set_many`.
    pub(crate) async fn delete_many(&self, keys: Vec<String>) -> Result<(), Error> {
        match &self.0 {
            Backend::Memory(memory) => {
                keys.iter().for_each(|key| memory.delete(key));
                Ok(())
            }
            Backend::Sqlite(sqlite) => {
                let changes = keys.into_iter().map(|key| (key, None));
                sqlite.change_many(changes.collect()).await
            }
            Backend::Custom(custom) => custom.delete_many(&keys).await,
        }
    }

    /// `keys` in their order, each with its value.
    pub(crate) async fn get_many(
        &self,
        keys: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, Error> {
        match &self.0 {
            Backend::Memory(_) | Backend::Sqlite(_) => {
                let mut values = Values::default();
                for key in keys {
                    let value = self.get_now(&key)?;
                    values.push(key, value)?;
                }
                Ok(values.into_inner())
            }
            Backend::Custom(custom) => custom.get_many(&keys).await,
        }
    }

    /// About `count` keys: the first ones, or those behind the page that had this `cursor`. Those in memory and in a file are
    /// in order.
    pub(crate) async fn list_keys(
        &self,
        cursor: Option<&str>,
        count: u32,
    ) -> Result<KeyPage, Error> {
        let after = cursor.unwrap_or_default();
        let keys = match &self.0 {
            Backend::Memory(memory) => memory.keys_after(after, count),
            Backend::Sqlite(sqlite) => sqlite.keys_after(after, count)?,
            Backend::Custom(custom) => return custom.list_keys(cursor, count).await,
        };
        Ok(KeyPage::ordered(keys, count))
    }

    pub(super) async fn keys(&self) -> Result<Vec<String>, Error> {
        match &self.0 {
            Backend::Memory(memory) => memory.keys(),
            Backend::Sqlite(sqlite) => sqlite.keys(),
            Backend::Custom(custom) => custom.keys().await,
        }
    }
}

impl Default for KeyValue {
    fn default() -> Self {
        Self::memory(DEFAULT_MEMORY_BYTES)
    }
}
