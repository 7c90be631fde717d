//! What the machine gives the host: disk, sizes of files, addresses.

use crate::support::{SHELL, after, command, get, put};
use birthday_tests::contract::new_username;
use birthday_tests::service::Service;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;
use tempfile::TempDir;

/// What it mounts, it sees alone.
const PRIVATE_MOUNTS: &[&str] = &["unshare", "--mount", "sh"];

/// The host in a `shell` that first runs `script`, with `folder` as `$0`.
fn host_after(shell: &[&str], script: &str, folder: &Path, arguments: &[&str]) -> Command {
    after(shell, script, folder, &command(arguments))
}

#[test]
fn a_small_disk_is_not_filled_by_the_log_and_a_full_one_is_told() {
    let folder = TempDir::new().unwrap();
    let trial = Command::new("unshare")
        .args(["--mount", "mount", "-t", "tmpfs", "birthday"])
        .arg(folder.path())
        .status();
    if !trial.is_ok_and(|status| status.success()) {
        println!("skipped: a small disk may not be mounted here");
        return;
    }
    let store = format!("sqlite:{}", folder.path().join("people.db").display());
    let mount = "mount -t tmpfs -o size=3m birthday \"$0\"";
    let mut command = host_after(
        PRIVATE_MOUNTS,
        mount,
        folder.path(),
        &["--key-value", &store],
    );
    let service = Service::start(&mut command);
    let save = |number: u32| {
        let letter = char::from(b'a' + (number % 26) as u8);
        put(&service, &format!("ann{letter}"), "2000-10-01").status
    };
    for number in 0..2000 {
        assert_eq!(save(number), 204, "{number}");
    }
    // The disk is seen by the host alone.
    let inside = format!("/proc/{}/root{}", service.pid(), folder.path().display());
    let filler = Path::new(&inside).join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    let health = || get(&service, "/health").status;
    let refused = (0..2000).find(|_| {
        // The host makes room by emptying its log, for the people that there are, and a few more.
        while file.write_all(&[0; 512]).is_ok() {}
        put(&service, &new_username(), "2000-10-01").status == 503
    });
    assert!(refused.is_some(), "the disk was never full");
    assert_eq!(health(), 503);
    assert_eq!(get(&service, "/hello/anna").status, 200);
    drop(file);
    fs::remove_file(&filler).unwrap();
    assert_eq!(save(0), 204);
    assert_eq!(health(), 200);
}

#[test]
fn a_limit_on_the_size_of_files_does_not_end_the_host() {
    let folder = TempDir::new().unwrap();
    let store = format!("sqlite:{}", folder.path().join("people.db").display());
    let arguments = ["--key-value", store.as_str()];
    // 3 MB, which the write-ahead log would reach.
    let mut command = host_after(SHELL, "ulimit -f 6000", folder.path(), &arguments);
    let service = Service::start(&mut command);
    for number in 0..2000 {
        assert_eq!(put(&service, "bob", "2000-10-01").status, 204, "{number}");
    }
    // Too little for an instance.
    let mut command = host_after(SHELL, "ulimit -f 100", folder.path(), &arguments);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("File too large"), "{said}");
}

#[test]
fn a_limited_address_space_has_fewer_instances_or_none() {
    let nowhere = Path::new("/");
    let mut command = host_after(SHELL, "ulimit -v 30000000", nowhere, &["--threads", "1"]);
    let service = Service::start(&mut command);
    service.wait_for_log("it has room for 5 requests in flight");
    let ask = || (0..100).map(|_| get(&service, "/hello/bob").status);
    let statuses: Vec<_> = thread::scope(|scope| {
        let callers = [(); 16].map(|()| scope.spawn(|| ask().collect::<Vec<_>>()));
        let answers = callers.into_iter().map(|caller| caller.join().unwrap());
        answers.flatten().collect()
    });
    assert!(statuses.contains(&404));
    let others = statuses
        .iter()
        .filter(|status| !matches!(status, 404 | 503));
    assert_eq!(others.count(), 0, "{statuses:?}");
    let mut command = host_after(SHELL, "ulimit -v 5000000", nowhere, &["--threads", "1"]);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("the address space is limited (ulimit -v)"),
        "{said}"
    );
}

#[test]
fn all_interfaces_are_those_of_ipv4_too() {
    const PRIVATE_NETWORK: &[&str] = &["unshare", "--net", "sh"];
    const ONLY_V6: &str = "ip link set lo up && sysctl -qw net.ipv6.bindv6only=1";

    let folder = TempDir::new().unwrap();
    let trial = Command::new("unshare")
        .args(["--net", "sh", "-c", ONLY_V6])
        .status();
    if !trial.is_ok_and(|status| status.success()) {
        println!("skipped: there may be no private network here");
        return;
    }
    let listen = ["--listen", "[::]:3000"];
    let service = Service::start(&mut host_after(
        PRIVATE_NETWORK,
        ONLY_V6,
        folder.path(),
        &listen,
    ));
    for address in ["127.0.0.1", "[::1]"] {
        let asked = Command::new("nsenter")
            .args(["--net", "--target", &service.pid().to_string()])
            .arg(command(&[]).get_program())
            .args(["health", &format!("http://{address}:3000/health")])
            .status()
            .unwrap();
        assert!(asked.success(), "{address}");
    }
}
