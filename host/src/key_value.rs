//! The key-value store that an address names.

use http_component_runtime::KeyValue;
use std::path::Path;
use std::time::Duration;

const EXPECTED: &str =
    "expected sqlite:PATH, memory, dynamodb:TABLE, redis://HOST or rediss://HOST";

/// The store at `address`. One in memory keeps up to `memory` bytes; an operation of one over the network takes up to
/// `timeout`.
///
/// # Errors
/// If there is no such store, in words without the address, which may have a password.
pub fn open(address: &str, memory: usize, timeout: Duration) -> Result<KeyValue, String> {
    match address.split_once(':') {
        None if address == "memory" => Ok(KeyValue::memory(memory)),
        // Each connection of SQLite would have its own data.
        Some(("sqlite", ":memory:")) => Err("for data in memory use memory".to_owned()),
        Some(("sqlite", path)) if !path.is_empty() => {
            KeyValue::sqlite(Path::new(path)).map_err(|error| error.to_string())
        }
        Some(("dynamodb", _)) => dynamodb(address, timeout),
        Some(("redis" | "rediss" | "valkey" | "valkeys", _)) => redis(address, timeout),
        _ => Err(EXPECTED.to_owned()),
    }
}

#[cfg(feature = "dynamodb")]
fn dynamodb(address: &str, timeout: Duration) -> Result<KeyValue, String> {
    KeyValue::dynamodb(address, timeout).map_err(|error| error.to_string())
}

#[cfg(not(feature = "dynamodb"))]
fn dynamodb(_: &str, _: Duration) -> Result<KeyValue, String> {
    Err("this host was built without dynamodb".to_owned())
}

#[cfg(feature = "redis")]
fn redis(address: &str, timeout: Duration) -> Result<KeyValue, String> {
    KeyValue::redis(address, timeout).map_err(|error| error.to_string())
}

#[cfg(not(feature = "redis"))]
fn redis(_: &str, _: Duration) -> Result<KeyValue, String> {
    Err("this host was built without redis".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_store_is_refused_without_being_shown() {
        let check = |address: &str| match open(address, 1024, Duration::from_secs(1)) {
            Ok(_) => panic!("{address} is taken"),
            Err(reason) => assert!(!reason.contains("s3cret"), "{address}: {reason}"),
        };
        for address in [
            "",
            "s3cret",
            "sqlite:",
            "sqlite::memory:",
            "file:s3cret.db",
            "dynamodb:",
            "redis:s3cret",
            "redis://:s3cret@",
            "redis//:s3cret@host",
        ] {
            check(address);
        }
    }
}
