//! The runtime's key-value store: `people/{username}` holds `YYYY-MM-DD`.

use crate::bindings::key_value::{Error as KeyValueError, Store};
use crate::birthday::DateOfBirth;
use crate::error::Error;
use crate::log::log;
use crate::username::Username;

/// The label of the default store in every runtime.
const LABEL: &str = "default";

/// No person has this key.
const NO_KEY: &str = "people";

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
        let born = str::from_utf8(&value)
            .ok()
            .and_then(DateOfBirth::from_stored_text);
        if born.is_none() {
            log("key-value: the value of a person is not a date of the form YYYY-MM-DD");
        }
        born.map(Some).ok_or(Error::Internal)
    }

    pub fn put(&self, username: &Username, born: DateOfBirth) -> Result<(), Error> {
        self.0
            .set(&key(username), born.to_text().as_bytes())
            .map_err(|error| {
                unavailable(error);
                Error::OutcomeUnknown
            })
    }

    /// Reads and writes a key that is never there.
    pub fn check(&self) -> Result<(), Error> {
        self.0.exists(NO_KEY).map_err(unavailable)?;
        self.0.delete(NO_KEY).map_err(unavailable)
    }
}

fn key(username: &Username) -> String {
    format!("people/{username}")
}

fn unavailable(error: KeyValueError) -> Error {
    // Only the first line, because some runtimes append a backtrace.
    let reason = error.to_string();
    log(&format!(
        "key-value: {}",
        reason.lines().next().unwrap_or_default()
    ));
    Error::StoreUnavailable
}
