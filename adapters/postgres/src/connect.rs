//! Connecting to one of the hosts of an address.

use crate::address::{Address, Host, Location};
use crate::executor::run;
use crate::lookup::lookup;
use crate::server::Server;
use crate::session::Session;
use crate::tls::Tls;
use std::net::SocketAddr;
use tokio_postgres::config::TargetSessionAttrs;

/// Opens a session on the first host that gives one with the wanted attributes.
///
/// # Errors
/// Why the last host could not be used.
pub fn connect(address: &Address) -> Result<Session, String> {
    if address.client_certificate.is_some() {
        return Err("sslcert: this runtime gives no files".to_owned());
    }
    let tls = Tls::new(address.encryption)?;
    let mut result = Err("the address names no host".to_owned());
    for wanted in address.wanted_attributes() {
        for host in address.hosts_in_order() {
            let patience = address.connect_timeout;
            let connected = run(patience, connect_to_host(address, &host, &tls, wanted));
            match connected.unwrap_or_else(|| Err(format!("no session within {patience:?}"))) {
                Ok(session) => return Ok(session),
                Err(reason) => result = Err(reason),
            }
        }
    }
    result
}

async fn connect_to_host(
    address: &Address,
    host: &Host,
    tls: &Tls,
    wanted: TargetSessionAttrs,
) -> Result<Session, String> {
    let (name, addresses) = match &host.at {
        Location::Tcp(name, Some(ip)) => (name, vec![*ip]),
        Location::Tcp(name, None) => (name, lookup(name).await?),
        Location::Unix(_) => return Err("there are no Unix sockets in WASI".to_owned()),
    };
    let mut result = Err("the name has no address".to_owned());
    for ip in addresses {
        let server = Server::new(address, SocketAddr::new(ip, host.port), name, tls);
        result = server.open(wanted).await;
        if result.is_ok() {
            break;
        }
    }
    result
}
