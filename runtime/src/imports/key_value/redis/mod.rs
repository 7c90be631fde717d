//! Keys and values in Redis or Valkey, as Spin's store `redis` has them: a key is the key of a string.
//!
//! Each thread has one connection, over which all its commands go.

mod address;
mod fault;
mod keys;
mod link;

use super::custom::{KeyPage, KeyValueStore};
use super::error::{InvalidStore, KeyValueError};
use super::outage::{Access, Cause, Failure, Fault, Outage};
use super::values::Values;
use address::Address;
use async_trait::async_trait;
use link::{Link, Request, Server};
use redis::{Cmd, FromRedisValue, Value};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most keys of one command: a server does nothing else meanwhile.
const MAX_BATCH: usize = 500;

pub struct Redis {
    link: Link,
    outage: Arc<Outage>,
}

impl Redis {
    /// # Errors
    /// If `address` is no address.
    pub fn new(address: &str, timeout: Duration) -> Result<Self, InvalidStore> {
        let address = Address::parse(address)?;
        let outage = Outage::new(address.name());
        Ok(Self {
            link: Link::new(Arc::new(Server::new(address, timeout))),
            outage: Arc::new(outage),
        })
    }

    async fn read<T: FromRedisValue>(&self, command: Cmd) -> Result<T, KeyValueError> {
        let request = Request::Command(command);
        self.observe(Access::Read, self.link.query(&request)).await
    }

    async fn write(&self, command: Cmd) -> Result<(), KeyValueError> {
        self.observe(Access::Write, self.replicated(command)).await
    }

    /// Runs `command`, and waits for as many replicas as the address says.
    async fn replicated(&self, command: Cmd) -> Result<(), Cause> {
        let wanted = self.link.server.address.replicas;
        if wanted == 0 {
            let _: Value = self.link.query(&Request::Command(command)).await?;
            return Ok(());
        }
        let patience = self.link.server.timeout / 2;
        let mut pipeline = redis::pipe();
        pipeline.add_command(command).ignore();
        pipeline.cmd("WAIT").arg(wanted).arg(patience.as_millis());
        let (replicas,): (usize,) = self.link.query(&Request::Pipeline(pipeline)).await?;
        if replicas < wanted {
            let reason = format!("{replicas} of {wanted} replicas have a write in time");
            return Err(Failure::new(Fault::ReadOnly, reason).into());
        }
        Ok(())
    }

    /// Notes how `operation` ends.
    async fn observe<T>(
        &self,
        access: Access,
        operation: impl Future<Output = Result<T, Cause>>,
    ) -> Result<T, KeyValueError> {
        let began = Instant::now();
        self.outage.observe(began, access, operation.await)
    }
}

#[async_trait]
impl KeyValueStore for Redis {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        let mut command = redis::cmd("GET");
        command.arg(key);
        self.read(command).await
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), KeyValueError> {
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value);
        self.write(command).await
    }

    async fn delete(&self, key: &str) -> Result<(), KeyValueError> {
        let mut command = redis::cmd("DEL");
        command.arg(key);
        self.write(command).await
    }

    async fn set_many(&self, pairs: &[(String, Vec<u8>)]) -> Result<(), KeyValueError> {
        for pairs in pairs.chunks(MAX_BATCH) {
            let mut command = redis::cmd("MSET");
            for (key, value) in pairs {
                command.arg(key).arg(value.as_slice());
            }
            self.write(command).await?;
        }
        Ok(())
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), KeyValueError> {
        for keys in keys.chunks(MAX_BATCH) {
            let mut command = redis::cmd("DEL");
            command.arg(keys);
            self.write(command).await?;
        }
        Ok(())
    }

    async fn get_many(
        &self,
        keys: &[String],
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, KeyValueError> {
        let mut values = Values::default();
        for keys in keys.chunks(MAX_BATCH) {
            let mut command = redis::cmd("MGET");
            command.arg(keys);
            let found: Vec<Option<Vec<u8>>> = self.read(command).await?;
            for (key, value) in keys.iter().zip(found) {
                values.push(key.clone(), value)?;
            }
        }
        Ok(values.into_inner())
    }

    async fn list_keys(&self, cursor: Option<&str>, count: u32) -> Result<KeyPage, KeyValueError> {
        self.observe(Access::Read, keys::list(&self.link, cursor, count))
            .await
    }

    fn for_another_thread(&self) -> Option<Arc<dyn KeyValueStore>> {
        Some(Arc::new(Self {
            link: Link::new(self.link.server.clone()),
            outage: self.outage.clone(),
        }))
    }
}
