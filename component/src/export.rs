//! Everybody, as lines of NDJSON.

use crate::error::Error;
use crate::person::Person;
use crate::settings::StoreSettings;
use crate::store::{Pages, Store};
use std::iter;

/// All people, ordered by username, some thousand lines at a time. What is made is not more than what the client takes.
pub fn chunks(settings: &'static StoreSettings) -> impl Iterator<Item = Result<Vec<u8>, Error>> {
    let mut pages = Pages::default();
    iter::from_fn(move || {
        let page = Store::with(settings, |store| store.page(&mut pages));
        match page {
            Ok(people) if people.is_empty() => None,
            Ok(people) => Some(Ok(lines(&people))),
            Err(error) => Some(Err(error)),
        }
    })
}

fn lines(people: &[Person]) -> Vec<u8> {
    let mut lines = String::new();
    people
        .iter()
        .for_each(|person| person.write_line(&mut lines));
    lines.into_bytes()
}
