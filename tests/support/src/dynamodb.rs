//! A private DynamoDB: dynalite, which `scripts/install-dynalite` installs.

use crate::machine::{find_program, free_port};
use crate::wait::wait_for;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A DynamoDB on a port of its own. It keeps everything in memory, and takes any credentials.
pub struct DynamoDb {
    pub port: u16,
    process: Child,
}

impl DynamoDb {
    /// `tools` is the folder that tools are installed into. `None` if dynalite is not.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(tools: &Path) -> Option<Self> {
        let program = tools.join("dynalite/node_modules/dynalite/cli.js");
        let node = find_program("node").filter(|_| program.is_file())?;
        let port = free_port();
        // How long it takes to create a table, in milliseconds.
        let process = Command::new(node)
            .arg(program)
            .args(["--port", &port.to_string(), "--createTableMs", "100"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let dynamodb = Self {
            port,
            process: process.expect("node can be run"),
        };
        wait_for(Duration::from_secs(20), "dynalite starts", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(dynamodb)
    }

    /// The URL to ask.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for DynamoDb {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
