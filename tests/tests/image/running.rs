//! The behaviour of the image, run in isolation.

use super::{Claim, Kept, trial};
use crate::container::Container;
use birthday_tests::client::{self, Answer};
use birthday_tests::contract::{self, Setup};
use birthday_tests::precompiled::mark_for_another_architecture;
use birthday_tests::service::{Service, component, target};
use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use test_support::cluster::Cluster;
use test_support::tls::Authority;

/// The number of starts that are measured.
const STARTS: usize = 51;

/// Half of the time that the compiler alone takes, so that a start that compiles fails the test, and a busy
/// machine does not.
const SLOW_START: Duration = Duration::from_millis(350);

/// Claims that need a running image.
pub fn trials(name: &str, container: &Arc<Container>, kept: &mut Kept) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (store, setup) in [
        ("memory", Setup::Plain),
        ("memory", Setup::Token),
        ("postgres", Setup::Plain),
        ("postgres", Setup::Token),
    ] {
        let mut command = container.command(&[]);
        for (name, value) in setup.variables() {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        if store == "postgres" {
            let database = format!("image_{setup:?}").to_lowercase();
            kept.cluster.create_database(&database);
            let variable = format!("database_url={}", kept.cluster.address(&database));
            command.arg("--variable").arg(variable);
        }
        let service = Service::start(&mut command);
        trials.extend(contract::trials(
            &format!("{name}, {store}"),
            setup,
            &service.url,
        ));
        kept.services.push(service);
    }
    let mut claims: Vec<Claim<Container>> = vec![
        (
            "probes are answered, and it asks them itself",
            answers_probes,
        ),
        ("it ends in good order when it is told to", ends_when_told),
        (
            "without its component it says what is missing",
            says_what_is_missing,
        ),
        (
            "a component for another architecture is refused",
            refuses_another_architecture,
        ),
        ("a guest that fails takes nothing with it", survives_a_guest),
        ("it has the stores over the network", has_stores),
        (
            "servers that its authorities vouch for are trusted",
            trusts_its_authorities,
        ),
    ];
    if container.is_native() {
        claims.push(("nothing in it can be written", cannot_be_written));
    }
    for (claim, check) in claims {
        let container = container.clone();
        trials.push(trial(name, claim, move || check(&container)));
    }
    if container.is_native() {
        // Before the trials, which run in parallel.
        let (start, memory) = figures(container);
        eprintln!(
            "{name}: start to first answer {start:.1?} (median of {STARTS}), {memory:.1} MB resident when idle"
        );
        trials.push(trial(name, "it starts without compiling", move || {
            assert!(start < SLOW_START, "{start:?}");
        }));
    }
    trials
}

/// The median time from the start of the process to its first answer, and its memory then, in megabytes.
fn figures(container: &Container) -> (Duration, f64) {
    let mut times: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let start = Instant::now();
            let service = Service::start(&mut container.bare_command());
            assert_eq!(get(&service, "/health").status, 200);
            start.elapsed()
        })
        .collect();
    times.sort();
    let service = Service::start(&mut container.command(&[]));
    let metrics = client::get(&format!("{}/metrics", service.admin())).unwrap();
    let resident = metrics
        .body
        .lines()
        .find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    let resident: f64 = resident.unwrap().parse().unwrap();
    (times[STARTS / 2], resident / 1e6)
}

fn get(service: &Service, path: &str) -> Answer {
    client::get(&format!("{}{path}", service.url)).unwrap()
}

/// Each is out of reach here, which only a host that has them can say.
fn has_stores(container: &Container) {
    for store in [
        "redis://127.0.0.1:1",
        "dynamodb:people?region=local&endpoint=http://127.0.0.1:1",
    ] {
        let service = Service::start(&mut container.command(&["--key-value", store]));
        let health = get(&service, "/health");
        assert_eq!(
            (health.status, health.problem().as_deref()),
            (503, Some("store-unavailable")),
            "{store}"
        );
    }
}

fn answers_probes(container: &Container) {
    let service = Service::start(&mut container.command(&[]));
    let admin = service.admin();
    for probe in ["startupz", "readyz", "livez", "metrics"] {
        let answer = client::get(&format!("{admin}/{probe}")).unwrap();
        assert_eq!(answer.status, 200, "{probe}");
    }
    let health = |url: &str| container.command(&["health", url]).status().unwrap();
    assert_eq!(health(&format!("{admin}/readyz")).code(), Some(0));
    assert_eq!(health(&format!("{}/nowhere", service.url)).code(), Some(1));
}

fn ends_when_told(container: &Container) {
    let mut service = Service::start(&mut container.command(&[]));
    assert_eq!(get(&service, "/hello/nobody").status, 404);
    service.signal(Signal::TERM);
    assert_eq!(service.wait().code(), Some(0));
    // One JSON object per line.
    let log = service.wait_for_log("draining");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(line["level"].is_string());
    }
}

/// Runs `command` until it ends by itself, and expects one line.
#[track_caller]
fn check_refused(command: &mut Command, line: &str) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let line = format!("birthday-host: {line}");
    assert!(stderr.starts_with(&line), "{stderr}");
}

fn cannot_be_written(container: &Container) {
    for path in ["birthday.db", "/birthday.db", "/etc/birthday.db"] {
        check_refused(
            &mut container.command(&["--key-value", &format!("sqlite:{path}")]),
            &format!("--key-value: cannot open {path}"),
        );
    }
}

fn says_what_is_missing(container: &Container) {
    check_refused(
        container.command(&[]).env_remove("BIRTHDAY_COMPONENT"),
        "--component: this host was built without a compiler and has no component inside",
    );
}

/// Compiles a component with the host of this machine, into the root of the image.
fn compile(container: &Container, component: &Path, triple: &str, name: &str) -> String {
    let output = container.root().join(name);
    let compiled = Command::new(target().join("release/birthday-host"))
        .arg("compile")
        .arg(component)
        .args(["--target", triple, "--output"])
        .arg(&output)
        .status();
    assert!(compiled.unwrap().success());
    container.path(name)
}

fn refuses_another_architecture(container: &Container) {
    let mut bytes = fs::read(container.root().join("birthday.cwasm")).unwrap();
    let other = mark_for_another_architecture(&mut bytes, container.machine());
    fs::write(container.root().join("other.cwasm"), bytes).unwrap();
    check_refused(
        &mut container.command(&["--component", &container.path("other.cwasm")]),
        &format!(
            "--component: precompiled, but not for this host: Module was compiled for architecture '{other}'"
        ),
    );
}

fn survives_a_guest(container: &Container) {
    let guest = component("birthday_test_guest.wasm");
    let triple = format!("{}-unknown-linux-musl", container.machine());
    let path = compile(container, &guest, &triple, "guest.cwasm");
    let arguments = [
        "--component",
        &path,
        "--request-timeout",
        "500ms",
        "--memory-limit",
        "16MiB",
    ];
    let service = Service::start(&mut container.command(&arguments));
    for (path, status) in [
        ("/panic", 500),
        ("/loop", 504),
        ("/allocate", 500),
        ("/count", 200),
    ] {
        assert_eq!(get(&service, path).status, status, "{path}");
    }
}

fn trusts_its_authorities(container: &Container) {
    let ca = Authority::new();
    let cluster = Cluster::start(&["fsync=off"]);
    ca.encrypt(&cluster);
    let variable = format!(
        "database_url=postgres://postgres@localhost:{}/postgres?sslmode=verify-full",
        cluster.port
    );
    let start = || Service::start(&mut container.command(&["--variable", &variable]));
    let service = start();
    assert_eq!(get(&service, "/health").status, 503);
    service.wait_for_log("UnknownIssuer");
    drop(service);
    let authorities = container.root().join("etc/ssl/certs/ca-certificates.crt");
    let mut authorities = OpenOptions::new().append(true).open(authorities).unwrap();
    authorities.write_all(ca.pem().as_bytes()).unwrap();
    let service = start();
    assert_eq!(get(&service, "/health").status, 200, "{}", service.log());
}
