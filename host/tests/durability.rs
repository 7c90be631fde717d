//! An acknowledged PUT survives `kill -9` of the host, at any moment.

use crate::support::{cluster_with_people, command, get, host, try_put};
use birthday_tests::contract::new_username;
use birthday_tests::service::Service;
use rustix::process::Signal;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use test_support::wait::wait_for;
use time::OffsetDateTime;

const PUTS: usize = 10_000;
const CLIENTS: usize = 16;
/// The host is killed each time that so many more have been acknowledged.
const KILL_EVERY: usize = 3_000;

#[test]
fn what_sqlite_acknowledged_survives_kill_9() {
    let folder = TempDir::new().unwrap();
    let store = format!("sqlite:{}", folder.path().join("people.db").display());
    check(&mut command(&["--key-value", &store]));
}

#[test]
fn what_postgres_acknowledged_survives_kill_9() {
    let cluster = cluster_with_people(&[]);
    let address = format!("database_url={}", cluster.address("people"));
    check(&mut command(&["--variable", &address]));
}

#[test]
fn after_a_clean_stop_the_one_file_has_everything() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("people.db");
    let store = format!("sqlite:{}", file.display());
    let mut service =
        Service::start(command(&["--key-value", &store]).env("BIRTHDAY_ADMIN", "127.0.0.1:0"));
    let username = new_username();
    let answer = try_put(&service.url, &username, "2000-10-01").unwrap();
    assert_eq!(answer.status, 204);
    service.signal(Signal::TERM);
    assert!(service.wait().success());
    let copy = folder.path().join("copy.db");
    fs::copy(file, &copy).unwrap();
    let store = format!("sqlite:{}", copy.display());
    let service = host(&["--key-value", &store]);
    assert_eq!(get(&service, &format!("/hello/{username}")).status, 200);
}

#[test]
fn a_file_that_is_deleted_under_the_host_is_noticed() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("people.db");
    let service = host(&["--key-value", &format!("sqlite:{}", file.display())]);
    let put = || try_put(&service.url, &new_username(), "2000-10-01").unwrap();
    assert_eq!(put().status, 204);
    fs::remove_file(file).unwrap();
    let answer = put();
    assert_eq!(answer.problem().as_deref(), Some("store-unavailable"));
    wait_for(Duration::from_secs(5), "a truthful health", || {
        get(&service, "/health").status == 503
    });
    service.wait_for_log("the file was deleted, renamed or replaced");
}

fn check(command: &mut Command) {
    let mut service = Service::start(command);
    let url = RwLock::new(service.url.clone());
    let (next, acknowledged) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= PUTS {
                        return;
                    }
                    let username = new_username();
                    put_until_acknowledged(&url, &username, number);
                    acknowledged.lock().unwrap().push((username, number));
                }
            });
        }
        let mut killed = 0;
        while next.load(Ordering::Relaxed) < PUTS {
            let count = acknowledged.lock().unwrap().len();
            if count >= (killed + 1) * KILL_EVERY {
                service.kill();
                service = Service::start(command);
                service.url.clone_into(&mut url.write().unwrap());
                killed += 1;
            }
            // A pause, so that the clients have the processor.
            thread::sleep(Duration::from_millis(1));
        }
        assert!(killed > 0, "the host was killed in the middle");
    });
    // Once more, so that nothing is read from the memory of the process that took it.
    service.kill();
    let service = Service::start(command);
    let acknowledged = acknowledged.into_inner().unwrap();
    assert_eq!(acknowledged.len(), PUTS);
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|(username, number)| {
            let answer = get(&service, &format!("/hello/{username}"));
            let expected = format!("Your birthday is in {} day(s)", days(*number));
            !answer.body.contains(&expected)
        })
        .collect();
    let first = lost.first();
    assert_eq!(lost.len(), 0, "of {PUTS} are lost, such as {first:?}");
}

fn put_until_acknowledged(url: &RwLock<String>, username: &str, number: usize) {
    // In a leap year, so that the day exists.
    let birthday = OffsetDateTime::now_utc().date() + time::Duration::days(days(number));
    let born = format!(
        "1988-{:02}-{:02}",
        u8::from(birthday.month()),
        birthday.day()
    );
    loop {
        let now = url.read().unwrap().clone();
        if try_put(&now, username, &born).is_some_and(|answer| answer.status == 204) {
            return;
        }
        // A pause between attempts, until the host is back.
        thread::sleep(Duration::from_millis(5));
    }
}

/// Each has a birthday of its own within four weeks.
fn days(number: usize) -> i64 {
    (number % 28) as i64 + 1
}
