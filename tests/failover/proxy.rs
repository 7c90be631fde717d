//! haproxy before the servers of Patroni, which sends every connection to the primary.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use test_support::machine::free_port;

pub struct Proxy {
    port: u16,
    process: Child,
    _folder: TempDir,
}

impl Proxy {
    /// Before servers at these ports, of which the second tells whether the first is the primary's.
    pub fn start(haproxy: &Path, ports: &[(u16, u16)]) -> Self {
        let port = free_port();
        let servers: String = ports
            .iter()
            .map(|(port, state)| {
                format!("  server node{port} 127.0.0.1:{port} check port {state}\n")
            })
            .collect();
        // What Patroni's documentation has, with shorter times.
        let config = format!(
            "defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 30m\n  timeout server 30m\n  timeout check 2s\n\
             listen primary\n  bind 127.0.0.1:{port}\n  option httpchk OPTIONS /primary\n  http-check expect status 200\n  \
             default-server inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions\n{servers}"
        );
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, config).unwrap();
        let process = Command::new(haproxy)
            .args(["-db", "-q", "-f"])
            .arg(file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            port,
            process,
            _folder: folder,
        }
    }

    /// The address of the database `name`. haproxy may not know yet that a server was demoted, so the host asks itself.
    pub fn address(&self, name: &str) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/{name}?target_session_attrs=read-write",
            self.port
        )
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
