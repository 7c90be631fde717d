//! Requests at a steady rate, half of them writes, and what came of each.
//!
//! Requests are sent when they are due, however long others take, so that an outage costs as many of them as it would cost callers
//! that know nothing of each other. Each write stores somebody new, so that one that is lost cannot be hidden by a later one.

use crate::client::{self, Answer};
use crate::contract::new_username;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Requests per second.
pub const RATE: u32 = 200;

/// The most requests that wait for their answers at a time; more are sent late.
const CLIENTS: usize = 600;

/// How many clients look for what was stored, at the end.
const READERS: usize = 8;

/// How often somebody is looked for who is said to be stored, if the service does not answer.
const MAX_ATTEMPTS: u32 = 50;

/// A running load.
pub struct Load<'a> {
    url: &'a str,
    next: Mutex<Instant>,
    number: AtomicU64,
    good: AtomicUsize,
    is_over: AtomicBool,
    records: Mutex<Records>,
}

#[derive(Default)]
struct Records {
    requests: usize,
    /// When good answers came.
    good: Vec<Instant>,
    slowest: Duration,
    failed: BTreeMap<String, usize>,
    /// Writes that were answered 204.
    acknowledged: Vec<String>,
    /// Writes that, by their answers, changed nothing.
    refused: Vec<String>,
    /// Acknowledged writes that a read during the load did not find.
    missed: HashSet<String>,
}

/// What came of a load.
#[derive(Debug)]
pub struct Outcome {
    /// All requests.
    pub requests: usize,
    /// Those that were not answered as they should have been, by what they were answered.
    pub failed: BTreeMap<String, usize>,
    /// The longest time without a good answer.
    pub gap: Duration,
    /// The longest time that a good answer took.
    pub slowest: Duration,
    /// Writes that were answered 204.
    pub acknowledged: usize,
    /// Those of them that were not found, during the load or at its end.
    pub lost: usize,
    /// Writes that were found although they were answered that nothing was changed.
    pub phantoms: usize,
}

impl Outcome {
    /// How many requests failed.
    pub fn failures(&self) -> usize {
        self.failed.values().sum()
    }
}

/// As the cells of a table: requests, failed, longest gap, slowest good answer, acknowledged writes, lost, by answer.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed: Vec<_> = self.failed.iter().collect();
        let failed: Vec<_> = failed
            .iter()
            .map(|(answer, count)| format!("{count} × {answer}"))
            .collect();
        write!(
            f,
            "{} | {} | {:.2} s | {:.2} s | {} | {} | {}",
            self.requests,
            self.failures(),
            self.gap.as_secs_f64(),
            self.slowest.as_secs_f64(),
            self.acknowledged,
            self.lost,
            failed.join(", ")
        )
    }
}

/// Sends requests to `url` while `work` runs, and then looks for everybody who is said to be stored.
///
/// # Panics
/// If `work` does.
pub fn under_load<T>(url: &str, work: impl FnOnce(&Load<'_>) -> T) -> (T, Outcome) {
    let start = Instant::now();
    let load = Load {
        url,
        next: Mutex::new(start),
        number: AtomicU64::new(0),
        good: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
        records: Mutex::default(),
    };
    let result = thread::scope(|scope| {
        let _over = RaisedOnDrop(&load.is_over);
        for _ in 0..CLIENTS {
            scope.spawn(|| while load.send_next() {});
        }
        work(&load)
    });
    (result, load.conclude(start))
}

impl Load<'_> {
    /// How many requests were answered as they should be.
    pub fn good(&self) -> usize {
        self.good.load(Ordering::Relaxed)
    }

    /// Sends the next request when it is due. Returns whether there are more.
    fn send_next(&self) -> bool {
        let due = {
            let mut next = self.next.lock().expect(NO_PANIC);
            if self.is_over.load(Ordering::Relaxed) {
                return false;
            }
            let due = *next;
            *next = due + Duration::from_secs(1) / RATE;
            // The rate is what the load is about.
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due
        };
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let known = match number.is_multiple_of(2) {
            true => None,
            false => self.known(number),
        };
        match known {
            Some(username) => self.read(due, username),
            None => self.write(due),
        }
        true
    }

    /// Somebody who is said to be stored; the last ones more often than others.
    fn known(&self, number: u64) -> Option<String> {
        let records = self.records.lock().expect(NO_PANIC);
        let stored = records.acknowledged.len();
        let back = usize::try_from(number).ok()? % stored.clamp(1, 50);
        records
            .acknowledged
            .get(stored.checked_sub(1 + back)?)
            .cloned()
    }

    fn read(&self, due: Instant, username: String) {
        let answer = client::get(&format!("{}/hello/{username}", self.url));
        let is_missed = matches!(&answer, Ok(answer) if answer.status == 404);
        let mut records = self.note(due, answer, 200);
        if is_missed {
            records.missed.insert(username);
        }
    }

    fn write(&self, due: Instant) {
        let username = new_username();
        let url = format!("{}/hello/{username}", self.url);
        let body = br#"{"dateOfBirth":"1988-02-29"}"#;
        let answer = client::send("PUT", &url, &[], body);
        let is_stored = matches!(&answer, Ok(answer) if answer.status == 204);
        let is_refused = matches!(&answer, Ok(answer) if changed_nothing(answer));
        let mut records = self.note(due, answer, 204);
        if is_stored {
            records.acknowledged.push(username);
        } else if is_refused {
            records.refused.push(username);
        }
    }

    fn note(
        &self,
        due: Instant,
        answer: Result<Answer, ureq::Error>,
        wanted: u16,
    ) -> std::sync::MutexGuard<'_, Records> {
        let ended = Instant::now();
        let mut records = self.records.lock().expect(NO_PANIC);
        records.requests += 1;
        let failed = match answer {
            Ok(answer) if answer.status == wanted => {
                records.good.push(ended);
                records.slowest = records.slowest.max(ended - due);
                self.good.fetch_add(1, Ordering::Relaxed);
                return records;
            }
            Ok(answer) if changed_nothing(&answer) => "503 nothing changed".to_owned(),
            Ok(answer) if answer.body.contains("It is not known") => {
                format!("{} outcome unknown", answer.status)
            }
            Ok(answer) => match answer.problem() {
                Some(problem) => format!("{} {problem}", answer.status),
                None => answer.status.to_string(),
            },
            Err(error) => format!("no answer ({error})"),
        };
        *records.failed.entry(failed).or_default() += 1;
        records
    }

    fn conclude(self, start: Instant) -> Outcome {
        let end = Instant::now();
        let Records {
            requests,
            mut good,
            slowest,
            failed,
            acknowledged,
            refused,
            missed,
        } = self.records.into_inner().expect(NO_PANIC);
        good.sort_unstable();
        let ends = good.iter().copied().chain([end]);
        let begins = [start].into_iter().chain(good.iter().copied());
        let gap = begins.zip(ends).map(|(begin, end)| end - begin).max();
        let is_missing = |username: &String| is_stored(self.url, username) != Some(true);
        let missing = count(&acknowledged, |name| {
            missed.contains(name) || is_missing(name)
        });
        let phantoms = count(&refused, |name| is_stored(self.url, name) != Some(false));
        Outcome {
            requests,
            failed,
            gap: gap.unwrap_or_default(),
            slowest,
            acknowledged: acknowledged.len(),
            lost: missing,
            phantoms,
        }
    }
}

const NO_PANIC: &str = "no client panics";

/// Whether a write was refused before it was sent to the store.
fn changed_nothing(answer: &Answer) -> bool {
    answer.status == 503 && answer.body.contains("Nothing was changed")
}

/// How many `usernames` satisfy `is_wanted`, which several threads ask.
fn count(usernames: &[String], is_wanted: impl Fn(&String) -> bool + Sync) -> usize {
    let part = usernames.len().div_ceil(READERS).max(1);
    thread::scope(|scope| {
        let counts: Vec<_> = usernames
            .chunks(part)
            .map(|part| scope.spawn(|| part.iter().filter(|name| is_wanted(name)).count()))
            .collect();
        let counts = counts
            .into_iter()
            .map(|count| count.join().expect(NO_PANIC));
        counts.sum()
    })
}

/// Whether the service has somebody, or `None` if it does not answer.
fn is_stored(url: &str, username: &str) -> Option<bool> {
    let url = format!("{url}/hello/{username}");
    for _ in 0..MAX_ATTEMPTS {
        match client::get(&url) {
            Ok(answer) if answer.status == 200 => return Some(true),
            Ok(answer) if answer.status == 404 => return Some(false),
            _ => thread::sleep(Duration::from_millis(100)),
        }
    }
    None
}

/// Raises a flag that clients on other threads watch, when it is dropped: also at the end of a test that fails.
pub struct RaisedOnDrop<'a>(pub &'a AtomicBool);

impl Drop for RaisedOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
