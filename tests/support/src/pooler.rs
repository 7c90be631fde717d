//! pgbouncer, which passes transactions on to any of its sessions.

use crate::cluster::Cluster;
use crate::machine::{find_program, free_port};
use crate::wait::wait_for;
use std::fs;
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

/// A running pgbouncer before a cluster.
pub struct Pooler {
    port: u16,
    process: Child,
}

impl Pooler {
    /// With so many sessions on each database. `None` if pgbouncer is not installed.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(cluster: &Cluster, sessions: usize) -> Option<Self> {
        let program = find_program("pgbouncer")?;
        let port = free_port();
        let settings = format!(
            "[databases]\n* = user=postgres host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = {sessions}\n\
             max_client_conn = 100\nignore_startup_parameters = extra_float_digits,options\n",
            cluster.port
        );
        let file = cluster.write("pgbouncer.ini", &settings);
        let process = cluster
            .owned(program)
            .arg("--quiet")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer can be run");
        let pooler = Self { port, process };
        wait_for(Duration::from_secs(10), "pgbouncer starts", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        fs::remove_file(file).expect("it was read");
        Some(pooler)
    }

    /// The address of the database `name`.
    pub fn address(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
