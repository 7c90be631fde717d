//! Where people are kept: one of two kinds of store, chosen by the settings.

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
    /// Runs `work` with the store of this instance, which stays open from one request to the next.
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

    /// The date of birth stored for `username`, if there is one.
    pub fn get(&mut self, username: &Username) -> Result<Option<DateOfBirth>, Error> {
        match self {
            Self::Postgres(postgres) => postgres.get(username),
            Self::KeyValue(key_value) => key_value.get(username),
        }
    }

    /// Stores `born` for `username`, in place of what was there. Once this has returned, it is durable as
    /// far as the store is.
    pub fn put(&mut self, username: &Username, born: DateOfBirth) -> Result<(), Error> {
        match self {
            Self::Postgres(postgres) => postgres.put(username, born),
            Self::KeyValue(key_value) => key_value.put(username, born),
        }
    }

    /// Asks the store for a sign of life.
    pub fn check(&mut self) -> Result<(), Error> {
        match self {
            Self::Postgres(postgres) => postgres.check(),
            Self::KeyValue(key_value) => key_value.check(),
        }
    }
}
