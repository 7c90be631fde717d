//! A host that can be started again at the same address, with the same data.

use super::PATIENCE;
use crate::support::command;
use birthday_tests::client;
use birthday_tests::service::Service;
use std::path::Path;
use std::process::Command;
use test_support::machine::free_port;
use test_support::wait::wait_for;

/// How long a host that was told to stop reports that it is not ready before it closes its listener: several checks of
/// the proxy.
const DRAIN_DELAY: &str = "1s";

pub struct Backend {
    pub port: u16,
    /// Where its probes are.
    pub admin_port: u16,
    store: String,
}

impl Backend {
    /// Two that share a store in `folder`.
    pub fn pair(folder: &Path) -> [Self; 2] {
        let store = format!("sqlite:{}", folder.join("people.db").display());
        let [first, first_admin, second, second_admin] = [(); 4].map(|()| free_port());
        [(first, first_admin), (second, second_admin)].map(|(port, admin_port)| Self {
            port,
            admin_port,
            store: store.clone(),
        })
    }

    /// Starts the host and waits until it is ready.
    pub fn start(&self) -> Service {
        let service = Service::start(&mut self.command());
        wait_for(PATIENCE, "readiness", || {
            client::get(&format!("http://127.0.0.1:{}/readyz", self.admin_port))
                .is_ok_and(|answer| answer.status == 200)
        });
        service
    }

    fn command(&self) -> Command {
        let address = |port| format!("127.0.0.1:{port}");
        let listen = address(self.port);
        let mut command = command(&["--listen", &listen, "--drain-delay", DRAIN_DELAY]);
        command
            .env("BIRTHDAY_ADMIN", address(self.admin_port))
            .env("BIRTHDAY_KEY_VALUE", &self.store);
        command
    }
}
