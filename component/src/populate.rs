//! Storing many people: those of a request body, or those that another server has.

use crate::bindings::http::IncomingRequest;
use crate::body;
use crate::error::{Error, Interruption};
use crate::lines::Lines;
use crate::log::log;
use crate::person::{self, Person};
use crate::settings::Source;
use crate::store::Store;
use crate::upstream;
use birthday_rule::DateOfBirth;
use birthday_rule::Username;
use serde::Serialize;
use std::collections::BTreeMap;
use time::Date;

/// So many people of a stream are stored together. They are all that the instance keeps of it.
const MAX_BATCH: usize = 2000;

/// What became of the entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub stored: u64,
    /// They break a rule.
    pub skipped: u64,
}

/// Stores the people that `source` has: all of them, or none.
///
/// # Errors
/// [`Error::UpstreamFailed`] if the source does not answer as it should, and those of the store.
pub fn from_source(source: &Source, store: &mut Store, today: Date) -> Result<Counts, Error> {
    let document = upstream::fetch(source)?;
    let people = str::from_utf8(&document)
        .ok()
        .and_then(|document| person::people(document, today));
    let Some(people) = people else {
        log("populate_url: the answer is not a list of people");
        return Err(Error::UpstreamFailed);
    };
    let mut batch = Batch::new(store);
    people.into_iter().for_each(|person| batch.add(person));
    batch.store()?;
    Ok(batch.counts)
}

/// Stores the people of the body of `request`, one a line, while they arrive.
///
/// # Errors
/// [`Error::Interrupted`] if the body breaks off or the store fails, with how many were stored before. Those of
/// [`body::stream`].
pub fn from_body(
    request: &IncomingRequest,
    store: &mut Store,
    today: Date,
) -> Result<Counts, Error> {
    let mut body = body::stream(request)?;
    let mut batch = Batch::new(store);
    let mut lines = Lines::default();
    loop {
        let chunk = body
            .next()
            .map_err(|_| batch.interrupted(Interruption::Body))?;
        let take = |line: Option<&[u8]>| {
            let line = line.and_then(|line| str::from_utf8(line).ok());
            batch.add(line.and_then(|line| Person::parse(line, today)));
            match batch.people.len() < MAX_BATCH {
                true => Ok(()),
                false => batch.store(),
            }
        };
        let taken = match &chunk {
            Some(chunk) => lines.push(chunk, take),
            None => lines.end(take),
        };
        taken.map_err(|_| batch.interrupted(Interruption::Store))?;
        if chunk.is_none() {
            break;
        }
    }
    let stored = batch.store();
    stored.map_err(|_| batch.interrupted(Interruption::Store))?;
    Ok(batch.counts)
}

/// People that are stored together.
struct Batch<'a> {
    store: &'a mut Store,
    /// In their order, so that two populates lock the same rows in the same order. The last of several dates counts.
    people: BTreeMap<Username, DateOfBirth>,
    /// How many entries `people` are of.
    entries: u64,
    counts: Counts,
}

impl<'a> Batch<'a> {
    fn new(store: &'a mut Store) -> Self {
        Self {
            store,
            people: BTreeMap::new(),
            entries: 0,
            counts: Counts::default(),
        }
    }

    /// Adds an entry, or counts one that breaks a rule.
    fn add(&mut self, person: Option<Person>) {
        match person {
            Some(Person { username, born }) => {
                self.people.insert(username, born);
                self.entries += 1;
            }
            None => self.counts.skipped += 1,
        }
    }

    /// Stores what was added.
    fn store(&mut self) -> Result<(), Error> {
        if !self.people.is_empty() {
            self.store.put_many(&self.people)?;
        }
        self.people.clear();
        self.counts.stored += std::mem::take(&mut self.entries);
        Ok(())
    }

    /// The client may not be there to read the answer, so the log has it, too.
    fn interrupted(&self, by: Interruption) -> Error {
        let Counts { stored, skipped } = self.counts;
        let reason = match by {
            Interruption::Body => "the request body broke off",
            Interruption::Store => "the store failed",
        };
        log(&format!(
            "populate: {reason}: {stored} were stored and {skipped} skipped before"
        ));
        Error::Interrupted {
            by,
            counts: self.counts,
        }
    }
}
