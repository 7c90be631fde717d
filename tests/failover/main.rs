//! What requests and acknowledged writes become when a pooler, a database or its primary is killed or replaced under 200 requests
//! per second. `make failover` runs it, and prints a table.
//!
//! | module | answers |
//! |---|---|
//! | `poolers` | what if pgbouncer, or the database behind it, is killed? |
//! | `primaries` | what if the primary of Patroni is killed, or hands over? |
//! | `proxy` | how is haproxy run before the servers of Patroni? |
#![expect(
    clippy::unwrap_used,
    reason = "in a test, what is not there is a failure"
)]

mod poolers;
mod primaries;
mod proxy;

use birthday_tests::load::{Load, Outcome, under_load};
use birthday_tests::service::{Service, host};
use libtest_mimic::{Arguments, Failed, Trial};
use std::sync::Mutex;
use std::time::Duration;
use test_support::wait::wait_for;

/// How often each is killed or replaced.
const ROUNDS: u32 = 3;

/// So many good answers come before and after: what 200 requests per second are in two seconds.
const ANSWERS: usize = 400;

/// More than any state is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// The rows of the table.
static ROWS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn main() {
    let mut arguments = Arguments::from_args();
    // Each has the machine for itself.
    arguments.test_threads = Some(1);
    let trials = poolers::trials().into_iter().chain(primaries::trials());
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let rows = ROWS.lock().unwrap();
    if !rows.is_empty() {
        println!(
            "| what | requests | failed | longest gap | slowest good answer | acknowledged writes | lost | failed with |"
        );
        println!("|---|---|---|---|---|---|---|---|");
        for row in rows.iter() {
            println!("| {row} |");
        }
    }
    drop(rows);
    conclusion.exit();
}

fn skipped(what: &str, reason: &str) -> Trial {
    eprintln!("skipped: {what}: {reason}");
    Trial::test(what, || Ok(())).with_ignored_flag(true)
}

/// The host with people in the database at `address`.
fn host_at(address: &str, arguments: &[&str]) -> Service {
    let mut command = host();
    command
        .env("BIRTHDAY_LOG_FORMAT", "text")
        .env("RUST_LOG", "info,access=off")
        .args(["--variable", &format!("database_url={address}")])
        .args(arguments);
    Service::start(&mut command)
}

/// Has `replace` do its work under load, and waits until requests are answered again.
fn measure(what: &str, service: &Service, replace: impl FnOnce()) -> Outcome {
    let wait_for_answers = |load: &Load<'_>| {
        let enough = load.good() + ANSWERS;
        wait_for(PATIENCE, "good answers", || load.good() >= enough);
    };
    let ((), outcome) = under_load(&service.url, |load| {
        wait_for_answers(load);
        replace();
        wait_for_answers(load);
    });
    let row = format!("{what} | {outcome}");
    println!("{row}");
    ROWS.lock().unwrap().push(row);
    outcome
}

/// Whether nothing that was answered turned out to be wrong, and all other requests were answered 503, or 504 where the database
/// took longer than a request may.
fn check(outcome: &Outcome) -> Result<(), Failed> {
    let is_answered = outcome
        .failed
        .keys()
        .all(|answer| answer.starts_with("503 ") || answer.starts_with("504 "));
    if outcome.lost + outcome.phantoms > 0 || !is_answered || outcome.acknowledged < ANSWERS / 2 {
        return Err(format!("{outcome:#?}").into());
    }
    Ok(())
}
