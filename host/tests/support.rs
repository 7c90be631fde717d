//! What the tests of the host share.

use birthday_tests::client::{self, Answer};
use birthday_tests::service::{Service, component, host_command};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output};
use std::sync::LazyLock;
use std::time::Duration;
use test_support::cluster::Cluster;
use test_support::wait::wait_for;

pub const HOST: &str = env!("CARGO_BIN_EXE_birthday-host");

/// Our component and the guest of the tests, compiled once: it takes a host a second of CPU at each start.
static BIRTHDAY: LazyLock<PathBuf> = LazyLock::new(|| precompiled("birthday.wasm"));
static GUEST: LazyLock<PathBuf> = LazyLock::new(|| precompiled("birthday_test_guest.wasm"));

fn precompiled(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(name).with_extension("cwasm");
    let unfinished = path.with_extension(process::id().to_string());
    let output = compile(&unfinished, &[component(name).to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    // Hosts of another program of tests may have the one before open.
    fs::rename(unfinished, &path).unwrap();
    path
}

/// Compiles the embedded component, or another that is named.
pub fn compile(output: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(HOST);
    command.args(["compile", "--output"]).arg(output);
    command.args(arguments).output().unwrap()
}

/// The host on a free port, with data in memory; more arguments may follow.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = host_command(HOST);
    command
        .env("BIRTHDAY_COMPONENT", &*BIRTHDAY)
        .env("BIRTHDAY_KEY_VALUE", "memory")
        .env("BIRTHDAY_LOG_FORMAT", "text")
        // What tests look for in the log is not there; those of access lines and of the admin listener say so.
        .env("RUST_LOG", "info,access=off")
        .args(arguments);
    command
}

pub const SHELL: &[&str] = &["sh"];

/// The same command in a `shell` that first runs `script`, with `folder` as `$0`.
pub fn after(shell: &[&str], script: &str, folder: &Path, inner: &Command) -> Command {
    let mut outer = Command::new(shell[0]);
    outer.args(&shell[1..]).arg("-c");
    outer.arg(format!("{script} && exec \"$@\"")).arg(folder);
    outer.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// The host with our component.
pub fn host(arguments: &[&str]) -> Service {
    Service::start(&mut command(arguments))
}

/// The host with our component, and people in the database `people` of `cluster`.
pub fn host_on(cluster: &Cluster, arguments: &[&str]) -> Service {
    let variable = format!("database_url={}", cluster.address("people"));
    Service::start(command(arguments).args(["--variable", &variable]))
}

/// The host with the application that is not ours.
pub fn host_of_guest(arguments: &[&str]) -> Service {
    Service::start(&mut guest_command(arguments))
}

pub fn guest_command(arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command.env("BIRTHDAY_COMPONENT", &*GUEST);
    command
}

/// A service with an admin listener.
pub struct Operated {
    pub service: Service,
    pub admin: String,
}

pub fn operated(arguments: &[&str]) -> Operated {
    operated_by(command(arguments))
}

pub fn operated_by(mut command: Command) -> Operated {
    let service = Service::start(command.env("BIRTHDAY_ADMIN", "127.0.0.1:0"));
    let admin = service.admin();
    Operated { service, admin }
}

pub fn guest_with_admin(arguments: &[&str]) -> Operated {
    operated_by(guest_command(arguments))
}

impl Operated {
    pub fn ask(&self, path: &str) -> Answer {
        client::get(&format!("{}{path}", self.admin)).unwrap()
    }

    pub fn probe(&self, path: &str) -> u16 {
        self.ask(path).status
    }

    /// By name and labels, as they are written.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let answer = self.ask("/metrics");
        assert_eq!(answer.status, 200);
        let samples = answer.body.lines().filter(|line| !line.starts_with('#'));
        samples
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').unwrap();
                (name.to_owned(), value.parse().unwrap())
            })
            .collect()
    }

    pub fn metric(&self, name: &str) -> f64 {
        let metrics = self.metrics();
        *metrics
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {metrics:#?}"))
    }

    /// Waits until the guest works on this many requests, without a request that could take a slot of one of them.
    pub fn wait_until_busy(&self, requests: u8) {
        wait_for(Duration::from_secs(5), "busy instances", || {
            self.metric("birthday_host_instances{state=\"busy\"}") == f64::from(requests)
        });
    }
}

pub fn cluster_with_people(settings: &[&str]) -> Cluster {
    let cluster = Cluster::start(settings);
    cluster.create_database("people");
    cluster
}

pub fn put(service: &Service, username: &str, born: &str) -> Answer {
    try_put(&service.url, username, born).expect("the service answers")
}

/// `None` if there is no answer at all.
pub fn try_put(url: &str, username: &str, born: &str) -> Option<Answer> {
    let body = format!(r#"{{"dateOfBirth":"{born}"}}"#);
    let url = format!("{url}/hello/{username}");
    client::send("PUT", &url, &[], body.as_bytes()).ok()
}

pub fn get(service: &Service, path: &str) -> Answer {
    client::get(&format!("{}{path}", service.url)).expect("the service answers")
}
