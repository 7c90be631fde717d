//! `wasi:keyvalue/store` and `batch` of the second draft. It differs from the first in cursors, which became text, and in the answer
//! of `get-many`, which now names the keys that have no value.

use crate::bindings::draft::batch as host;
use crate::bindings::draft::store::{Bucket as HostBucket, Error as HostError};
use crate::bindings::draft2::batch;
use crate::bindings::draft2::store::{
    Bucket, BucketBorrow, Error, Guest, GuestBucket, KeyResponse,
};
use crate::{Adapter, Open};
use std::collections::HashMap;

impl Guest for Adapter {
    type Bucket = Open;

    fn open(identifier: String) -> Result<Bucket, Error> {
        Ok(Bucket::new(Open::new(&identifier)?))
    }
}

impl GuestBucket for Open {
    fn get(&self, key: String) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(&key)?)
    }

    fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        Ok(self.0.set(&key, &value)?)
    }

    fn delete(&self, key: String) -> Result<(), Error> {
        Ok(self.0.delete(&key)?)
    }

    fn exists(&self, key: String) -> Result<bool, Error> {
        Ok(self.0.exists(&key)?)
    }

    fn list_keys(&self, cursor: Option<String>) -> Result<KeyResponse, Error> {
        let cursor = match cursor.map(|cursor| cursor.parse()) {
            Some(Err(_)) => return Err(Error::Other("this is no cursor of this store".to_owned())),
            Some(Ok(cursor)) => Some(cursor),
            None => None,
        };
        let response = self.0.list_keys(cursor)?;
        Ok(KeyResponse {
            keys: response.keys,
            cursor: response.cursor.map(|cursor| cursor.to_string()),
        })
    }
}

impl batch::Guest for Adapter {
    fn get_many(
        bucket: BucketBorrow<'_>,
        keys: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, Error> {
        let found = host::get_many(host_bucket(&bucket), &keys)?;
        let found: HashMap<String, Vec<u8>> = found.into_iter().flatten().collect();
        let pairs = keys.into_iter().map(|key| {
            let value = found.get(&key).cloned();
            (key, value)
        });
        Ok(pairs.collect())
    }

    fn set_many(bucket: BucketBorrow<'_>, pairs: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        Ok(host::set_many(host_bucket(&bucket), &pairs)?)
    }

    fn delete_many(bucket: BucketBorrow<'_>, keys: Vec<String>) -> Result<(), Error> {
        Ok(host::delete_many(host_bucket(&bucket), &keys)?)
    }
}

fn host_bucket<'a>(bucket: &'a BucketBorrow<'_>) -> &'a HostBucket {
    &bucket.get::<Open>().0
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Self {
        match error {
            HostError::NoSuchStore => Self::NoSuchStore,
            HostError::AccessDenied => Self::AccessDenied,
            HostError::Other(reason) => Self::Other(reason),
        }
    }
}
