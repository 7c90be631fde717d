//! A private Redis.

use crate::machine::{find_program, free_port};
use crate::wait::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// A Redis on a port of its own, which writes everything to its disk before it answers.
pub struct Redis {
    pub port: u16,
    folder: TempDir,
    program: PathBuf,
    settings: Vec<String>,
    server: Option<Child>,
}

impl Redis {
    /// With more settings, such as `--requirepass secret`. `None` if Redis is not installed.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(settings: &[&str]) -> Option<Self> {
        let mut redis = Self {
            port: free_port(),
            folder: TempDir::with_prefix("redis-").expect("a temporary folder"),
            program: find_program("redis-server")?,
            settings: settings.iter().map(|text| (*text).to_owned()).collect(),
            server: None,
        };
        redis.start_server();
        Some(redis)
    }

    /// A sentinel with the settings in `file`, which it also writes. `None` if Redis is not installed.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_sentinel(file: &str) -> Option<Self> {
        let mut sentinel = Self {
            port: free_port(),
            folder: TempDir::with_prefix("redis-").expect("a temporary folder"),
            program: find_program("redis-server")?,
            settings: vec![file.to_owned(), "--sentinel".to_owned()],
            server: None,
        };
        let port = sentinel.port.to_string();
        sentinel.spawn(&["--port", &port, "--bind", "127.0.0.1"]);
        Some(sentinel)
    }

    /// Starts it again with what it has on its disk.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_server(&mut self) {
        let port = self.port.to_string();
        let folder = self.folder.path().display().to_string();
        let at = ["--port", &port, "--bind", "127.0.0.1", "--dir", &folder];
        let durable = [
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ];
        self.spawn(&[at.as_slice(), &durable].concat());
    }

    /// Its settings come first, because one may be a file.
    fn spawn(&mut self, arguments: &[&str]) {
        let server = Command::new(&self.program)
            .args(&self.settings)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.server = Some(server.expect("redis-server can be run"));
        wait_for(PATIENCE, "Redis starts", || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
                && !self.run(&["PING"]).contains("LOADING")
        });
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mut server) = self.server.take() {
            server.wait().expect("a child can be waited for");
        }
    }

    /// Suspends the server, or resumes it.
    pub fn signal(&self, signal: Signal) {
        let server = self.server.as_ref().map(Child::id);
        if let Some(pid) = server.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }

    /// What redis-cli prints for a command.
    ///
    /// # Panics
    /// If there is no redis-cli.
    pub fn run(&self, command: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(command)
            .output()
            .expect("redis-cli can be run");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
