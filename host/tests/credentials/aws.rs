//! What AWS does with a token: an implementation of Signature Version 4 of its own, after the documentation of AWS ("Create a
//! signed AWS API request").

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// Of a hash, in bytes.
const BLOCK: usize = 64;

/// A token as it was received.
pub struct Token {
    /// With its port.
    pub host: String,
    /// Encoded, by name.
    parameters: BTreeMap<String, String>,
}

impl Token {
    /// # Panics
    /// If it is no token.
    pub fn parse(text: &str) -> Self {
        let (host, query) = text.split_once("/?").unwrap();
        let pairs = query.split('&').map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        });
        Self {
            host: host.to_owned(),
            parameters: pairs.collect(),
        }
    }

    pub fn parameter(&self, name: &str) -> &str {
        &self.parameters[name]
    }

    /// The identifier of the key that it is signed with, and the scope.
    pub fn key_and_scope(&self) -> (String, String) {
        let credential = self.parameter("X-Amz-Credential").replace("%2F", "/");
        let (key, scope) = credential.split_once('/').unwrap();
        (key.to_owned(), scope.to_owned())
    }

    /// Since it was made.
    pub fn age(&self) -> Duration {
        let date = self.parameter("X-Amz-Date");
        let part = |from: usize, to: usize| &date[from..to];
        let made = format!(
            "{}-{}-{}T{}:{}:{}Z",
            part(0, 4),
            part(4, 6),
            part(6, 8),
            part(9, 11),
            part(11, 13),
            part(13, 15)
        );
        let made = humantime::parse_rfc3339(&made).unwrap();
        SystemTime::now().duration_since(made).unwrap_or_default()
    }

    /// Whether it was signed with `secret`.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let query: Vec<_> = self
            .parameters
            .iter()
            .filter(|(name, _)| *name != "X-Amz-Signature")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = format!(
            "GET\n/\n{}\nhost:{}\n\nhost\n{}",
            query.join("&"),
            self.host,
            hex(&Sha256::digest(b""))
        );
        let (_, scope) = self.key_and_scope();
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
            self.parameter("X-Amz-Date"),
            hex(&Sha256::digest(request))
        );
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in scope.split('/') {
            key = hmac(&key, part);
        }
        self.parameter("X-Amz-Signature") == hex(&hmac(&key, &to_sign))
    }
}

/// RFC 2104; no key here is longer than a block.
fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut block = [0; BLOCK];
    block[..key.len()].copy_from_slice(key);
    let padded = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new_with_prefix(padded(0x36)).chain_update(text);
    let outer = Sha256::new_with_prefix(padded(0x5c)).chain_update(inner.finalize());
    outer.finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
