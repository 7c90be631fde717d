//! The runtime's key-value store: `people/{username}` holds `YYYY-MM-DD`.

use crate::bindings::batch::{delete_many, get_many, set_many};
use crate::bindings::buckets::{self, Bucket, Error as BucketError};
use crate::bindings::key_value::{Error as KeyValueError, Store};
use crate::error::Error;
use crate::log::{is_logged, log};
use crate::person::Person;
use birthday_rule::DateOfBirth;
use birthday_rule::Username;
use std::collections::BTreeMap;

/// The label of the default store in every runtime.
const LABEL: &str = "default";

/// What the key of a person begins with.
const PREFIX: &str = "people/";

/// No person has this key.
const NO_KEY: &str = "people";

/// So many people are removed in one call.
const DELETED_TOGETHER: usize = 4000;

#[derive(Debug)]
pub struct KeyValue(Store);

impl KeyValue {
    pub fn open() -> Result<Self, Error> {
        Store::open(LABEL).map(Self).map_err(unavailable)
    }

    pub fn get(&self, username: &Username) -> Result<Option<DateOfBirth>, Error> {
        let Some(value) = self.0.get(&key(username)).map_err(unavailable)? else {
            return Ok(None);
        };
        born(&value).map(Some)
    }

    pub fn put(&self, username: &Username, born: DateOfBirth) -> Result<(), Error> {
        self.0
            .set(&key(username), born.to_text().as_bytes())
            .map_err(|error| {
                unavailable(error);
                Error::OutcomeUnknown
            })
    }

    /// Stores many people in one call. If it fails, some may be stored.
    pub fn put_many(&self, people: &BTreeMap<Username, DateOfBirth>) -> Result<(), Error> {
        let pairs: Vec<(String, String)> = people
            .iter()
            .map(|(username, born)| (key(username), born.to_text()))
            .collect();
        let pairs: Vec<(&str, &[u8])> = pairs
            .iter()
            .map(|(key, born)| (key.as_str(), born.as_bytes()))
            .collect();
        set_many(&bucket()?, &pairs).map_err(|error| {
            bucket_unavailable(&error);
            Error::OutcomeUnknown
        })
    }

    /// The names of all people, in their order.
    pub fn usernames(&self) -> Result<Vec<Username>, Error> {
        let keys = all_keys()?.into_iter();
        let names = keys.filter_map(|key| Username::parse(key.strip_prefix(PREFIX)?).ok());
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        // A store without an order of keys may list one twice.
        names.dedup();
        Ok(names)
    }

    /// Those of `usernames` that are there.
    pub fn people(&self, usernames: Vec<Username>) -> Result<Vec<Person>, Error> {
        let keys: Vec<String> = usernames.iter().map(key).collect();
        let found =
            get_many(&bucket()?, &borrowed(&keys)).map_err(|error| bucket_unavailable(&error))?;
        let mut values: BTreeMap<_, _> = found.into_iter().collect();
        let mut people = Vec::new();
        for (username, key) in usernames.into_iter().zip(keys) {
            if let Some(value) = values.remove(&key).flatten() {
                let born = born(&value)?;
                people.push(Person { username, born });
            }
        }
        Ok(people)
    }

    /// Removes everybody, some thousand at a time.
    pub fn delete_all(&self) -> Result<(), Error> {
        let mut keys = all_keys()?;
        keys.retain(|key| key.starts_with(PREFIX));
        let bucket = bucket()?;
        keys.chunks(DELETED_TOGETHER).try_for_each(|keys| {
            delete_many(&bucket, &borrowed(keys)).map_err(|error| {
                bucket_unavailable(&error);
                Error::OutcomeUnknown
            })
        })
    }

    /// Reads and writes a key that is never there.
    pub fn check(&self) -> Result<(), Error> {
        self.0.exists(NO_KEY).map_err(unavailable)?;
        self.0.delete(NO_KEY).map_err(unavailable)
    }
}

fn born(value: &[u8]) -> Result<DateOfBirth, Error> {
    let born = str::from_utf8(value)
        .ok()
        .and_then(DateOfBirth::from_stored_text);
    if born.is_none() {
        log("key-value: the value of a person is not a date of the form YYYY-MM-DD");
    }
    born.ok_or(Error::Internal)
}

fn borrowed(keys: &[String]) -> Vec<&str> {
    keys.iter().map(String::as_str).collect()
}

/// The same store, for many keys at a time.
fn bucket() -> Result<Bucket, Error> {
    buckets::open(LABEL).map_err(|error| bucket_unavailable(&error))
}

/// All keys of the store, whatever page the runtime gives.
fn all_keys() -> Result<Vec<String>, Error> {
    let bucket = bucket()?;
    let mut keys = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = bucket.list_keys(cursor.as_deref());
        let page = page.map_err(|error| bucket_unavailable(&error))?;
        keys.extend(page.keys);
        match page.cursor {
            Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
            _ => return Ok(keys),
        }
    }
}

fn key(username: &Username) -> String {
    format!("{PREFIX}{username}")
}

fn unavailable(error: KeyValueError) -> Error {
    match error {
        KeyValueError::Other(reason) => failed(&reason),
        other => failed(&other.to_string()),
    }
}

fn bucket_unavailable(error: &BucketError) -> Error {
    match error {
        BucketError::Other(reason) => failed(reason),
        other => failed(&other.to_string()),
    }
}

fn failed(reason: &str) -> Error {
    if !is_logged(reason) {
        // Only the first line, because some runtimes append a backtrace.
        log(&format!(
            "key-value: {}",
            reason.lines().next().unwrap_or_default()
        ));
    }
    Error::StoreUnavailable
}
