//! Where a component may connect to, over HTTP and to Postgres: nowhere but where a [`Rule`] of the operator says.
//!
//! A destination is checked twice: as it is named, before anything is looked up, and again by each address that a connection
//! is about to be made to. A name cannot lead to an address that the rules do not allow (DNS rebinding).

mod public;
mod refusals;
mod rule;

pub use rule::{InvalidRule, Rule};

pub(crate) use refusals::RefusalCounts;
use refusals::{Reason, Refusals};
use rule::literal;
pub(crate) use rule::usual_port;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// The policy for all connections of an application. Clones share it. The default allows nothing.
///
/// ```
/// use http_component_runtime::{Egress, Rule};
///
/// let own = Rule::trusting("postgres", "db.internal", 5432);
/// let egress = Egress::new(vec!["https://*.example.com".parse()?, own]);
/// # Ok::<(), http_component_runtime::InvalidRule>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Egress(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    rules: Arc<[Rule]>,
    refusals: Arc<Refusals>,
}

/// What a component may not connect to. The text is for the component: it has what the component has named, and no address
/// that it did not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No rule names the destination.
    #[error("address {0} is not permitted")]
    Destination(String),
    /// A rule names it, but not the address that it has, which is not public.
    #[error("address {0} is not permitted: it is not a public one")]
    Address(String),
}

/// A destination that the rules name.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    egress: Egress,
    scheme: &'static str,
    host: String,
    port: u16,
}

impl Egress {
    /// Allows what at least one of `rules` allows.
    pub fn new(rules: Vec<Rule>) -> Self {
        let refusals = Arc::default();
        let rules = rules.into();
        Self(Arc::new(Inner { rules, refusals }))
    }

    /// The same rules. What they refuse is counted, and logged once, together with what `other` refuses.
    pub(crate) fn counted_with(&self, other: &Self) -> Self {
        Self(Arc::new(Inner {
            rules: self.0.rules.clone(),
            refusals: other.0.refusals.clone(),
        }))
    }

    /// Whether a component may connect to `host`, a name or an IP address, an IPv6 one with or without brackets.
    ///
    /// # Errors
    /// If no rule names it. That is counted, and logged once.
    pub(crate) fn destination(
        &self,
        scheme: &'static str,
        host: &str,
        port: u16,
    ) -> Result<Destination, Refused> {
        let destination = Destination {
            egress: self.clone(),
            scheme,
            // Names are the same in any case, and with the dot at their end.
            host: host.trim_end_matches('.').to_ascii_lowercase(),
            port,
        };
        let is_named = match literal(host) {
            Some(ip) => destination.allows(ip),
            None => self
                .rules(scheme, port)
                .any(|rule| rule.names(&destination.host)),
        };
        match is_named {
            true => Ok(destination),
            false => Err(destination.refuse(Reason::Destination)),
        }
    }

    /// Whether a component may connect to the Unix socket at `path`.
    ///
    /// # Errors
    /// If no rule names it. That is counted, and logged once.
    pub(crate) fn socket(&self, path: &Path) -> Result<(), Refused> {
        self.path(path, Rule::names_socket)
    }

    /// Whether the host may show servers the certificate in the file at `path`, or use the key there.
    ///
    /// # Errors
    /// If no rule names it. That is counted, and logged once.
    pub(crate) fn file(&self, path: &Path) -> Result<(), Refused> {
        self.path(path, Rule::names_file)
    }

    fn path(&self, path: &Path, names: fn(&Rule, &Path) -> bool) -> Result<(), Refused> {
        if self.0.rules.iter().any(|rule| names(rule, path)) {
            return Ok(());
        }
        let path = path.display().to_string();
        self.0.refusals.note(Reason::Destination, &path);
        Err(Refused::Destination(path))
    }

    /// How many connections were refused.
    pub(crate) fn refusal_counts(&self) -> RefusalCounts {
        self.0.refusals.counts()
    }

    fn rules(&self, scheme: &str, port: u16) -> impl Iterator<Item = &Rule> {
        let rules = self.0.rules.iter();
        rules.filter(move |rule| rule.is_for(scheme, port))
    }
}

impl Destination {
    /// Whether a connection to it may be made at `ip`, one of its addresses.
    ///
    /// # Errors
    /// If that is not a public address, and no rule names it. That is counted, and logged once.
    pub fn admit(&self, ip: IpAddr) -> Result<(), Refused> {
        match self.allows(ip) {
            true => Ok(()),
            false => Err(self.refuse(Reason::Address)),
        }
    }

    /// Whether a rule names `ip`, or the host and such addresses of it.
    fn allows(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let is_name = literal(&self.host).is_none();
        let names_host = |rule: &Rule| match is_name {
            true => rule.names(&self.host),
            false => rule.is_any(),
        };
        let mut rules = self.egress.rules(self.scheme, self.port);
        rules.any(|rule| rule.contains(ip) || (names_host(rule) && rule.extends_to(ip)))
    }

    fn refuse(&self, reason: Reason) -> Refused {
        let named = self.to_string();
        self.egress.0.refusals.note(reason, &named);
        match reason {
            Reason::Destination => Refused::Destination(named),
            Reason::Address => Refused::Address(named),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scheme, host, port, ..
        } = self;
        match host.contains(':') && !host.starts_with('[') {
            true => write!(f, "{scheme}://[{host}]:{port}"),
            false => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress(rules: &[&str]) -> Egress {
        Egress::new(rules.iter().map(|rule| rule.parse().unwrap()).collect())
    }

    /// What becomes of a connection to `host`, found at `ip`: 0 where it is made, 1 where the destination is refused, and 2 where
    /// the address is.
    fn tried(egress: &Egress, scheme: &'static str, host: &str, port: u16, ip: &str) -> u8 {
        let Ok(destination) = egress.destination(scheme, host, port) else {
            return 1;
        };
        let admitted = destination.admit(ip.parse().unwrap());
        if admitted.is_ok() { 0 } else { 2 }
    }

    #[track_caller]
    fn check(rules: &[&str], destinations: &[(&'static str, &str, u16, &str, u8)]) {
        let egress = egress(rules);
        for &(scheme, host, port, ip, expected) in destinations {
            let found = tried(&egress, scheme, host, port, ip);
            assert_eq!(
                found, expected,
                "{rules:?}: {scheme}://{host}:{port} at {ip}"
            );
        }
    }

    const PUBLIC: &str = "93.184.215.14";

    #[test]
    fn nothing_is_allowed_by_default() {
        check(
            &[],
            &[
                ("http", "example.com", 80, PUBLIC, 1),
                ("postgres", "db", 5432, PUBLIC, 1),
                ("http", "93.184.215.14", 80, PUBLIC, 1),
            ],
        );
        assert!(Egress::default().socket(Path::new("/run/x")).is_err());
        assert!(Egress::default().file(Path::new("/run/x")).is_err());
    }

    #[test]
    fn scheme_host_and_port_have_to_be_the_same() {
        check(
            &[
                "https://api.example.com",
                "http://Example.com.:8000..8002",
                "postgresql://db.example",
            ],
            &[
                ("https", "api.example.com", 443, PUBLIC, 0),
                ("https", "API.example.COM.", 443, PUBLIC, 0),
                ("https", "api.example.com", 8443, PUBLIC, 1),
                ("http", "api.example.com", 443, PUBLIC, 1),
                ("https", "example.com", 443, PUBLIC, 1),
                ("https", "x.api.example.com", 443, PUBLIC, 1),
                ("https", "api.example.com.evil.example", 443, PUBLIC, 1),
                ("http", "example.com", 8000, PUBLIC, 0),
                ("http", "example.com", 8001, PUBLIC, 0),
                ("http", "example.com", 8002, PUBLIC, 1),
                ("postgres", "db.example", 5432, PUBLIC, 0),
                ("http", "db.example", 5432, PUBLIC, 1),
            ],
        );
    }

    #[test]
    fn wildcards_are_for_public_addresses() {
        check(
            &["*://*:*"],
            &[
                ("http", "example.com", 1, PUBLIC, 0),
                ("postgres", "93.184.215.14", 1, PUBLIC, 0),
                ("http", "[2606:4700::1111]", 80, "2606:4700::1111", 0),
                ("http", "example.com", 80, "127.0.0.1", 2),
                ("http", "localhost", 80, "127.0.0.1", 2),
                ("http", "2130706433", 80, "127.0.0.1", 2),
                ("http", "0177.0.0.1", 80, "127.0.0.1", 2),
                ("http", "example.com", 80, "::ffff:10.0.0.1", 2),
                ("http", "127.0.0.1", 80, "127.0.0.1", 1),
                ("http", "169.254.169.254", 80, "169.254.169.254", 1),
                ("http", "[::1]", 80, "::1", 1),
                ("http", "[::ffff:127.0.0.1]", 80, "::ffff:127.0.0.1", 1),
                ("http", "[::ffff:a9fe:a9fe]", 80, "::ffff:a9fe:a9fe", 1),
            ],
        );
        check(
            &["https://*.example.com:*"],
            &[
                ("https", "a.example.com", 1, PUBLIC, 0),
                ("https", "a.b.example.com", 1, PUBLIC, 0),
                ("https", "a.example.com", 1, "10.0.0.1", 2),
                ("https", "example.com", 1, PUBLIC, 1),
                ("https", "aexample.com", 1, PUBLIC, 1),
            ],
        );
        // An address is no subdomain.
        check(
            &["http://*.0.1:*"],
            &[("http", "127.0.0.1", 80, "127.0.0.1", 1)],
        );
    }

    #[test]
    fn networks_name_addresses_that_are_not_public() {
        check(
            &[
                "http://*:*",
                "http://10.0.0.0/8:*",
                "http://[fd00::/8]:80",
                "http://[::1]:81",
            ],
            &[
                ("http", "db.internal", 80, "10.1.2.3", 0),
                ("http", "db.internal", 80, "::ffff:10.1.2.3", 0),
                ("http", "db.internal", 80, "11.1.2.3", 0),
                ("http", "db.internal", 80, "172.16.0.1", 2),
                ("http", "10.1.2.3", 9, "10.1.2.3", 0),
                ("http", "[::ffff:10.1.2.3]", 9, "::ffff:10.1.2.3", 0),
                ("http", "[fd00::1]", 80, "fd00::1", 0),
                ("http", "[fd00::1]", 81, "fd00::1", 1),
                ("http", "[::1]", 81, "::1", 0),
            ],
        );
        // A network alone names no host.
        check(
            &["http://10.0.0.0/8:*"],
            &[("http", "db.internal", 80, "10.1.2.3", 1)],
        );
        check(
            &["http://localhost:80"],
            &[
                ("http", "localhost", 80, "127.0.0.1", 0),
                ("http", "localhost", 80, "::1", 0),
                ("http", "localhost", 80, "10.0.0.1", 2),
                ("http", "127.0.0.1", 80, "127.0.0.1", 1),
            ],
        );
    }

    #[test]
    fn what_a_setting_names_is_allowed_wherever_it_is() {
        let rules = vec![
            Rule::trusting("postgres", "DB", 5432),
            Rule::trusting("postgres", "::1", 5433),
            Rule::socket("/run/.s.PGSQL.5432".into()),
            Rule::file("/run/tls.key".into()),
        ];
        let egress = Egress::new(rules);
        for (host, port, ip, expected) in [
            ("db", 5432, "10.0.0.1", 0),
            ("db", 5432, "127.0.0.1", 0),
            ("db", 5433, "10.0.0.1", 1),
            ("db2", 5432, "10.0.0.1", 1),
            ("10.0.0.1", 5432, "10.0.0.1", 1),
            ("::1", 5433, "::1", 0),
        ] {
            let found = tried(&egress, "postgres", host, port, ip);
            assert_eq!(found, expected, "{host}:{port} at {ip}");
        }
        assert!(egress.socket(Path::new("/run/.s.PGSQL.5432")).is_ok());
        assert!(egress.socket(Path::new("/run/.s.PGSQL.5433")).is_err());
        // A socket is no file to read, and a file no place to connect to.
        assert!(egress.file(Path::new("/run/.s.PGSQL.5432")).is_err());
        assert!(egress.file(Path::new("/run/tls.key")).is_ok());
        assert!(egress.socket(Path::new("/run/tls.key")).is_err());
    }

    #[test]
    fn refusals_are_counted_and_say_what_was_named() {
        let egress = egress(&["http://*:80"]);
        let refused = egress.destination("http", "[::1]", 80).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "address http://[::1]:80 is not permitted"
        );
        let named = egress.destination("http", "a.example", 80).unwrap();
        let refused = named.admit("10.0.0.1".parse().unwrap()).unwrap_err();
        let text = refused.to_string();
        assert!(
            text.contains("http://a.example:80 is not permitted") && !text.contains("10.0"),
            "{text}"
        );
        let counts = egress.refusal_counts();
        assert_eq!(counts.destinations(), 1);
        assert_eq!(counts.addresses(), 1);
    }
}
