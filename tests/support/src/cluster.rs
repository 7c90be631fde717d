//! A private PostgreSQL cluster on a free port. It is deleted when it is dropped.

use crate::machine::{find_program, free_port};
use crate::wait::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::iter;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The time that a server may take to start, stop or change.
const PATIENCE: Duration = Duration::from_secs(60);

/// The superuser of every cluster.
const USER: &str = "postgres";

pub struct Cluster {
    folder: TempDir,
    binaries: PathBuf,
    owner: Option<Account>,
    pub port: u16,
    settings: Vec<String>,
    server: Option<Child>,
}

/// The account of PostgreSQL if the tests run as root: PostgreSQL refuses to run as root.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// `None` if servers run under the account of the tests.
    pub fn of_servers() -> Option<Self> {
        rustix::process::geteuid().is_root().then(postgres_account)
    }

    /// Gives a file or a folder away.
    pub fn give(self, path: &Path) {
        chown(path, Some(self.uid), Some(self.gid)).expect("root may give away");
    }
}

/// A program that runs under this account, in a folder of its own.
pub(crate) fn clean_command(
    program: impl AsRef<OsStr>,
    account: Option<Account>,
    folder: &Path,
) -> Command {
    let mut command = Command::new(program);
    // Its own folder, because its account may not be able to read the folder of the tests.
    command.current_dir(folder).env("HOME", folder);
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

impl Cluster {
    /// Starts the server of a new cluster, with more `settings` (`name=value`).
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start.
    pub fn start(settings: &[&str]) -> Self {
        let binaries = find_binaries().expect("PostgreSQL is installed: `make postgresql`");
        let folder = TempDir::with_prefix("test-postgres-").expect("a temporary folder");
        let owner = Account::of_servers();
        if let Some(owner) = owner {
            owner.give(folder.path());
        }
        let mut cluster = Self {
            folder,
            binaries,
            owner,
            port: free_port(),
            settings: settings
                .iter()
                .map(|setting| (*setting).to_owned())
                .collect(),
            server: None,
        };
        let made = cluster
            .command("initdb")
            .args(["--username", USER, "--auth", "trust", "--encoding", "UTF8"])
            .args(["--locale", "C", "--no-instructions", "--pgdata"])
            .arg(cluster.data())
            .stdout(Stdio::null())
            .status()
            .expect("initdb can be run");
        assert!(made.success(), "initdb failed");
        cluster.start_server();
        cluster
    }

    /// The address of the database `name`, for a superuser.
    pub fn address(&self, name: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{name}", self.port)
    }

    /// The folder that the server reads its settings from.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Writes a file that only the server can read.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.data().join(name);
        fs::write(&path, content).expect("the folder can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        if let Some(owner) = self.owner {
            owner.give(&path);
        }
        path
    }

    /// Creates a database.
    pub fn create_database(&self, name: &str) {
        self.run_sql("postgres", &format!("CREATE DATABASE {name}"));
    }

    /// Runs `sql` by psql, and returns what it prints, without decoration.
    ///
    /// # Panics
    /// If the server refuses it.
    pub fn run_sql(&self, database: &str, sql: &str) -> String {
        let output = self
            .command("psql")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args([
                "--set",
                "ON_ERROR_STOP=1",
                "--dbname",
                &self.address(database),
            ])
            .args(["--command", sql])
            .output()
            .expect("psql can be run");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {error}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A program that finds PostgreSQL's programs and this server. The account and the database are not set.
    pub fn client(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = iter::once(self.binaries.clone()).chain(env::split_paths(&path));
        command
            .env("PATH", env::join_paths(folders).expect("they were split"))
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port.to_string());
        command
    }

    /// Makes the server read its settings again, and waits until new sessions have them.
    pub fn reload(&self) {
        let loaded = || self.run_sql("postgres", "SELECT pg_conf_load_time()");
        let before = loaded();
        self.run_sql("postgres", "SELECT pg_reload_conf()");
        wait_for(PATIENCE, "the settings are read", || loaded() != before);
    }

    pub fn start_server(&mut self) {
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path())
            .args([
                "-p",
                &self.port.to_string(),
                "-c",
                "listen_addresses=127.0.0.1",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        self.server = Some(command.spawn().expect("postgres can be run"));
        wait_for(PATIENCE, "PostgreSQL starts", || {
            let server = self.server.as_mut();
            if server.is_some_and(|server| matches!(server.try_wait(), Ok(Some(_)))) {
                // Sessions of a server that was killed still have its memory.
                self.server = Some(command.spawn().expect("postgres can be run"));
            }
            self.is_ready()
        });
    }

    /// The server's first process, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// Stops the server at once, as a crash would.
    pub fn crash(&mut self) {
        self.stop(Signal::QUIT);
    }

    /// `kill -9` of the server's first process; the others end when they notice.
    pub fn kill(&mut self) {
        self.stop(Signal::KILL);
    }

    /// Stops the server by a fast shutdown.
    pub fn shut_down(&mut self) {
        self.stop(Signal::INT);
    }

    /// Suspends the server, or resumes it.
    pub fn signal(&self, signal: Signal) {
        let server = self.server.as_ref().map(Child::id);
        if let Some(pid) = server.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }

    fn stop(&mut self, signal: Signal) {
        self.signal(signal);
        if let Some(mut server) = self.server.take() {
            server.wait().expect("a child can be waited for");
        }
    }

    fn is_ready(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
            && self
                .command("psql")
                .args(["--no-psqlrc", "--dbname", &self.address("postgres")])
                .args(["--command", "SELECT 1"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
    }

    fn command(&self, program: &str) -> Command {
        self.owned(self.binaries.join(program))
    }

    /// A program that runs under the account of the server.
    pub(crate) fn owned(&self, program: impl AsRef<OsStr>) -> Command {
        clean_command(program, self.owner, self.folder.path())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.crash();
    }
}

/// The folder of `initdb`: the one on PATH, or the newest one in Debian's folder.
pub(crate) fn find_binaries() -> Option<PathBuf> {
    let on_path = find_program("initdb").and_then(|path| fs::canonicalize(path).ok());
    let apart = || {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        versions
            .filter_map(|version| Some(version.ok()?.path().join("bin/initdb")))
            .filter(|path| path.is_file())
            .max()
    };
    Some(on_path.or_else(apart)?.parent()?.to_owned())
}

fn postgres_account() -> Account {
    let number = |flag: &str| -> u32 {
        let output = Command::new("id").args([flag, USER]).output();
        let output = output.expect("id can be run");
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim()
            .parse()
            .expect("PostgreSQL's packages make an account")
    };
    Account {
        uid: number("-u"),
        gid: number("-g"),
    }
}
