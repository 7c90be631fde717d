//! `birthday-host health`: asks a host whether it is ready.

use crate::command_line::bad_option;
use crate::options::AdminAddress;
use anyhow::Context;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// How long to wait for the answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Asks at `url`, or else at the admin listener of this machine.
///
/// # Errors
/// If the answer is not a success, or there is none.
pub fn check(url: Option<String>) -> anyhow::Result<()> {
    let url = match url {
        Some(url) => url,
        None => default_url()?,
    };
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        // A proxy of the environment (HTTP_PROXY) would ask its own machine.
        .proxy(None)
        .build();
    let answer = ureq::Agent::from(config).get(&url).call();
    answer.context(url)?;
    Ok(())
}

/// `/readyz` of the admin listener that the environment or the default names.
fn default_url() -> anyhow::Result<String> {
    const VARIABLE: &str = "BIRTHDAY_ADMIN";

    let address = match std::env::var(VARIABLE) {
        Ok(address) if !address.is_empty() => address
            .parse()
            .map_err(|error| bad_option(VARIABLE, error))?,
        _ => AdminAddress::default(),
    };
    let AdminAddress::On(mut address) = address else {
        return Err(bad_option(VARIABLE, "there is no admin listener to ask"));
    };
    // A listener on every address is reached on the loopback address, too.
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(format!("http://{address}/readyz"))
}
