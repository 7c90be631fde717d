//! The servers that are compared, and how each is started.

use crate::load::name;
use crate::process::Tree;
use birthday_tests::client;
use birthday_tests::service::{Service, host_command};
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use test_support::cluster::Cluster;
use test_support::machine::{find_program, free_port};
use test_support::wait::wait_for;

/// The time that a server may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Name {
    Postgres,
    Sqlite,
    Memory,
    Spin,
    Deadpool,
    Sqlx,
    FastApi,
}

impl Name {
    pub const ALL: [Self; 7] = [
        Self::Postgres,
        Self::Sqlite,
        Self::Memory,
        Self::Deadpool,
        Self::Sqlx,
        Self::Spin,
        Self::FastApi,
    ];

    pub fn text(self) -> &'static str {
        match self {
            Self::Postgres => "birthday-host, Postgres",
            Self::Sqlite => "birthday-host, SQLite",
            Self::Memory => "birthday-host, memory",
            Self::Spin => "spin up, Postgres",
            Self::Deadpool => "axum + deadpool-postgres",
            Self::Sqlx => "axum + sqlx",
            Self::FastApi => "FastAPI + SQLModel",
        }
    }
}

/// The paths of the programs.
pub struct Programs {
    pub host: PathBuf,
    /// The host with the compiler and the embedded component.
    pub compiler: PathBuf,
    /// The component, precompiled.
    pub component: PathBuf,
    pub deadpool: PathBuf,
    pub sqlx: PathBuf,
    /// The Python of the environment with FastAPI, and the folder of the application.
    pub python: PathBuf,
    pub fastapi: PathBuf,
    pub manifest: PathBuf,
    /// The number of connections of each peer to Postgres.
    pub peer_connections: String,
}

/// A server that runs, and that has given the right answers.
pub struct Server {
    pub name: Name,
    pub url: String,
    service: Service,
}

impl Server {
    /// `None` for Spin, if Spin is not installed.
    pub fn start(
        name: Name,
        programs: &Programs,
        cluster: &Cluster,
        folder: &Path,
    ) -> Option<Self> {
        let database = cluster.address("people");
        let native = |program: &Path| {
            let mut command = Command::new(program);
            Service::start_unlogged(peer_settings(&mut command, &database, programs))
        };
        let service = match name {
            Name::Postgres => {
                let mut command = host(programs);
                command.args(["--key-value", "memory", "--variable"]);
                Service::start_unlogged(command.arg(format!("database_url={database}")))
            }
            Name::Sqlite => {
                let file = folder.join("birthday.db");
                let store = format!("sqlite:{}", file.display());
                Service::start_unlogged(host(programs).args(["--key-value", &store]))
            }
            Name::Memory => Service::start_unlogged(host(programs).args(["--key-value", "memory"])),
            Name::Spin => {
                let mut command = Command::new(find_program("spin")?);
                command
                    .args(["up", "--quiet", "--listen", "127.0.0.1:0", "--state-dir"])
                    .arg(folder.join("spin"))
                    .arg("--file")
                    .arg(&programs.manifest)
                    .env("SPIN_VARIABLE_DATABASE_URL", &database);
                Service::start_unlogged(&mut command)
            }
            Name::Deadpool => native(&programs.deadpool),
            Name::Sqlx => native(&programs.sqlx),
            Name::FastApi => {
                let database = database.replace("postgres://", "postgresql+psycopg://");
                let port = free_port().to_string();
                // It prints its address on standard error.
                let mut command = Command::new("sh");
                command
                    .args(["-c", "exec \"$0\" \"$@\" 2>&1"])
                    .arg(&programs.python)
                    .args([
                        "-m",
                        "uvicorn",
                        "main:app",
                        "--no-access-log",
                        "--workers",
                        "2",
                    ])
                    .args(["--port", &port, "--app-dir"])
                    .arg(&programs.fastapi);
                Service::start_unlogged(peer_settings(&mut command, &database, programs))
            }
        };
        let server = Self {
            name,
            url: service.url.clone(),
            service,
        };
        // A server with workers prints its address before it listens.
        wait_for(PATIENCE, "the server answers", || {
            client::get(&format!("{}/health", server.url)).is_ok()
        });
        server.check();
        Some(server)
    }

    pub fn tree(&self) -> Tree {
        Tree::of(self.service.pid())
    }

    /// Checks that it is the API, and does all of its work.
    fn check(&self) {
        let url = |username: &str| format!("{}/hello/{username}", self.url);
        let put = |username: &str, born: &str| {
            let body = format!("{{\"dateOfBirth\":\"{born}\"}}");
            let json = [("content-type", "application/json")];
            let answer = client::send("PUT", &url(username), &json, body.as_bytes());
            answer.expect("the server answers").status
        };
        let get = |username: &str| client::get(&url(username)).expect("the server answers");
        let somebody = name(0);
        assert_eq!(put(&somebody, "1988-02-29"), 204);
        let answer = get(&somebody);
        assert_eq!(answer.status, 200);
        let hello = format!("Hello, {somebody}! ");
        assert!(answer.body.contains(&hello), "{answer:?}");
        assert_eq!(get("Nobody").status, 404);
        for refused in [
            put("b0b", "1988-02-29"),
            put(&somebody, "9999-01-01"),
            put(&somebody, "x"),
            get("b0b").status,
        ] {
            assert!(
                matches!(refused, 400 | 422),
                "{}: {refused}",
                self.name.text()
            );
        }
    }
}

/// Our host as it is shipped: with metrics, a log line for each request, and the precompiled component.
pub fn host(programs: &Programs) -> Command {
    let mut command = command(&programs.host);
    command.arg("--component").arg(&programs.component);
    command
}

/// A host that compiles its embedded component at the start.
pub fn host_compiling(programs: &Programs) -> Command {
    command(&programs.compiler)
}

fn command(host: &Path) -> Command {
    let mut command = host_command(host);
    command.env("BIRTHDAY_ADMIN", "127.0.0.1:0");
    command
}

fn peer_settings<'a>(
    command: &'a mut Command,
    database: &str,
    programs: &Programs,
) -> &'a mut Command {
    command
        .env("DATABASE_URL", database)
        .env("DATABASE_CONNECTIONS", &programs.peer_connections)
}
