//! Where a Redis is.

use crate::imports::key_value::error::InvalidStore;
use crate::secret_file::read_secret_file;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};
use std::path::PathBuf;

const EXPECTED: &str = "expected redis://[user:password@]host[:port][,host…][/database][?cluster=true|sentinel=NAME][&replicas=NUMBER]\
     [&password_file=PATH], or rediss:// for TLS";

/// The port that sentinels listen on, unless the address says otherwise.
const SENTINEL_PORT: u16 = 26379;

/// More hosts in one address are a mistake.
const MAX_HOSTS: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub name: String,
    pub port: u16,
}

/// How the hosts of an address lead to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Topology {
    /// The host is the server.
    #[default]
    Single,
    /// The hosts are sentinels, which know the server by this name.
    Sentinel(String),
    /// The hosts are some of the nodes of a cluster.
    Cluster,
}

/// A parsed address. It has the password, so it is not for the log.
pub struct Address {
    /// At least one; with [`Topology::Single`] exactly one.
    pub hosts: Vec<Host>,
    pub topology: Topology,
    pub is_encrypted: bool,
    /// User, password and database.
    settings: RedisConnectionInfo,
    /// Where the password is, if it is not in the address.
    password_file: Option<PathBuf>,
    /// So many replicas must have a write.
    pub replicas: usize,
}

/// What the parameters of an address say.
#[derive(Default)]
struct Parameters {
    topology: Topology,
    password_file: Option<PathBuf>,
    replicas: usize,
}

impl Address {
    /// # Errors
    /// If `text` is no address. The error does not have its parts, which may be a password.
    pub fn parse(text: &str) -> Result<Self, InvalidStore> {
        let invalid = || InvalidStore::new(EXPECTED);
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let is_encrypted = match scheme {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(invalid()),
        };
        if text.contains(char::is_whitespace) || rest.contains('#') {
            return Err(invalid());
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let Parameters {
            topology,
            password_file,
            replicas,
        } = Parameters::parse(query)?;
        // A password may have a slash where it is not encoded as it should be, so that the host comes after the last @.
        let host_at = rest.rfind('@').map_or(0, |at| at + 1);
        let (user, rest) = rest.split_at(host_at);
        let (hosts, database) = match rest.split_once('/') {
            Some((hosts, database)) => (hosts, database),
            None => (rest, ""),
        };
        if hosts.split(',').count() > MAX_HOSTS {
            return Err(InvalidStore::new(format!("more than {MAX_HOSTS} hosts")));
        }
        let mut found = Vec::new();
        let mut settings = RedisConnectionInfo::default();
        for host in hosts.split(',') {
            let url = format!("{scheme}://{user}{host}/{database}");
            let info = url.into_connection_info().map_err(|_| invalid())?;
            settings = info.redis_settings().clone();
            let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
            found.push(match info.addr() {
                ConnectionAddr::Tcp(name, port)
                | ConnectionAddr::TcpTls {
                    host: name, port, ..
                } => {
                    let is_sentinel = matches!(topology, Topology::Sentinel(_));
                    Host {
                        name: name.clone(),
                        port: if is_sentinel && !has_port {
                            SENTINEL_PORT
                        } else {
                            *port
                        },
                    }
                }
                _ => return Err(invalid()),
            });
        }
        let address = Self {
            hosts: found,
            topology,
            is_encrypted,
            settings,
            password_file,
            replicas,
        };
        address.check()?;
        Ok(address)
    }

    fn check(&self) -> Result<(), InvalidStore> {
        let refused = match self.topology {
            Topology::Single if self.hosts.len() > 1 => {
                "several hosts need ?cluster=true or ?sentinel=NAME"
            }
            Topology::Cluster if self.settings.db() != 0 => "a cluster has database 0 only",
            Topology::Cluster if self.replicas > 0 => "replicas cannot be waited for in a cluster",
            _ if self.settings.db() < 0 => "the database must be 0 or greater",
            _ if self.password_file.is_some() && self.settings.password().is_some() => {
                "a password and a password_file"
            }
            _ => return self.settings().map(|_| ()),
        };
        Err(InvalidStore::new(refused))
    }

    /// User, password and database, with what the file of the password has now.
    ///
    /// # Errors
    /// If the file has no password.
    pub fn settings(&self) -> Result<RedisConnectionInfo, InvalidStore> {
        let settings = self.settings.clone();
        let Some(file) = &self.password_file else {
            return Ok(settings);
        };
        let password = read_secret_file(file).map_err(|error| {
            InvalidStore::new(format!("password_file: {} {error}", file.display()))
        })?;
        Ok(settings.set_password(password))
    }

    /// What the log calls it.
    pub fn name(&self) -> String {
        let hosts: Vec<_> = self
            .hosts
            .iter()
            .map(|host| format!("{}:{}", host.name, host.port))
            .collect();
        format!("redis {}", hosts.join(","))
    }

    /// The hosts as the client library takes them, with `settings`.
    pub fn infos(&self, settings: &RedisConnectionInfo) -> Vec<ConnectionInfo> {
        let address = |host: &Host| match self.is_encrypted {
            true => ConnectionAddr::TcpTls {
                host: host.name.clone(),
                port: host.port,
                insecure: false,
                tls_params: None,
            },
            false => ConnectionAddr::Tcp(host.name.clone(), host.port),
        };
        let infos = self.hosts.iter().map(|host| {
            let info = address(host).into_connection_info();
            info.map(|info| info.set_redis_settings(settings.clone()))
        });
        // Addresses that were parsed before are valid.
        infos.flatten().collect()
    }
}

impl Parameters {
    fn parse(query: &str) -> Result<Self, InvalidStore> {
        let mut parsed = Self::default();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let is_single = parsed.topology == Topology::Single;
            match (name, value) {
                ("cluster", "true") if is_single => parsed.topology = Topology::Cluster,
                ("cluster", "false") => {}
                ("sentinel", name) if is_single && !name.is_empty() => {
                    parsed.topology = Topology::Sentinel(name.to_owned());
                }
                ("replicas", number) => {
                    parsed.replicas = number
                        .parse()
                        .map_err(|_| InvalidStore::new("replicas: expected a whole number"))?;
                }
                ("password_file", path) => parsed.password_file = Some(path.into()),
                ("cluster" | "sentinel", _) => {
                    return Err(InvalidStore::new(
                        "expected one of cluster=true and sentinel=NAME",
                    ));
                }
                // The value is not shown: it may be a part of a password.
                _ => return Err(InvalidStore::new("unknown parameter of a Redis address")),
            }
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Address {
        Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn host(name: &str, port: u16) -> Host {
        Host {
            name: name.to_owned(),
            port,
        }
    }

    #[test]
    fn an_address_has_its_parts() {
        let address = parse("redis://ann:p%40ss%2Fw@db.internal:7000/3");
        assert_eq!(address.hosts, [host("db.internal", 7000)]);
        assert_eq!(address.topology, Topology::Single);
        assert!(!address.is_encrypted);
        assert_eq!(address.settings.username(), Some("ann"));
        assert_eq!(address.settings.password(), Some("p@ss/w"));
        assert_eq!(address.settings.db(), 3);
        assert_eq!(address.name(), "redis db.internal:7000");
        assert_eq!(parse("rediss://[::1]").hosts, [host("::1", 6379)]);
        assert_eq!(parse("redis://a?replicas=2").replicas, 2);
    }

    #[test]
    fn several_hosts_are_a_cluster_or_sentinels() {
        let cluster = parse("valkeys://:s@a,b:7001?cluster=true");
        assert_eq!(cluster.hosts, [host("a", 6379), host("b", 7001)]);
        assert_eq!(cluster.topology, Topology::Cluster);
        assert_eq!(cluster.settings.password(), Some("s"));
        assert_eq!(cluster.infos(&cluster.settings).len(), 2);
        let sentinel = parse("redis://a,[::1]:7/1?sentinel=primary");
        assert_eq!(sentinel.hosts, [host("a", SENTINEL_PORT), host("::1", 7)]);
        assert_eq!(sentinel.topology, Topology::Sentinel("primary".to_owned()));
        assert_eq!(sentinel.settings.db(), 1);
    }

    #[test]
    fn nonsense_is_refused_without_its_secret() {
        for text in [
            "redis:s3cret",
            "redis://",
            "redis://:s3cret@",
            "http://:s3cret@a",
            "redis://:s3cret@a:port",
            "redis://:s3cret@a/one",
            "redis://:s3cret@a/-1",
            "redis://:s3cret@a,b",
            "redis://:s3cret@a/1?cluster=true",
            "redis://:s3cret@a?cluster=true&replicas=1",
            "redis://:s3cret@a?cluster=true&sentinel=b",
            "redis://:s3cret@a?cluster=maybe",
            "redis://:s3cret@a?sentinel=",
            "redis://:s3cret@a?replicas=all",
            "redis://:s3cret@a?s3cret",
            "redis://:s3cret@a#insecure",
            "redis://:s3cret @a",
            "redis://:s3cret@a?password_file=/etc/hostname",
            "redis://a?password_file=/nowhere",
            "redis://a?password_file=",
            "unix:///s3cret",
        ] {
            let error = Address::parse(text).err().map(|error| error.to_string());
            let error = error.unwrap_or_else(|| panic!("{text} is taken"));
            assert!(!error.contains("s3cret"), "{text}: {error}");
        }
    }
}
