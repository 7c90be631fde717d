//! pgbouncer, which passes transactions on to any of its sessions.

use crate::cluster::Cluster;
use crate::machine::{find_program, free_port};
use crate::wait::wait_for;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running pgbouncer before a cluster.
pub struct Pooler {
    port: u16,
    command: Command,
    process: Child,
}

impl Pooler {
    /// With so many sessions on each database. `None` if pgbouncer is not installed.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(cluster: &Cluster, sessions: usize) -> Option<Self> {
        Self::start_with(cluster, sessions, "")
    }

    /// The same with more `settings`, one in a line.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_with(cluster: &Cluster, sessions: usize, settings: &str) -> Option<Self> {
        let program = find_program("pgbouncer")?;
        let port = free_port();
        let settings = format!(
            "[databases]\n* = user=postgres host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = {sessions}\n\
             max_client_conn = 100\nignore_startup_parameters = extra_float_digits,options\n{settings}\n",
            cluster.port
        );
        let file = cluster.write(&format!("pgbouncer-{port}.ini"), &settings);
        let mut command = cluster.owned(program);
        command
            .arg("--quiet")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = spawn(&mut command, port);
        Some(Self {
            port,
            command,
            process,
        })
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again, after it was killed, on the same port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        self.process = spawn(&mut self.command, self.port);
    }

    /// The address of the database `name`.
    pub fn address(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(command: &mut Command, port: u16) -> Child {
    let process = command.spawn().expect("pgbouncer can be run");
    wait_for(Duration::from_secs(60), "pgbouncer starts", || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    process
}
