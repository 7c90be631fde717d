//! The address of a database, as libpq has it (PostgreSQL documentation, 34.1.1): taken apart once, into parameters, and then
//! turned into what the driver needs.

mod keepalive;
mod parameters;

pub use keepalive::Keepalive;

use crate::error::{Error, chain};
use crate::permit::Destination;
use keepalive::number;
use parameters::{Parameter, bad};
use std::convert::Infallible;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{LoadBalanceHosts, SslMode, TargetSessionAttrs};

/// How long one host may take for TCP, TLS and the session, unless the address has a `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Of that, how long TCP may take.
const TCP_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The most hosts of an address, so that trying all of them ends.
const MAX_HOSTS: usize = 16;

const DEFAULT_PORT: u16 = 5432;

/// How long sent data may go without acknowledgement before the connection counts as lost.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// An address that can be connected to.
#[derive(Debug)]
pub struct Address {
    /// All that all hosts have in common; it names none.
    pub config: Config,
    pub hosts: Vec<Host>,
    /// For each of them, from TCP to a session that is ready.
    pub connect_timeout: Duration,
    /// `None` if the server is not to be asked whether it is there.
    pub keepalive: Option<Keepalive>,
    pub encryption: Encryption,
    /// Where the certificate of the client is, and its key.
    pub client_certificate: Option<ClientFiles>,
    /// If no host has the wanted attributes, any will do (`prefer-standby`).
    pub falls_back: bool,
}

/// Files in the form PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub at: Location,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A name, which is also the name in the certificate; and its address, where it is not to be looked up.
    Tcp(String, Option<IpAddr>),
    /// The folder of a Unix socket.
    Unix(PathBuf),
}

/// What the address asks of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// `require` and above: encrypted, and the certificate has to be valid for the host's name.
    Verified,
    /// `prefer` and `allow`: encrypted if the server can.
    Opportunistic,
    None,
}

/// Reads `text`, a URL or key-value pairs, and adds what it leaves out.
///
/// # Errors
/// [`Error::BadAddress`]
pub fn parse(text: &str, application_name: &str) -> Result<Address, Error> {
    Address::new(parameters::read(text)?, application_name)
}

/// Calls `visit` with each file and each server that `address`, a URL or key-value pairs as libpq has them, names.
///
/// # Errors
/// [`Error::BadAddress`]
pub fn destinations(address: &str, mut visit: impl FnMut(Destination<'_>)) -> Result<(), Error> {
    let address = parse(address, "")?;
    let all: Result<(), Infallible> = address.visit(|destination| {
        visit(destination);
        Ok(())
    });
    let Ok(()) = all;
    Ok(())
}

impl Address {
    fn new(parameters: Vec<Parameter>, application_name: &str) -> Result<Self, Error> {
        let mut hosts = Vec::new();
        let mut addresses = Vec::new();
        let mut ports = Vec::new();
        let mut encryption = Encryption::Opportunistic;
        let mut keepalive = Keepalive::default();
        let mut is_kept_alive = true;
        let mut falls_back = false;
        let mut certificate = None;
        let mut key = None;
        let mut fallback_name = application_name.to_owned();
        let mut rest = String::new();
        for (name, value) in parameters {
            let refuse = |way_out: &str| Err(bad(format!("{name}={value}: {way_out}")));
            // A later one of the same name counts, as in libpq.
            match name.as_str() {
                "host" => hosts = list(&value),
                "hostaddr" => addresses = list(&value),
                "port" => ports = list(&value),
                "sslmode" => {
                    encryption = match value.as_str() {
                        "disable" => Encryption::None,
                        "allow" | "prefer" => Encryption::Opportunistic,
                        "require" | "verify-ca" | "verify-full" => Encryption::Verified,
                        _ => return refuse("not a mode; use verify-full, prefer or disable"),
                    }
                }
                "sslrootcert" if value == "system" => {}
                "sslrootcert" => {
                    return refuse("authorities are an option of the program, not of the address");
                }
                // Without a value it is not given, as in libpq.
                "sslcert" => certificate = Some(value).filter(|path| !path.is_empty()),
                "sslkey" => key = Some(value).filter(|path| !path.is_empty()),
                "client_encoding" => match value.to_ascii_lowercase().as_str() {
                    "utf8" | "utf-8" | "unicode" | "auto" => {}
                    _ => return refuse("only UTF8 is spoken"),
                },
                "gssencmode" if value == "require" => {
                    return refuse("GSSAPI is not spoken; use sslmode=verify-full");
                }
                "gssencmode" => {}
                "fallback_application_name" => fallback_name = value,
                "target_session_attrs" => {
                    let known = match value.as_str() {
                        "primary" => "read-write",
                        "standby" => "read-only",
                        "prefer-standby" => {
                            falls_back = true;
                            "read-only"
                        }
                        other => other,
                    };
                    push_pair(&mut rest, &name, known);
                }
                // In milliseconds in libpq, in seconds in the driver.
                "tcp_user_timeout" => {
                    let Ok(milliseconds) = value.parse::<u64>() else {
                        return refuse("not a number of milliseconds");
                    };
                    push_pair(&mut rest, &name, &milliseconds.div_ceil(1000).to_string());
                }
                "keepalives" => is_kept_alive = number(&name, &value)? != 0,
                name if name.starts_with("keepalives_") => keepalive.take(name, &value)?,
                _ => push_pair(&mut rest, &name, &value),
            }
        }
        let mut config: Config = rest.parse().map_err(|error| bad(chain(&error)))?;
        config.ssl_mode(match encryption {
            Encryption::None => SslMode::Disable,
            Encryption::Opportunistic => SslMode::Prefer,
            Encryption::Verified => SslMode::Require,
        });
        if config.get_application_name().is_none() {
            config.application_name(fallback_name);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(TCP_USER_TIMEOUT);
        }
        let connect_timeout = config.get_connect_timeout().copied();
        config.connect_timeout(connect_timeout.unwrap_or(TCP_CONNECT_TIMEOUT));
        Ok(Self {
            hosts: named_hosts(&hosts, &addresses, &ports)?,
            connect_timeout: connect_timeout.unwrap_or(CONNECT_TIMEOUT),
            config,
            keepalive: is_kept_alive.then_some(keepalive),
            client_certificate: client_files(certificate, key, encryption)?,
            encryption,
            falls_back,
        })
    }

    /// Calls `visit` with each file and each server that it names, until that fails.
    pub fn visit<E>(
        &self,
        mut visit: impl FnMut(Destination<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(ClientFiles { certificate, key }) = &self.client_certificate {
            visit(Destination::File(certificate))?;
            visit(Destination::File(key))?;
        }
        self.hosts.iter().try_for_each(|host| match &host.at {
            Location::Tcp(name, _) => visit(Destination::Named {
                host: name,
                port: host.port,
            }),
            Location::Unix(folder) => visit(Destination::Socket(&socket(folder, host.port))),
        })
    }

    /// The hosts in the order in which they are tried.
    pub fn hosts_in_order(&self) -> Vec<Host> {
        let mut hosts = self.hosts.clone();
        if self.config.get_load_balance_hosts() == LoadBalanceHosts::Random {
            fastrand::shuffle(&mut hosts);
        }
        hosts
    }

    /// The attributes that a session has to have, in the order in which they are tried.
    pub fn wanted_attributes(&self) -> Vec<TargetSessionAttrs> {
        let wanted = self.config.get_target_session_attrs();
        match self.falls_back {
            true => vec![wanted, TargetSessionAttrs::Any],
            false => vec![wanted],
        }
    }

    /// `host:port,host:port/database`, without user and password, for the log.
    pub fn name(&self) -> String {
        let hosts: Vec<String> = self
            .hosts
            .iter()
            .map(|Host { at, port }| match at {
                Location::Tcp(host, _) if host.contains(':') => format!("[{host}]:{port}"),
                Location::Tcp(host, _) => format!("{host}:{port}"),
                Location::Unix(folder) => format!("{}:{port}", folder.display()),
            })
            .collect();
        let database = self.config.get_dbname().or(self.config.get_user());
        format!("{}/{}", hosts.join(","), database.unwrap_or_default())
    }
}

/// The socket of a server that listens in `folder` (PostgreSQL documentation, 20.3.1).
pub fn socket(folder: &Path, port: u16) -> PathBuf {
    folder.join(format!(".s.PGSQL.{port}"))
}

fn client_files(
    certificate: Option<String>,
    key: Option<String>,
    encryption: Encryption,
) -> Result<Option<ClientFiles>, Error> {
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) if encryption == Encryption::None => {
            Err(bad("sslcert is of no use with sslmode=disable"))
        }
        (Some(certificate), Some(key)) => Ok(Some(ClientFiles {
            certificate: certificate.into(),
            key: key.into(),
        })),
        (Some(_), None) => Err(bad("sslcert needs sslkey, too")),
        (None, Some(_)) => Err(bad("sslkey needs sslcert, too")),
    }
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::to_owned).collect()
}

fn push_pair(pairs: &mut String, name: &str, value: &str) {
    pairs.push_str(name);
    pairs.push_str("='");
    for character in value.chars() {
        if matches!(character, '\'' | '\\') {
            pairs.push('\\');
        }
        pairs.push(character);
    }
    pairs.push_str("' ");
}

/// One port may stand for all hosts; addresses stand for the hosts at the same places.
fn named_hosts(
    hosts: &[String],
    addresses: &[String],
    ports: &[String],
) -> Result<Vec<Host>, Error> {
    let count = hosts.len().max(addresses.len());
    let is_given = hosts.iter().chain(addresses).any(|host| !host.is_empty());
    if !is_given {
        return Err(bad(
            "the address names no host; add one, such as postgres://localhost/… or ?host=/var/run/postgresql",
        ));
    }
    if count > MAX_HOSTS {
        return Err(bad(format!(
            "the address names more than {MAX_HOSTS} hosts"
        )));
    }
    let differs = |length: usize| length > 1 && length != count;
    if differs(ports.len())
        || (!addresses.is_empty() && !hosts.is_empty() && hosts.len() != addresses.len())
    {
        return Err(bad(
            "the address has not as many ports, or addresses, as hosts",
        ));
    }
    (0..count)
        .map(|index| {
            let port = match ports.get(index).or(ports.first()).map(String::as_str) {
                None | Some("") => DEFAULT_PORT,
                Some(port) => port
                    .parse()
                    .map_err(|_| bad(format!("{port} is no port")))?,
            };
            let ip: Option<IpAddr> = match addresses.get(index).map(String::as_str) {
                None | Some("") => None,
                Some(ip) => Some(
                    ip.parse()
                        .map_err(|_| bad(format!("{ip} is no IP address")))?,
                ),
            };
            let at = match (hosts.get(index).map(String::as_str), ip) {
                (Some(folder), None) if folder.starts_with(['/', '@']) => {
                    Location::Unix(folder.into())
                }
                (None | Some(""), None) => return Err(bad("a host of the address is empty")),
                (None | Some(""), Some(ip)) => Location::Tcp(ip.to_string(), Some(ip)),
                (Some(host), ip) => Location::Tcp(host.to_owned(), ip.or(host.parse().ok())),
            };
            Ok(Host { at, port })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Address {
        parse(text, "test").unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(parsed(text).name(), expected);
    }

    #[test]
    fn the_log_names_hosts_and_database_but_no_account() {
        check("postgres://u:p@a:1,b:2/d", "a:1,b:2/d");
        check("postgresql://u@a,b/d", "a:5432,b:5432/d");
        check("host=/run user=u port=5", "/run:5/u");
        check(
            "postgres://u@[::1]:6,[fe80::1]/d",
            "[::1]:6,[fe80::1]:5432/d",
        );
        check("postgres:///d?host=/run,a&port=1,", "/run:1,a:5432/d");
        check("host=a hostaddr=127.0.0.1 dbname=d", "a:5432/d");
        check("hostaddr=::1 dbname=d", "[::1]:5432/d");
    }

    #[test]
    fn an_address_is_taken_apart_once() {
        let address =
            parsed("postgres://host/db?user=x&application_name=a@b&password=c%26sslmode%3dd");
        assert_eq!(address.name(), "host:5432/db");
        assert_eq!(address.config.get_user(), Some("x"));
        assert_eq!(address.config.get_application_name(), Some("a@b"));
        assert_eq!(address.config.get_password(), Some(&b"c&sslmode=d"[..]));
        let address =
            parsed(r"host=h user = 'sslmode=allow \'\\' password=a\ b application_name=''");
        assert_eq!(address.config.get_user(), Some(r"sslmode=allow '\"));
        assert_eq!(address.config.get_password(), Some(&b"a b"[..]));
        let address = parsed("postgres://u%40x:p%2Fq%3A@h/d%3F");
        assert_eq!(address.config.get_user(), Some("u@x"));
        assert_eq!(address.config.get_password(), Some(&b"p/q:"[..]));
        assert_eq!(address.name(), "h:5432/d?");
    }

    #[test]
    fn modes_of_libpq_are_known() {
        for (mode, expected) in [
            ("verify-full", Encryption::Verified),
            ("verify-ca", Encryption::Verified),
            ("require", Encryption::Verified),
            ("allow", Encryption::Opportunistic),
            ("prefer", Encryption::Opportunistic),
            ("disable", Encryption::None),
        ] {
            let address = parsed(&format!("postgres://a/d?sslmode={mode}"));
            assert_eq!(address.encryption, expected, "{mode}");
        }
        assert_eq!(parsed("host=a").encryption, Encryption::Opportunistic);
    }

    #[test]
    fn parameters_of_libpq_are_taken_as_libpq_takes_them() {
        let address = parsed(
            "postgres://a/d?client_encoding=UTF8&gssencmode=prefer&fallback_application_name=f\
             &sslrootcert=system&tcp_user_timeout=1500&keepalives_count=3&connect_timeout=2",
        );
        assert_eq!(address.config.get_application_name(), Some("f"));
        let seconds = Duration::from_secs;
        assert_eq!(address.config.get_tcp_user_timeout(), Some(&seconds(2)));
        let keepalive = Keepalive {
            retries: Some(3),
            ..Keepalive::default()
        };
        assert_eq!(address.keepalive, Some(keepalive));
        assert_eq!(parsed("host=a keepalives=0").keepalive, None);
        let files = parsed("host=a sslcert=/c.pem sslkey='/k k.pem'").client_certificate;
        let expected = ClientFiles {
            certificate: "/c.pem".into(),
            key: "/k k.pem".into(),
        };
        assert_eq!(files, Some(expected));
        assert_eq!(parsed("host=a sslcert='' sslkey=").client_certificate, None);
        assert_eq!(address.connect_timeout, seconds(2));
        assert_eq!(parsed("host=a").connect_timeout, CONNECT_TIMEOUT);
        let wanted = |attributes: &str| {
            parsed(&format!("host=a target_session_attrs={attributes}")).wanted_attributes()
        };
        use TargetSessionAttrs::{Any, ReadOnly, ReadWrite};
        assert_eq!(wanted("any"), [Any]);
        assert_eq!(wanted("primary"), [ReadWrite]);
        assert_eq!(wanted("standby"), [ReadOnly]);
        assert_eq!(wanted("prefer-standby"), [ReadOnly, Any]);
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for address in [
            "",
            "postgres://",
            "postgres:///d",
            "user=u",
            "postgres://h:port/d",
            "postgres://a,/d",
            "host=a,b,c port=1,2",
            "host='a",
            "no pairs",
            "postgres://h/d?sslrootcert=/ca.pem",
            "postgres://h/d?sslmode=sometimes",
            "postgres://h/d?sslcert=/c.pem",
            "postgres://h/d?sslkey=/k.pem",
            "postgres://h/d?sslcert=/c.pem&sslkey=/k.pem&sslmode=disable",
            "postgres://h/d?client_encoding=latin1",
            "postgres://h/d?gssencmode=require",
            "postgres://h/d?target_session_attrs=best",
            "postgres://h/d?no_such_parameter=1",
            "postgres://h/d?keepalives=perhaps",
            "postgres://h/d?keepalives_idle=soon",
            "postgres://h/d?keepalives_for_ever=1",
            "postgres://h/d?x",
            "postgres://h/%ff",
            &format!("host={}", ["a"; 17].join(",")),
        ] {
            let error = parse(address, "test").unwrap_err();
            assert!(matches!(error, Error::BadAddress(_)), "{address}: {error}");
        }
    }
}
