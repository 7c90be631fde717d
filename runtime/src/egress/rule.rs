//! One rule of the policy, in the syntax of `allowed_outbound_hosts` of Spin (`crates/outbound-networking-config` of Spin).

use super::public::is_public;
use http::Uri;
use ip_network::IpNetwork;
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The longest name of a host (RFC 1035, 2.3.4).
const MAX_NAME_BYTES: usize = 253;

/// The name of loopback addresses (RFC 6761, 6.3).
const LOCALHOST: &str = "localhost";

/// Some destinations that a component may connect to, such as `https://api.example.com`, `https://*.example.com:8443`,
/// `postgres://10.0.0.0/8:5432` or `*://*:*`.
///
/// A rule with a name, or for every host, allows only the public addresses of what it names; others need a rule with an
/// address or a network. Only `localhost` is itself the name of loopback addresses.
///
/// ```
/// # use http_component_runtime::Rule;
/// let rule: Rule = "https://api.example.com:8443".parse()?;
/// let network: Rule = "postgres://10.0.0.0/8:5432".parse()?;
/// let of_setting = Rule::trusting_server_of("http://upstream.internal/people");
/// assert_eq!(of_setting, Some(Rule::trusting("http", "upstream.internal", 80)));
/// let socket = Rule::socket("/run/postgresql/.s.PGSQL.5432".into());
/// # Ok::<(), http_component_runtime::InvalidRule>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `None`: any.
    scheme: Option<String>,
    host: Host,
    ports: Ports,
    is_trusting: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Any,
    /// The names that end so; it begins with a dot.
    Subdomains(String),
    Name(String),
    Network(IpNetwork),
    Socket(PathBuf),
    File(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ports {
    Any,
    Some(Range<u32>),
}

/// Why a text is no rule.
///
/// ```
/// # use http_component_runtime::{InvalidRule, Rule};
/// let error: InvalidRule = "http://example.com/path".parse::<Rule>().unwrap_err();
/// assert!(error.to_string().starts_with(r#""http://example.com/path" has a host that is not"#));
/// ```
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{rule:?} {reason}")]
pub struct InvalidRule {
    rule: String,
    reason: &'static str,
}

impl Rule {
    /// For `host`, a name or an IP address, whatever addresses it has. For what the operator names as the place of the
    /// application's data, so that a database in a private network needs no rule of its own.
    pub fn trusting(scheme: &str, host: &str, port: u16) -> Self {
        let name = || Host::Name(host.trim_end_matches('.').to_ascii_lowercase());
        Self {
            scheme: Some(scheme.to_owned()),
            host: literal(host).map_or_else(name, |ip| Host::Network(ip.into())),
            ports: Ports::only(port),
            is_trusting: true,
        }
    }

    /// The same for the server of `url`; `None` if that is no URL of HTTP.
    pub fn trusting_server_of(url: &str) -> Option<Self> {
        let url: Uri = url.parse().ok()?;
        let scheme = url
            .scheme_str()
            .filter(|scheme| matches!(*scheme, "http" | "https"))?;
        let port = url.port_u16().or_else(|| usual_port(scheme))?;
        Some(Self::trusting(scheme, url.host()?, port))
    }

    /// For the Unix socket at `path`.
    pub fn socket(path: PathBuf) -> Self {
        Self {
            scheme: None,
            host: Host::Socket(path),
            ports: Ports::Any,
            is_trusting: true,
        }
    }

    /// For the file at `path`, which has a certificate or a key to connect with. The host reads it; a component does not.
    pub fn file(path: PathBuf) -> Self {
        Self {
            host: Host::File(path),
            ..Self::socket(PathBuf::new())
        }
    }

    pub(super) fn is_for(&self, scheme: &str, port: u16) -> bool {
        let is_scheme = self.scheme.as_deref().is_none_or(|own| own == scheme);
        is_scheme
            && match &self.ports {
                Ports::Any => true,
                Ports::Some(ports) => ports.contains(&port.into()),
            }
    }

    /// Whether it is for the host `name`, which is in lower case, and no address.
    pub(super) fn names(&self, name: &str) -> bool {
        match &self.host {
            Host::Any => true,
            Host::Subdomains(suffix) => name.ends_with(suffix),
            Host::Name(own) => own == name,
            Host::Network(_) | Host::Socket(_) | Host::File(_) => false,
        }
    }

    /// Whether it names `ip`, or a network that it is in.
    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        matches!(&self.host, Host::Network(network) if network.contains(ip))
    }

    pub(super) fn names_socket(&self, path: &Path) -> bool {
        matches!(&self.host, Host::Socket(own) if own == path)
    }

    pub(super) fn names_file(&self, path: &Path) -> bool {
        matches!(&self.host, Host::File(own) if own == path)
    }

    pub(super) fn is_any(&self) -> bool {
        self.host == Host::Any
    }

    /// Whether it is for a host that it names at the address `ip`, too.
    pub(super) fn extends_to(&self, ip: IpAddr) -> bool {
        let is_localhost = matches!(&self.host, Host::Name(name) if name == LOCALHOST);
        self.is_trusting || is_public(ip) || (is_localhost && ip.is_loopback())
    }
}

impl Ports {
    fn only(port: u16) -> Self {
        Self::Some(port.into()..u32::from(port) + 1)
    }

    /// Nothing for the usual port of `scheme`, `*`, one, or a range without its end (`8000..8010`).
    fn parse(text: &str, scheme: &str) -> Result<Self, &'static str> {
        let number = |text: &str| {
            let number = text.parse::<u16>();
            number.map_err(|_| "has a port that is not a number up to 65535, a range of them, or *")
        };
        match (text, text.split_once("..")) {
            ("", _) => usual_port(scheme)
                .map(Self::only)
                .ok_or("has no port, and its scheme has no usual one"),
            ("*", _) => Ok(Self::Any),
            (_, Some((start, end))) => match (number(start)?, number(end)?) {
                (start, end) if start < end => Ok(Self::Some(start.into()..end.into())),
                _ => Err("has a range of ports that is empty"),
            },
            _ => number(text).map(Self::only),
        }
    }
}

impl FromStr for Rule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        parse(text.trim()).map_err(|reason| InvalidRule {
            rule: text.chars().take(2 * MAX_NAME_BYTES).collect(),
            reason,
        })
    }
}

fn parse(text: &str) -> Result<Rule, &'static str> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or("is not of the form scheme://host:port, each of which may be *")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = host_and_port(rest);
    Ok(Rule {
        ports: Ports::parse(port, scheme)?,
        scheme: match scheme {
            "*" => None,
            // The two schemes that Postgres has (PostgreSQL documentation, 34.1.1.2).
            "postgresql" => Some("postgres".to_owned()),
            _ if !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_lowercase()) => {
                Some(scheme.to_owned())
            }
            _ => return Err("has a scheme that is neither * nor lower-case letters"),
        },
        host: Host::parse(host)?,
        is_trusting: false,
    })
}

/// Takes `host:port`, `host`, `[IPv6]:port` or `network/bits:port` apart. An IPv6 address without brackets has no port.
fn host_and_port(text: &str) -> (&str, &str) {
    if Host::parse(text).is_ok() {
        return (text, "");
    }
    text.rsplit_once(':').unwrap_or((text, ""))
}

impl Host {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if matches!(text, "self" | "self.alt") {
            return Err(
                "is for requests of an application to itself, which this host does not have",
            );
        }
        if let Some(ip) = literal(text) {
            return Ok(Self::Network(ip.to_canonical().into()));
        }
        // A network of IPv6 may have brackets: [fd00::]/8, or [fd00::/8].
        let plain: String = text.chars().filter(|byte| !"[]".contains(*byte)).collect();
        if let Ok(network) = IpNetwork::from_str_truncate(&plain) {
            return Ok(Self::Network(network));
        }
        let (name, is_suffix) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let has_labels = name.split('.').all(|label| !label.is_empty());
        if name.len() > MAX_NAME_BYTES || !has_labels || !name.bytes().all(is_plain) {
            return Err(
                "has a host that is not *, *.example.com, a name in ASCII, an address or a network, or it has a path",
            );
        }
        Ok(match is_suffix {
            true => Self::Subdomains(format!(".{name}")),
            false => Self::Name(name),
        })
    }
}

/// The IP address that `host` is, an IPv6 one with or without brackets. No other spelling of an address is one: what the
/// system makes of `127.1` is a matter of looking it up.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

/// The port of a URL that names none.
pub fn usual_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "postgres" | "postgresql" => Some(5432),
        "mysql" => Some(3306),
        "redis" => Some(6379),
        "mqtt" => Some(1883),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_are_none_are_named() {
        for (rule, reason) in [
            ("", "is not of the form"),
            ("*", "is not of the form"),
            ("example.com", "is not of the form"),
            ("://example.com:80", "has a scheme"),
            ("HTTP://example.com:80", "has a scheme"),
            ("ht tp://example.com:80", "has a scheme"),
            ("gopher://example.com", "has no port"),
            ("*://example.com", "has no port"),
            ("http://", "has a host"),
            ("http://:80", "has a host"),
            ("http://exa mple.com", "has a host"),
            ("http://b\u{fc}cher.example", "has a host"),
            ("http://a..b", "has a host"),
            ("http://*.*.example", "has a host"),
            ("http://a*.example", "has a host"),
            ("http://example.com/path", "has a host"),
            ("http://user@example.com", "has a host"),
            ("http://10.0.0.0/33:80", "has a host"),
            ("http://self", "is for requests"),
            ("http://example.com:x", "has a port"),
            ("http://example.com:65536", "has a port"),
            ("http://example.com:90..80", "has a range"),
            ("http://example.com:80..80", "has a range"),
            ("http://{{ host }}", "has a host"),
        ] {
            let error = rule.parse::<Rule>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{rule:?} {reason}")),
                "{rule}: {error}"
            );
        }
        let long = format!("http://{}:80", "a".repeat(10_000));
        assert!(long.parse::<Rule>().unwrap_err().to_string().len() < 1000);
    }
}
