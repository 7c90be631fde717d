//! The address of a database: what the driver needs to know of it.

use crate::error::{Error, chain};
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// How long TCP may take for one host, unless the address has a `connect_timeout`.
const TCP_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long sent data may go without acknowledgement before the connection counts as lost.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// Reads `address`, a URL or key-value pairs as libpq has them, and adds what it leaves out.
///
/// # Errors
/// [`Error::BadAddress`]
pub fn parse(address: &str, application_name: &str) -> Result<Config, Error> {
    // The driver knows three of the six modes. `require` and above always verify; `allow` is a `prefer` that would
    // rather not encrypt.
    let known = address
        .replace("sslmode=verify-full", "sslmode=require")
        .replace("sslmode=verify-ca", "sslmode=require")
        .replace("sslmode=allow", "sslmode=prefer");
    let mut config: Config = known
        .parse()
        .map_err(|error| Error::BadAddress(chain(&error)))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(Error::BadAddress("the address names no host".to_owned()));
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(TCP_CONNECT_TIMEOUT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    if config.get_application_name().is_none() {
        config.application_name(application_name);
    }
    config.keepalives_idle(KEEPALIVE_IDLE);
    Ok(config)
}

/// `host:port,host:port/database`, without user and password, for the log.
pub fn name(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(index, host)| {
            // One port may stand for all hosts.
            let port = ports.get(index).or(ports.first()).unwrap_or(&5432);
            match host {
                Host::Tcp(host) => format!("{host}:{port}"),
                Host::Unix(folder) => format!("{}:{port}", folder.display()),
            }
        })
        .collect();
    let database = config.get_dbname().or(config.get_user());
    format!("{}/{}", hosts.join(","), database.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_postgres::config::SslMode;

    #[track_caller]
    fn check(address: &str, expected: &str) {
        let config = parse(address, "test").unwrap();
        assert_eq!(name(&config), expected);
    }

    #[test]
    fn the_log_names_hosts_and_database_but_no_account() {
        check("postgres://u:p@a:1,b:2/d", "a:1,b:2/d");
        check("postgres://u@a,b/d", "a:5432,b:5432/d");
        check("host=/run user=u port=5", "/run:5/u");
    }

    #[test]
    fn modes_that_the_driver_does_not_know_are_stricter() {
        for (mode, expected) in [
            ("verify-full", SslMode::Require),
            ("verify-ca", SslMode::Require),
            ("allow", SslMode::Prefer),
            ("disable", SslMode::Disable),
        ] {
            let config = parse(&format!("postgres://a/d?sslmode={mode}"), "test").unwrap();
            assert_eq!(config.get_ssl_mode(), expected);
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for address in ["", "postgres://", "user=u", "postgres://h:port/d"] {
            let error = parse(address, "test").unwrap_err();
            assert!(matches!(error, Error::BadAddress(_)), "{address}: {error}");
        }
    }
}
