//! The runtime Spin, if it is installed.

use birthday_tests::client;
use birthday_tests::contract::new_username;
use birthday_tests::days::{ROWS, Row};
use birthday_tests::service::{Service, spin_up};
use libtest_mimic::{Failed, Trial};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Addresses of a database, and the problem that `/health` is to name for each.
const ADDRESSES: [(&str, &str); 5] = [
    // Spin knows none of these modes. Nothing listens there.
    (
        "postgres://ann@127.0.0.1:1/people?sslmode=allow",
        UNAVAILABLE,
    ),
    (
        "postgres://ann@127.0.0.1:1/people?sslmode=verify-ca",
        UNAVAILABLE,
    ),
    (
        "postgres://ann@127.0.0.1:1/people?sslmode=verify-full",
        UNAVAILABLE,
    ),
    // Spin refuses these.
    ("postgres://ann@[::1]:1/people", MISCONFIGURED),
    ("postgres:///people?host=/tmp", MISCONFIGURED),
];
const UNAVAILABLE: &str = "store-unavailable";
const MISCONFIGURED: &str = "misconfigured";

/// How many callers ask at a time for what makes a line of the log, and how often.
const CALLERS: usize = 16;
const CALLS: usize = 10;

/// Trials of databases that cannot be reached.
pub fn unreachable(spin: &Path) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (address, problem) in ADDRESSES {
        let spin = spin.to_owned();
        trials.push(Trial::test(
            format!("spin: {address} is {problem}"),
            move || {
                let state = TempDir::new()?;
                let service = with_database(&spin, &state, address);
                let health = client::get(&format!("{}/health", service.url))?;
                match health.problem() {
                    Some(named) if named == problem => Ok(()),
                    _ => Err(format!("{health:?}, log: {}", log(&state)?).into()),
                }
            },
        ));
    }
    let spin = spin.to_owned();
    trials.push(Trial::test(
        "spin: lines of the log do not run into each other",
        move || {
            let state = TempDir::new()?;
            let service = with_database(&spin, &state, "postgres://ann@127.0.0.1:1/people");
            let url = format!("{}/hello/{}", service.url, new_username());
            std::thread::scope(|scope| {
                for _ in 0..CALLERS {
                    scope.spawn(|| (0..CALLS).try_for_each(|_| client::get(&url).map(drop)));
                }
            });
            let log = log(&state)?;
            let mut lines: Vec<_> = log.lines().collect();
            let count = lines.len();
            lines.dedup();
            match (count, lines.len()) {
                (count, 1) if count == CALLERS * CALLS => Ok(()),
                _ => Err(format!("{count} lines, and among them {lines:?}").into()),
            }
        },
    ));
    trials
}

fn with_database(spin: &Path, state: &TempDir, address: &str) -> Service {
    Service::start(spin_up(spin, state.path()).env("SPIN_VARIABLE_DATABASE_URL", address))
}

/// What the component has written to standard error.
fn log(state: &TempDir) -> std::io::Result<String> {
    std::fs::read_to_string(state.path().join("logs/birthday_stderr.txt"))
}

/// A trial for every row of days. The clock is moved for the whole process, by `faketime`.
pub fn days(spin: &Path, faketime: &Path) -> Vec<Trial> {
    ROWS.iter()
        .map(|row| {
            let name = format!("spin: {}", row.name());
            let (spin, faketime) = (spin.to_owned(), faketime.to_owned());
            Trial::test(name, move || check(row, &spin, faketime))
        })
        .collect()
}

fn check(row: &Row, spin: &Path, faketime: PathBuf) -> Result<(), Failed> {
    let state = TempDir::new()?;
    let spin_up = spin_up(spin, state.path());
    let mut command = Command::new(faketime);
    command
        // Without an @ the wall clock stands still. The monotonic clock goes on.
        .args(["--exclude-monotonic", "-f"])
        .arg(row.now.replace('T', " ").replace('Z', ""))
        .arg(spin_up.get_program())
        .args(spin_up.get_args())
        .env("TZ", "UTC")
        .env("SPIN_VARIABLE_TIMEZONE", row.timezone)
        .env("SPIN_VARIABLE_LEAP_DAY", row.leap_day);
    let service = Service::start(&mut command);
    let username = new_username();
    let url = format!("{}/hello/{username}", service.url);
    let put = client::send("PUT", &url, &[], row.body().as_bytes())?;
    let get = client::get(&url)?;
    let expected = row.answer(&username);
    if (put.status, get.body.as_str()) == (204, expected.as_str()) {
        Ok(())
    } else {
        Err(format!("{expected} was expected: {put:?}, {get:?}").into())
    }
}
