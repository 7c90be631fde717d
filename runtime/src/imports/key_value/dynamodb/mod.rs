//! Keys and values in a table of DynamoDB, as Spin's store `aws_dynamo` has them.
//!
//! Each thread has a client of its own, whose connections belong to the thread.

mod address;
mod client;
mod fault;
mod table;

use super::custom::{KeyPage, KeyValueStore};
use super::error::{InvalidStore, KeyValueError};
use super::outage::{Access, Cause, Fault, Outage};
use super::values::Values;
use address::Address;
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use client::Clients;
use fault::silent;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many batches of one call are under way at a time.
const CONCURRENT_BATCHES: usize = 8;

pub struct DynamoDb {
    shared: Arc<Shared>,
    clients: Clients,
}

/// What all threads share.
struct Shared {
    address: Address,
    /// The most time for one operation, with all attempts.
    timeout: Duration,
    outage: Outage,
}

impl DynamoDb {
    /// # Errors
    /// If `address` is no address.
    pub fn new(address: &str, timeout: Duration) -> Result<Self, InvalidStore> {
        let address = Address::parse(address)?;
        let outage = Outage::new(address.name());
        Ok(Self {
            shared: Arc::new(Shared {
                address,
                timeout,
                outage,
            }),
            clients: Clients::default(),
        })
    }

    fn table(&self) -> &str {
        &self.shared.address.table
    }

    /// Runs `operation` within its time, creates the table for it if it may, and notes how it ends.
    async fn run<T, F>(
        &self,
        access: Access,
        operation: impl Fn(Client) -> F + Send + Sync,
    ) -> Result<T, KeyValueError>
    where
        T: Send,
        F: Future<Output = Result<T, Cause>> + Send,
    {
        let Shared {
            address,
            timeout,
            outage,
        } = &*self.shared;
        let began = Instant::now();
        let running = async {
            let client = self.clients.get(address, *timeout).await?;
            match operation(client.clone()).await {
                Err(Cause::Store(failure)) if failure.fault == Fault::Setup && address.create => {
                    table::create(client.clone(), &address.table).await?;
                    operation(client).await
                }
                result => result,
            }
        };
        let ended = tokio::time::timeout(*timeout, running).await;
        let result = ended.unwrap_or_else(|_| Err(silent().into()));
        if let Err(Cause::Store(failure)) = &result
            && failure.fault == Fault::Credentials
        {
            self.clients.refresh().await;
        }
        outage.observe(began, access, result)
    }

    /// Makes `changes`, each of another key.
    async fn write_many(&self, changes: &[(&str, Option<&[u8]>)]) -> Result<(), KeyValueError> {
        let mut running = FuturesUnordered::new();
        for batch in changes.chunks(table::MAX_WRITE) {
            if running.len() == CONCURRENT_BATCHES {
                running.next().await.transpose()?;
            }
            let write = move |client| table::write_many(client, self.table(), batch);
            running.push(Box::pin(self.run(Access::Write, write)));
        }
        while let Some(written) = running.next().await {
            written?;
        }
        Ok(())
    }
}

#[async_trait]
impl KeyValueStore for DynamoDb {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        self.run(Access::Read, |client| table::get(client, self.table(), key))
            .await
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), KeyValueError> {
        self.run(Access::Write, |client| {
            table::set(client, self.table(), key, value)
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), KeyValueError> {
        self.run(Access::Write, |client| {
            table::delete(client, self.table(), key)
        })
        .await
    }

    async fn set_many(&self, pairs: &[(String, Vec<u8>)]) -> Result<(), KeyValueError> {
        // Of a key that is there twice the last value counts. DynamoDB would refuse the batch.
        let pairs: BTreeMap<&str, Option<&[u8]>> = pairs
            .iter()
            .map(|(key, value)| (key.as_str(), Some(value.as_slice())))
            .collect();
        self.write_many(&pairs.into_iter().collect::<Vec<_>>())
            .await
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), KeyValueError> {
        let keys: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
        let changes: Vec<_> = keys.into_iter().map(|key| (key, None)).collect();
        self.write_many(&changes).await
    }

    async fn get_many(
        &self,
        keys: &[String],
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, KeyValueError> {
        let mut values = Values::default();
        for keys in keys.chunks(table::MAX_GET) {
            let different: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
            let different: Vec<&str> = different.into_iter().collect();
            let found = self
                .run(Access::Read, |client| {
                    table::get_many(client, self.table(), &different)
                })
                .await?;
            for key in keys {
                values.push(key.clone(), found.get(key).cloned())?;
            }
        }
        Ok(values.into_inner())
    }

    async fn list_keys(&self, cursor: Option<&str>, count: u32) -> Result<KeyPage, KeyValueError> {
        self.run(Access::Read, |client| {
            table::scan(client, self.table(), cursor, count)
        })
        .await
    }

    fn for_another_thread(&self) -> Option<Arc<dyn KeyValueStore>> {
        Some(Arc::new(Self {
            shared: self.shared.clone(),
            clients: Clients::default(),
        }))
    }
}
