//! Variables whose values are in files.

use super::replace;
use crate::support::{command, get, host};
use birthday_tests::client;
use birthday_tests::service::Service;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use test_support::wait::wait_for;

const PATIENCE: Duration = Duration::from_secs(20);

/// The host with the token in the file at `path`.
fn host_with_token(path: &Path) -> Service {
    let file = format!("api_token={}", path.display());
    host(&["--variable-file", &file])
}

fn status(service: &Service, token: &str) -> u16 {
    let header = ("authorization", format!("Bearer {token}"));
    let url = format!("{}/hello/nobody", service.url);
    let answer = client::send("GET", &url, &[(header.0, &header.1)], b"").unwrap();
    answer.status
}

#[track_caller]
fn wait_for_token(service: &Service, token: &str) {
    wait_for(PATIENCE, token, || status(service, token) == 404);
}

#[test]
fn a_token_is_read_again_when_its_file_changes() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "first\n").unwrap();
    let service = host_with_token(&path);
    assert_eq!(status(&service, "first"), 404);
    // By another file, as most programs write it, and in place.
    replace(&path, "second\r\n");
    wait_for_token(&service, "second");
    assert_eq!(status(&service, "first"), 401);
    fs::write(&path, "third").unwrap();
    wait_for_token(&service, "third");
    let log = service.log();
    assert_eq!(log.matches("read again: api_token").count(), 2, "{log}");
    for secret in ["first", "second", "third"] {
        assert!(!log.contains(secret), "{log}");
    }
}

/// Kubernetes mounts a Secret as links through a folder `..data`, itself a link, and swaps that.
#[test]
fn a_secret_of_kubernetes_is_read_again_when_its_link_is_swapped() {
    let folder = TempDir::new().unwrap();
    let mount = |version: &str, token: &str| {
        fs::create_dir(folder.path().join(version)).unwrap();
        fs::write(folder.path().join(version).join("token"), token).unwrap();
        symlink(version, folder.path().join("..new")).unwrap();
        fs::rename(folder.path().join("..new"), folder.path().join("..data")).unwrap();
    };
    mount("..1", "first");
    symlink("..data/token", folder.path().join("token")).unwrap();
    let service = host_with_token(&folder.path().join("token"));
    assert_eq!(status(&service, "first"), 404);
    mount("..2", "second");
    fs::remove_dir_all(folder.path().join("..1")).unwrap();
    wait_for_token(&service, "second");
}

#[test]
fn a_file_may_be_named_by_the_environment() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "secret").unwrap();
    let mut command = command(&[]);
    let service = Service::start(command.env("SPIN_VARIABLE_API_TOKEN_FILE", &path));
    assert_eq!(status(&service, "secret"), 404);
    assert_eq!(get(&service, "/hello/nobody").status, 401);
}

#[test]
fn what_is_given_beats_the_environment() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "of-the-file").unwrap();
    let file = format!("api_token={}", path.display());
    let mut by_file = command(&["--variable-file", &file]);
    let service = Service::start(by_file.env("SPIN_VARIABLE_API_TOKEN", "of-the-environment"));
    assert_eq!(status(&service, "of-the-file"), 404);
    let mut by_value = command(&["--variable", "api_token=given"]);
    let service = Service::start(by_value.env("SPIN_VARIABLE_API_TOKEN_FILE", &path));
    assert_eq!(status(&service, "given"), 404);
}

/// A value that cannot be used does not replace one that can, and is complained of once.
#[test]
fn a_file_that_breaks_leaves_its_last_value() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "good").unwrap();
    let service = host_with_token(&path);
    for (content, complaint) in [
        (&b""[..], "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8"),
        (&[b'x'; 65_537], "has more than 65536 bytes"),
        (b"two\nlines", "api_token"),
    ] {
        fs::write(&path, content).unwrap();
        service.wait_for_log(complaint);
        assert_eq!(status(&service, "good"), 404);
        replace(&path, "good");
    }
    fs::remove_file(&path).unwrap();
    let log = service.wait_for_log("cannot be read: No such file or directory");
    assert_eq!(status(&service, "good"), 404);
    assert_eq!(log.matches("cannot be read").count(), 1, "{log}");
}

#[test]
fn a_name_in_the_environment_that_is_none_is_told() {
    let mut command = command(&[]);
    command.env("SPIN_VARIABLE_1X_FILE", "/nowhere");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{stderr}");
    let line = "birthday-host: SPIN_VARIABLE_1X_FILE: \"1x\" is not a variable name";
    assert!(stderr.starts_with(line), "{stderr}");
}

#[test]
fn a_file_that_cannot_be_used_ends_the_start_with_one_line() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "\n").unwrap();
    let of = |path: &Path| format!("api_token={}", path.display());
    let empty = format!("api_token: {} is empty", path.display());
    let folder_is_none = format!("api_token: {} is not a file", folder.path().display());
    for (arguments, line) in [
        (&["--variable-file", &of(&path)][..], empty.as_str()),
        (
            &["--variable-file", &of(folder.path())],
            folder_is_none.as_str(),
        ),
        (
            &["--variable-file", "api_token=/nowhere"],
            "api_token: /nowhere cannot be read: No such file or directory",
        ),
        (
            &["--variable-file", "secret"],
            "--variable-file: expected NAME=PATH",
        ),
        (
            &["--variable-file", "API=/nowhere"],
            "--variable-file: \"API\" is not a variable name",
        ),
        (
            &[
                "--variable-file",
                "api_token=/nowhere",
                "--variable",
                "api_token=secret",
            ],
            "--variable-file: api_token is given by --variable, too",
        ),
    ] {
        let output = command(arguments).stdin(Stdio::null()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{stderr}");
        assert!(
            stderr.starts_with(&format!("birthday-host: {line}")),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    let mut both = command(&[]);
    both.env("SPIN_VARIABLE_API_TOKEN", "secret")
        .env("SPIN_VARIABLE_API_TOKEN_FILE", &path);
    let output = both.stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let line = "birthday-host: SPIN_VARIABLE_API_TOKEN_FILE: the variable has a value, too";
    assert!(stderr.starts_with(line), "{stderr}");
}
