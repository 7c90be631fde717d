//! PostgreSQL servers that Patroni keeps: one primary and its synchronous standbys, with etcd as the place where they agree.

use crate::cluster::{Account, clean_command, find_binaries};
use crate::machine::{find_program, free_port};
use crate::wait::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The time that servers may take to start, or to change.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a server of Patroni's state may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The most that is read of it, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// After so long without its primary, Patroni promotes a standby. It takes no shorter time.
pub const TTL: Duration = Duration::from_secs(20);

/// A set of servers. It is deleted when it is dropped.
pub struct Patroni {
    nodes: Vec<Node>,
    programs: PathBuf,
    account: Option<Account>,
    folder: TempDir,
    etcd: Child,
}

/// One server, and the Patroni beside it.
struct Node {
    name: String,
    port: u16,
    /// Where Patroni tells its state.
    state_port: u16,
    folder: PathBuf,
    patroni: Option<Child>,
}

impl Patroni {
    /// Starts so many servers with Patroni's `programs` (`scripts/install-patroni`), and waits until each of them follows the
    /// primary.
    ///
    /// # Errors
    /// What is missing on this machine.
    ///
    /// # Panics
    /// If they do not start.
    pub fn start(programs: &Path, count: usize) -> Result<Self, String> {
        let etcd = find_program("etcd").ok_or("there is no etcd: run scripts/install-patroni")?;
        let binaries = find_binaries().ok_or("there is no PostgreSQL")?;
        let account = Account::of_servers();
        let folder = TempDir::with_prefix("test-patroni-").expect("a temporary folder");
        if let Some(account) = account {
            account.give(folder.path());
        }
        let mut version = command(programs.join("patroni"), account, folder.path());
        let runs = version.arg("--version").stdout(Stdio::null()).status();
        if !runs.is_ok_and(|status| status.success()) {
            return Err(format!(
                "the account of the servers cannot run {}: run scripts/install-patroni",
                programs.join("patroni").display()
            ));
        }
        let (client, peer) = (url(free_port()), url(free_port()));
        let etcd = command(etcd, account, folder.path())
            .args(["--name", "one", "--data-dir", "etcd"])
            .args(["--initial-cluster", &format!("one={peer}")])
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .spawn()
            .expect("etcd can be run");
        let mut patroni = Self {
            nodes: Vec::new(),
            programs: programs.to_owned(),
            account,
            folder,
            etcd,
        };
        for number in 1..=count {
            patroni.add(number, &client, &binaries);
        }
        for number in 0..count {
            patroni.start_node(number);
        }
        patroni.wait_until_whole();
        Ok(patroni)
    }

    fn add(&mut self, number: usize, etcd: &str, binaries: &Path) {
        let name = format!("node{number}");
        let folder = self.folder.path().join(&name);
        fs::create_dir(&folder).expect("the folder can be written");
        let (port, state_port) = (free_port(), free_port());
        let settings = settings(&name, port, state_port, etcd, &folder, binaries);
        fs::write(folder.join("patroni.yml"), settings).expect("the folder can be written");
        if let Some(account) = self.account {
            account.give(&folder);
        }
        self.nodes.push(Node {
            name,
            port,
            state_port,
            folder,
            patroni: None,
        });
    }

    /// Starts a server that was killed.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn start_node(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        let log = fs::File::create(node.folder.join("log")).expect("the folder can be written");
        let patroni = command(self.programs.join("patroni"), self.account, &node.folder)
            .arg("patroni.yml")
            .stderr(log)
            .spawn();
        node.patroni = Some(patroni.expect("patroni can be run"));
    }

    /// Waits until there is a primary, and all others get its changes, of which one is known to have every write. A server that
    /// was the primary before may be up, and not be able to follow yet.
    ///
    /// # Panics
    /// If that does not come.
    pub fn wait_until_whole(&self) {
        wait_for(PATIENCE, "a primary with its standbys", || {
            let Some(primary) = self.primary() else {
                return false;
            };
            let members = self.nodes[primary].ask("/cluster").unwrap_or_default();
            members.matches(r#""state": "streaming""#).count() == self.nodes.len() - 1
                && members.contains(r#""role": "sync_standby""#)
        });
    }

    /// The number of the primary, if there is one.
    pub fn primary(&self) -> Option<usize> {
        self.nodes.iter().position(|node| node.is("/primary"))
    }

    /// The number of a standby that is known to have every write.
    pub fn synchronous_standby(&self) -> Option<usize> {
        self.nodes.iter().position(|node| node.is("/sync"))
    }

    /// The address of the database `name`, for a superuser, on whichever server can be written.
    pub fn address(&self, name: &str) -> String {
        let hosts: Vec<_> = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port))
            .collect();
        format!(
            "postgres://postgres@{}/{name}?target_session_attrs=read-write",
            hosts.join(",")
        )
    }

    /// The servers' ports, each with the port where its Patroni tells its state.
    pub fn ports(&self) -> Vec<(u16, u16)> {
        self.nodes
            .iter()
            .map(|node| (node.port, node.state_port))
            .collect()
    }

    /// Creates a database on the primary.
    ///
    /// # Panics
    /// If that fails.
    pub fn create_database(&self, name: &str) {
        let binaries = find_binaries().expect("it was found before");
        let created = command(binaries.join("psql"), self.account, self.folder.path())
            .args([
                "--no-psqlrc",
                "--quiet",
                "--dbname",
                &self.address("postgres"),
            ])
            .args(["--command", &format!("CREATE DATABASE {name}")])
            .status();
        assert!(
            created.is_ok_and(|status| status.success()),
            "CREATE DATABASE {name}"
        );
    }

    /// `kill -9` of a server and of its Patroni.
    pub fn kill_node(&mut self, number: usize) {
        self.nodes[number].kill(Signal::KILL);
    }

    /// Has Patroni make the server `to` the primary.
    ///
    /// # Panics
    /// If Patroni refuses.
    pub fn switch_over(&self, from: usize, to: usize) {
        let node = &self.nodes[from];
        let output = command(self.programs.join("patronictl"), self.account, &node.folder)
            .args([
                "--config-file",
                "patroni.yml",
                "switchover",
                "test",
                "--force",
            ])
            .args(["--primary", &node.name, "--candidate", &self.nodes[to].name])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .expect("patronictl can be run");
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Patroni {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.kill(Signal::QUIT);
        }
        // It may have ended by itself.
        let _ = self.etcd.kill();
        let _ = self.etcd.wait();
    }
}

impl Node {
    /// Whether its Patroni says that it is what `path` asks for.
    fn is(&self, path: &str) -> bool {
        self.ask(path)
            .is_some_and(|answer| answer.starts_with("HTTP/1.0 200"))
    }

    /// The answer of its Patroni, with its head.
    fn ask(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.state_port)).ok()?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.take(MAX_ANSWER).read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Kills Patroni, and then ends the server by `signal`.
    fn kill(&mut self, signal: Signal) {
        if let Some(mut patroni) = self.patroni.take() {
            // It may have ended by itself.
            let _ = patroni.kill();
            let _ = patroni.wait();
        }
        if let Some(server) = self.server() {
            let _ = kill_process(server, signal);
        }
    }

    /// The server's first process, if it runs.
    fn server(&self) -> Option<Pid> {
        let data = self.folder.join("data");
        let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
        let pid = text.lines().next()?;
        // Of a server that was killed, another process may have the number.
        let arguments = fs::read(Path::new("/proc").join(pid).join("cmdline")).ok()?;
        let is_ours = String::from_utf8_lossy(&arguments).contains(data.to_str()?);
        is_ours.then_some(Pid::from_raw(pid.parse().ok()?)?)
    }
}

/// A program in `folder` that prints nothing and has no settings of the environment.
fn command(program: PathBuf, account: Option<Account>, folder: &Path) -> Command {
    let mut command = clean_command(program, account, folder);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if ["PG", "PATRONI", "ETCD"]
            .iter()
            .any(|start| text.starts_with(start))
        {
            command.env_remove(&name);
        }
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// No write is acknowledged that is only on one server, and no server becomes the primary that may lack one. Nothing waits for a
/// disk: what a process that is killed has written, the system still has. A primary that was killed and has what its successor
/// lacks begins again as a copy. All trust this machine. Times are the shortest that
/// Patroni takes.
fn settings(
    name: &str,
    port: u16,
    state_port: u16,
    etcd: &str,
    folder: &Path,
    binaries: &Path,
) -> String {
    let mut text = format!(
        "scope: test\n\
         name: {name}\n\
         restapi: {{listen: '127.0.0.1:{state_port}', connect_address: '127.0.0.1:{state_port}'}}\n\
         etcd3: {{url: '{etcd}'}}\n\
         watchdog: {{mode: 'off'}}\n\
         log: {{level: WARNING}}\n"
    );
    let _ = write!(
        text,
        "bootstrap:\n  \
           dcs:\n    \
             ttl: {ttl}\n    \
             loop_wait: 1\n    \
             retry_timeout: 3\n    \
             synchronous_mode: true\n    \
             synchronous_mode_strict: true\n    \
             postgresql: {{use_pg_rewind: true}}\n  \
           initdb: [{{encoding: UTF8}}, {{locale: C}}]\n",
        ttl = TTL.as_secs()
    );
    let _ = write!(
        text,
        "postgresql:\n  \
           listen: 127.0.0.1:{port}\n  \
           connect_address: 127.0.0.1:{port}\n  \
           data_dir: '{data}'\n  \
           bin_dir: '{binaries}'\n  \
           remove_data_directory_on_rewind_failure: true\n  \
           remove_data_directory_on_diverged_timelines: true\n  \
           pgpass: '{folder}/pgpass'\n  \
           authentication:\n    \
             superuser: {{username: postgres}}\n    \
             replication: {{username: replicator}}\n  \
           parameters: {{unix_socket_directories: '{folder}', fsync: 'off'}}\n  \
           pg_hba: ['local all all trust', 'host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust']\n",
        data = folder.join("data").display(),
        binaries = binaries.display(),
        folder = folder.display(),
    );
    text
}
