//! haproxy in front of the hosts.

use super::backend::Backend;
use birthday_tests::client;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use test_support::machine::free_port;

/// How often the proxy asks a host whether it is ready.
const CHECK_INTERVAL: &str = "100ms";

pub struct Proxy {
    pub url: String,
    process: Child,
}

impl Proxy {
    /// Starts `haproxy` in front of `backends`. `connections` is its option for how long it keeps connections to them.
    pub fn start(
        haproxy: &Path,
        folder: &Path,
        backends: &[Backend; 2],
        connections: &str,
    ) -> Self {
        let port = free_port();
        let servers: String = backends
            .iter()
            .map(|Backend { port, admin_port, .. }| {
                format!("  server host{port} 127.0.0.1:{port} check port {admin_port} inter {CHECK_INTERVAL} fall 1 rise 1\n")
            })
            .collect();
        let config = format!(
            "defaults\n  mode http\n  timeout connect 1s\n  timeout client 30s\n  timeout server 30s\n  timeout check 5s\n  \
             retries 3\n  option redispatch 1\n  option {connections}\n\
             frontend in\n  bind 127.0.0.1:{port}\n  stats enable\n  stats uri /stats\n  default_backend hosts\n\
             backend hosts\n  balance roundrobin\n  option httpchk GET /readyz\n{servers}"
        );
        let file = folder.join("haproxy.cfg");
        fs::write(&file, config).unwrap();
        let process = Command::new(haproxy)
            .args(["-db", "-q", "-f"])
            .arg(file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{port}");
        Self { url, process }
    }

    /// Whether it sends requests to both hosts.
    pub fn uses_both(&self) -> bool {
        let stats = client::get(&format!("{}/stats;csv", self.url));
        stats.is_ok_and(|stats| {
            let hosts = stats
                .body
                .lines()
                .filter(|line| line.starts_with("hosts,host"));
            hosts
                .filter(|line| line.split(',').any(|field| field == "UP"))
                .count()
                == 2
        })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
