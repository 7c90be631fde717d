//! The store of people: one of two kinds, chosen by the settings.

mod key_value;
mod postgres;

use crate::error::Error;
use crate::person::Person;
use crate::settings::StoreSettings;
use birthday_rule::DateOfBirth;
use birthday_rule::Username;
use key_value::KeyValue;
use postgres::Postgres;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::vec;

/// An open store.
#[derive(Debug)]
pub enum Store {
    Postgres(Postgres),
    KeyValue(KeyValue),
}

/// How far a walk over all people has come.
#[derive(Debug, Default)]
pub enum Pages {
    #[default]
    Start,
    /// Up to this one.
    After(Username),
    /// The names of those to come.
    Names(vec::IntoIter<Username>),
}

/// So many people are on one page.
const PAGE: usize = 1000;

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

    /// Stores all of `people`, and replaces earlier dates: in Postgres all, or none.
    pub fn put_many(&mut self, people: &BTreeMap<Username, DateOfBirth>) -> Result<(), Error> {
        match self {
            Self::Postgres(postgres) => postgres.put_many(people),
            Self::KeyValue(key_value) => key_value.put_many(people),
        }
    }

    /// The next people of a walk over all, ordered by username; nobody at its end.
    pub fn page(&mut self, pages: &mut Pages) -> Result<Vec<Person>, Error> {
        match self {
            Self::Postgres(postgres) => {
                let after = match pages {
                    Pages::After(username) => username.as_str(),
                    _ => "",
                };
                let people = postgres.page(after)?;
                if let Some(last) = people.last() {
                    *pages = Pages::After(last.username.clone());
                }
                Ok(people)
            }
            Self::KeyValue(key_value) => {
                if !matches!(pages, Pages::Names(_)) {
                    *pages = Pages::Names(key_value.usernames()?.into_iter());
                }
                let Pages::Names(names) = pages else {
                    return Ok(Vec::new());
                };
                loop {
                    let page: Vec<_> = names.take(PAGE).collect();
                    if page.is_empty() {
                        return Ok(Vec::new());
                    }
                    let people = key_value.people(page)?;
                    // All of a page may have been deleted meanwhile.
                    if !people.is_empty() {
                        return Ok(people);
                    }
                }
            }
        }
    }

    /// Removes everybody.
    pub fn delete_all(&mut self) -> Result<(), Error> {
        match self {
            Self::Postgres(postgres) => postgres.delete_all(),
            Self::KeyValue(key_value) => key_value.delete_all(),
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
