//! The store of people: one of two kinds, chosen by the settings.

mod key_value;
mod postgres;

use crate::birthday::DateOfBirth;
use crate::error::Error;
use crate::settings::StoreSettings;
use crate::username::Username;
use key_value::KeyValue;
use postgres::Postgres;
use std::cell::RefCell;

/// An open store.
#[derive(Debug)]
pub enum Store {
    Postgres(Postgres),
    KeyValue(KeyValue),
}

impl Store {
    /// Runs `work` with the store of this instance, which stays open between requests.
    ///
    /// # Errors
    /// Those of `work`, and [`Error::StoreUnavailable`] if the store cannot be opened.
    pub fn with<T>(
        settings: &'static StoreSettings,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        thread_local! {
            static STORE: RefCell<Option<Store>> = const { RefCell::new(None) };
        }
        STORE.with_borrow_mut(|slot| {
            let store = match slot {
                Some(store) => store,
                None => slot.insert(Self::open(settings)?),
            };
            work(store)
        })
    }

    fn open(settings: &'static StoreSettings) -> Result<Self, Error> {
        Ok(match settings {
            StoreSettings::KeyValue => Self::KeyValue(KeyValue::open()?),
            StoreSettings::Postgres { address } => Self::Postgres(Postgres::new(address)),
        })
    }

    /// The date of birth of `username`, if one is stored.
    pub fn get(&mut self, username: &Username) -> Result<Option<DateOfBirth>, Error> {
        match self {
            Self::Postgres(postgres) => postgres.get(username),
            Self::KeyValue(key_value) => key_value.get(username),
        }
    }

    /// Stores `born` for `username`, and replaces an earlier date. When it returns, the date is as durable
    /// as the store.
    pub fn put(&mut self, username: &Username, born: DateOfBirth) -> Result<(), Error> {
        match self {
            Self::Postgres(postgres) => postgres.put(username, born),
            Self::KeyValue(key_value) => key_value.put(username, born),
        }
    }

    /// Checks that the store can be read and written. Changes nothing.
    pub fn check(&mut self) -> Result<(), Error> {
        match self {
            Self::Postgres(postgres) => postgres.check(),
            Self::KeyValue(key_value) => key_value.check(),
        }
    }
}
