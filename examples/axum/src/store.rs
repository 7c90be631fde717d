//! The key-value store of this application: a table of a database that it might use for other things, too.

use anyhow::Context;
use http_component_runtime::{KeyPage, KeyValueError, KeyValueStore, async_trait};
use redb::{Database, ReadableDatabase, TableDefinition};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use tokio::task::spawn_blocking;

const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("component");

/// A database of [redb](https://docs.rs/redb): one file, whose transactions are durable when they are committed.
pub struct Redb(Arc<Database>);

impl Redb {
    /// Opens the file at `path`, or makes it.
    ///
    /// # Errors
    /// If it is no such database, or another process has it open.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let open = || -> Result<Database, redb::Error> {
            let database = Database::create(path)?;
            let transaction = database.begin_write()?;
            transaction.open_table(TABLE)?;
            transaction.commit()?;
            Ok(database)
        };
        let database = open().with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self(Arc::new(database)))
    }

    /// Runs `work` on a thread that may block: a commit waits for the disk.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, KeyValueError> {
        let database = self.0.clone();
        let worked = spawn_blocking(move || work(&database)).await;
        let result = worked.map_err(|error| KeyValueError::Other(error.to_string()))?;
        result.map_err(|error| KeyValueError::Other(error.to_string()))
    }

    /// Sets keys, or removes those without a value: all of them, or none.
    async fn change(&self, changes: Vec<(String, Option<Vec<u8>>)>) -> Result<(), KeyValueError> {
        self.run(move |database| {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(TABLE)?;
                for (key, value) in &changes {
                    match value {
                        Some(value) => table.insert(key.as_str(), value.as_slice())?,
                        None => table.remove(key.as_str())?,
                    };
                }
            }
            Ok(transaction.commit()?)
        })
        .await
    }
}

#[async_trait]
impl KeyValueStore for Redb {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        let key = key.to_owned();
        self.run(move |database| {
            let table = database.begin_read()?.open_table(TABLE)?;
            Ok(table.get(key.as_str())?.map(|value| value.value().to_vec()))
        })
        .await
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), KeyValueError> {
        let change = (key.to_owned(), Some(value.to_vec()));
        self.change(vec![change]).await
    }

    async fn delete(&self, key: &str) -> Result<(), KeyValueError> {
        self.change(vec![(key.to_owned(), None)]).await
    }

    async fn list_keys(&self, cursor: Option<&str>, count: u32) -> Result<KeyPage, KeyValueError> {
        let cursor = cursor.map(str::to_owned);
        let listing = self.run(move |database| {
            let table = database.begin_read()?.open_table(TABLE)?;
            let first = cursor.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let behind = (first, Bound::Unbounded);
            let entries = table.range::<&str>(behind)?.take(count as usize);
            let keys = entries.map(|entry| Ok(entry?.0.value().to_owned()));
            keys.collect()
        });
        Ok(KeyPage::ordered(listing.await?, count))
    }

    async fn set_many(&self, pairs: &[(String, Vec<u8>)]) -> Result<(), KeyValueError> {
        let pairs = pairs.iter().cloned();
        let changes = pairs.map(|(key, value)| (key, Some(value)));
        self.change(changes.collect()).await
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), KeyValueError> {
        let changes = keys.iter().map(|key| (key.clone(), None));
        self.change(changes.collect()).await
    }
}
