//! The runtime Spin, if it is installed.

use birthday_tests::client;
use birthday_tests::contract::new_username;
use birthday_tests::days::{ROWS, Row};
use birthday_tests::service::{Service, component, root};
use libtest_mimic::{Failed, Trial};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// `spin up` on a free port, with its data in the folder `state`.
pub fn command(spin: &Path, state: &Path) -> Command {
    // If it is missing, this fails with the reason, before Spin does.
    component("birthday.wasm");
    let mut command = Command::new(spin);
    command
        .args(["up", "--quiet", "--listen", "127.0.0.1:0", "--state-dir"])
        .arg(state)
        .arg("--file")
        .arg(root().join("spin.toml"));
    command
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
    let spin_up = command(spin, state.path());
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
