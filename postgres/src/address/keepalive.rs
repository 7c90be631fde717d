//! What an address asks of TCP keepalive, by which a server that has gone without a word is noticed.

use super::parameters::bad;
use crate::error::Error;
use std::time::Duration;

/// How long a connection may be silent before the server is asked whether it is there, unless the address says otherwise.
const IDLE: Duration = Duration::from_secs(30);

/// How the server is asked. What is `None` is left to the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keepalive {
    pub idle: Duration,
    pub interval: Option<Duration>,
    pub retries: Option<u32>,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            idle: IDLE,
            interval: None,
            retries: None,
        }
    }
}

impl Keepalive {
    /// Takes the parameter `keepalives_…` of an address, in seconds where it is a time. 0 and less stand for the
    /// default, as in libpq.
    ///
    /// # Errors
    /// [`Error::BadAddress`] if there is no such parameter, or `value` is no number.
    pub fn take(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let Ok(number) = u32::try_from(number(name, value)?.max(0)) else {
            return Err(bad(format!("{name}={value}: too large")));
        };
        if number == 0 {
            return Ok(());
        }
        let time = Duration::from_secs(number.into());
        match name {
            "keepalives_idle" => self.idle = time,
            "keepalives_interval" => self.interval = Some(time),
            // In libpq, and in the driver.
            "keepalives_count" | "keepalives_retries" => self.retries = Some(number),
            _ => return Err(bad(format!("{name}: no such parameter"))),
        }
        Ok(())
    }
}

/// # Errors
/// [`Error::BadAddress`] if `value` is none.
pub fn number(name: &str, value: &str) -> Result<i64, Error> {
    let number = value.parse();
    number.map_err(|_| bad(format!("{name}={value}: not a number")))
}
