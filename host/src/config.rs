//! The command line and the environment.

use birthday_host::{
    ConnectionLimits, Https, InvalidRoute, KeyValue, Limits, LogFormat, Postgres, Routes, Sharing,
    Tls, Variables,
};
use clap::error::ErrorKind;
use clap::{Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// Serves the birthday API, or any other component of its world, over HTTP.
///
/// Every option has an environment variable; the option on the command line wins.
#[derive(Debug, Parser)]
#[command(
    name = "birthday-host",
    version,
    args_conflicts_with_subcommands = true
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub serve: Serve,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Precompiles a component, so that it starts at once.
    #[cfg(feature = "compiler")]
    Compile {
        /// The component to compile. Default: the one inside this program.
        component: Option<PathBuf>,

        /// Compile for every processor of this kind, such as x86_64-unknown-linux-musl or aarch64-unknown-linux-musl
        /// (gnu and musl are the same here). Default: for this machine, with all that its processor can do.
        #[arg(long, value_name = "TRIPLE")]
        target: Option<String>,

        /// The file to write, by convention with the ending .cwasm.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Asks a host whether it is ready: exit code 0, or 1. For containers without curl.
    Health {
        /// Where to ask. Default: /readyz of the admin listener, as BIRTHDAY_ADMIN has it or by default.
        url: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
pub struct Serve {
    /// The address to listen on; port 0 takes a free port.
    #[arg(
        long,
        env = "BIRTHDAY_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:3000"
    )]
    pub listen: SocketAddr,

    /// The address for probes and metrics (/livez, /readyz, /startupz, /metrics), or off.
    #[arg(
        long,
        env = "BIRTHDAY_ADMIN",
        value_name = "ADDR",
        default_value_t = AdminAddress::On(DEFAULT_ADMIN),
        value_parser = admin
    )]
    pub admin: AdminAddress,

    /// The path at which the component says whether it is ready.
    #[arg(
        long,
        env = "BIRTHDAY_READY_PATH",
        value_name = "PATH",
        default_value = "/health",
        value_parser = path
    )]
    pub ready_path: String,

    /// A route template such as /hello/{username}, by which requests are counted; may be given more than once.
    /// Default: those of the component's own description, at /openapi.json.
    #[arg(
        long = "route",
        env = "BIRTHDAY_ROUTE",
        value_name = "TEMPLATE",
        value_delimiter = ','
    )]
    routes: Vec<String>,

    /// How lines of the log look: text or json. Default: text on a terminal, else json.
    #[arg(long, env = "BIRTHDAY_LOG_FORMAT", value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormatName>,

    /// How many threads serve, each with connections of its own to Postgres. Default: one per core.
    #[arg(
        long,
        env = "BIRTHDAY_THREADS",
        value_name = "NUMBER",
        value_parser = positive
    )]
    threads: Option<usize>,

    /// The component to serve, a .wasm or a precompiled .cwasm file. Default: the one inside this program, if it
    /// was built with the compiler.
    #[arg(long, env = "BIRTHDAY_COMPONENT", value_name = "FILE")]
    pub component: Option<PathBuf>,

    /// The key-value store: sqlite:PATH, or memory.
    #[arg(
        long,
        env = "BIRTHDAY_KEY_VALUE",
        value_name = "STORE",
        default_value = "sqlite:birthday.db",
        value_parser = key_value
    )]
    key_value: KeyValueStore,

    /// A variable of the component; beats SPIN_VARIABLE_<NAME> of the environment. May be given more than
    /// once, but in the environment.
    #[arg(
        long = "variable",
        env = "BIRTHDAY_VARIABLE",
        hide_env_values = true,
        value_name = "NAME=VALUE"
    )]
    variables: Vec<String>,

    /// A PEM file with the authorities that Postgres servers are trusted by. Default: the system's.
    #[arg(long, env = "BIRTHDAY_POSTGRES_CA", value_name = "FILE")]
    postgres_ca: Option<PathBuf>,

    /// Whether statements that leave no trace in their session share a few pipelined connections, or every
    /// connection that the component opens is its own.
    #[arg(long, env = "BIRTHDAY_POSTGRES_SHARING", value_enum, default_value_t)]
    postgres_sharing: PostgresSharing,

    /// How long one request may take.
    #[arg(
        long,
        env = "BIRTHDAY_REQUEST_TIMEOUT",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = duration
    )]
    request_timeout: Duration,

    /// How many requests may be under way at a time; more are answered 503 at once.
    #[arg(
        long,
        env = "BIRTHDAY_MAX_IN_FLIGHT",
        value_name = "NUMBER",
        default_value = "1024",
        value_parser = positive
    )]
    max_in_flight: usize,

    /// The memory of one instance of the component.
    #[arg(
        long,
        env = "BIRTHDAY_MEMORY_LIMIT",
        value_name = "SIZE",
        default_value = "64MiB",
        value_parser = size
    )]
    memory_limit: u64,

    /// The longest request body that the component gets to see.
    #[arg(
        long,
        env = "BIRTHDAY_MAX_BODY",
        value_name = "SIZE",
        default_value = "1MiB",
        value_parser = size
    )]
    max_body: u64,

    /// How long the body of a request may take.
    #[arg(
        long,
        env = "BIRTHDAY_BODY_TIMEOUT",
        value_name = "DURATION",
        default_value = "5s",
        value_parser = duration
    )]
    body_timeout: Duration,

    /// How long the head of a request may take, or a TLS handshake.
    #[arg(
        long,
        env = "BIRTHDAY_HEADER_TIMEOUT",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = duration
    )]
    header_timeout: Duration,

    /// How long a connection may stay open without a request. Longer than that of the load balancer before it.
    #[arg(
        long,
        env = "BIRTHDAY_IDLE_TIMEOUT",
        value_name = "DURATION",
        default_value = "75s",
        value_parser = duration
    )]
    idle_timeout: Duration,

    /// How many connections may be open at a time; more are closed at once.
    #[arg(
        long,
        env = "BIRTHDAY_MAX_CONNECTIONS",
        value_name = "NUMBER",
        default_value = "8192",
        value_parser = positive
    )]
    max_connections: usize,

    /// How long to go on accepting connections after SIGTERM, while /readyz says that no more should come.
    #[arg(
        long,
        env = "BIRTHDAY_DRAIN_DELAY",
        value_name = "DURATION",
        default_value = "0s",
        value_parser = any_duration
    )]
    pub drain_delay: Duration,

    /// How long requests under way may take to finish after that.
    #[arg(
        long,
        env = "BIRTHDAY_SHUTDOWN_GRACE",
        value_name = "DURATION",
        default_value = "25s",
        value_parser = any_duration
    )]
    pub shutdown_grace: Duration,

    /// Serve HTTPS, with the certificate chain in this PEM file; it is read again when it changes.
    #[arg(
        long,
        env = "BIRTHDAY_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    tls_cert: Option<PathBuf>,

    /// The private key of the certificate, a PEM file.
    #[arg(
        long,
        env = "BIRTHDAY_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,
}

/// Where the admin listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    On(SocketAddr),
    /// There is none, and nothing is counted.
    Off,
}

const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On(address) => address.fmt(f),
            Self::Off => f.write_str("off"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormatName {
    Text,
    Json,
}

/// What the names of variables begin with in the environment, as for Spin.
const PREFIX: &str = "SPIN_VARIABLE_";

#[derive(Clone, Debug)]
enum KeyValueStore {
    Memory,
    Sqlite(PathBuf),
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum PostgresSharing {
    #[default]
    Pipelined,
    Exclusive,
}

/// Why there is nothing to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// A text was asked for in place of work (`--help`, `--version`).
    Asked(String),
    /// One line that says what is wrong with which option.
    Wrong(String),
}

/// Reads the command line and the environment.
///
/// # Errors
/// See [`Stop`].
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, Stop> {
    Arguments::try_parse_from(arguments).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Stop::Asked(error.to_string()),
        _ => Stop::Wrong(one_line(&error.to_string())),
    })
}

/// The first paragraph of clap's message: what follows are hints and the usage.
fn one_line(message: &str) -> String {
    let paragraph = message.trim().split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let line = words.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

impl Serve {
    /// # Errors
    /// One line that names the option.
    pub fn variables(&self) -> Result<Variables, String> {
        let mut environment = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            // To leave one out may mean to leave the door open.
            let value = value.into_string();
            let value = value.map_err(|_| format!("{name}: the value is not Unicode"))?;
            environment.push((name[PREFIX.len()..].to_ascii_lowercase(), value));
        }
        let split = |given: &String| match given.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            // What was given instead may be a secret.
            None => Err("--variable: expected NAME=VALUE".to_owned()),
        };
        // A variable of the environment may be set and empty.
        let given = self.variables.iter().filter(|given| !given.is_empty());
        let given: Vec<_> = given.map(split).collect::<Result<_, _>>()?;
        Variables::new(environment, given).map_err(|error| format!("--variable: {error}"))
    }

    /// # Errors
    /// One line that names the option.
    pub fn key_value(&self) -> Result<KeyValue, String> {
        match &self.key_value {
            KeyValueStore::Memory => Ok(KeyValue::memory()),
            KeyValueStore::Sqlite(path) => {
                KeyValue::sqlite(path).map_err(|error| format!("--key-value: {error}"))
            }
        }
    }

    /// # Errors
    /// One line that names the option.
    pub fn postgres(&self) -> Result<Postgres, String> {
        let tls = match &self.postgres_ca {
            Some(path) => {
                Tls::with_authorities(path).map_err(|error| format!("--postgres-ca: {error}"))?
            }
            None => Tls::default(),
        };
        let sharing = match self.postgres_sharing {
            PostgresSharing::Pipelined => Sharing::Pipelined,
            PostgresSharing::Exclusive => Sharing::Exclusive,
        };
        Ok(Postgres::new(tls, sharing))
    }

    pub fn threads(&self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.unwrap_or_else(cores)
    }

    pub fn limits(&self) -> Limits {
        Limits {
            request_timeout: self.request_timeout,
            max_in_flight: self.max_in_flight,
            memory: usize::try_from(self.memory_limit).unwrap_or(usize::MAX),
            max_body: self.max_body,
            body_timeout: self.body_timeout,
        }
    }

    pub fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            header_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
            // The component may be silent for one, and the caller for the other.
            stall_timeout: self.request_timeout.saturating_add(self.idle_timeout),
            max_connections: self.max_connections,
        }
    }

    /// The routes that were given, if any were.
    ///
    /// # Errors
    /// One line that names the option.
    pub fn routes(&self) -> Result<Option<Routes>, String> {
        // A variable of the environment may be set and empty.
        let given: Vec<_> = self
            .routes
            .iter()
            .filter(|given| !given.is_empty())
            .cloned()
            .collect();
        if given.is_empty() {
            return Ok(None);
        }
        let routes = Routes::new(given);
        let named = |error: InvalidRoute| format!("--route: {error}");
        Ok(Some(routes.map_err(named)?))
    }

    pub fn log_format(&self) -> LogFormat {
        match self.log_format {
            Some(LogFormatName::Text) => LogFormat::Text,
            Some(LogFormatName::Json) => LogFormat::Json,
            None if io::stderr().is_terminal() => LogFormat::Text,
            None => LogFormat::Json,
        }
    }

    /// # Errors
    /// One line that names the option.
    pub fn https(&self) -> Result<Option<Https>, String> {
        let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) else {
            return Ok(None);
        };
        let https = Https::from_files(certificate, key).map_err(|error| error.to_string())?;
        Ok(Some(https))
    }
}

/// Where `health` asks, if it is not told.
///
/// # Errors
/// One line that says why there is nowhere to ask.
pub fn default_health_url() -> Result<String, String> {
    let address = match std::env::var("BIRTHDAY_ADMIN") {
        Ok(address) => admin(&address).map_err(|error| format!("BIRTHDAY_ADMIN: {error}"))?,
        Err(_) => AdminAddress::On(DEFAULT_ADMIN),
    };
    match address {
        AdminAddress::On(mut address) => {
            // Where it listens on every address, it does on that of this machine for itself.
            if address.ip().is_unspecified() {
                address.set_ip(match address.ip() {
                    IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                    IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                });
            }
            Ok(format!("http://{address}/readyz"))
        }
        AdminAddress::Off => Err("BIRTHDAY_ADMIN: there is no admin listener to ask".to_owned()),
    }
}

fn admin(text: &str) -> Result<AdminAddress, String> {
    match text.parse() {
        Ok(address) => Ok(AdminAddress::On(address)),
        Err(_) if text == "off" => Ok(AdminAddress::Off),
        Err(_) => Err("expected an address such as 127.0.0.1:9090, or off".to_owned()),
    }
}

fn path(text: &str) -> Result<String, String> {
    match text.parse::<http::Uri>() {
        Ok(uri) if text.starts_with('/') && uri.authority().is_none() => Ok(text.to_owned()),
        _ => Err("expected a path such as /health".to_owned()),
    }
}

fn any_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "expected a duration such as 0s, 500ms or 10s".to_owned())
}

fn key_value(text: &str) -> Result<KeyValueStore, String> {
    match text.split_once(':') {
        None if text == "memory" => Ok(KeyValueStore::Memory),
        // Every connection would have a memory of its own.
        Some(("sqlite", ":memory:")) => Err("for data in memory say memory".to_owned()),
        Some(("sqlite", path)) if !path.is_empty() => Ok(KeyValueStore::Sqlite(path.into())),
        _ => Err("expected sqlite:PATH or memory".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be longer than nothing".to_owned()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("expected a duration such as 500ms, 10s or 1m".to_owned()),
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a whole number from 1 on".to_owned()),
    }
}

fn size(text: &str) -> Result<u64, String> {
    match parse_size::parse_size(text) {
        Ok(size) if size > 0 => Ok(size),
        _ => Err("expected a size such as 64KiB, 10MB or 1GiB".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    fn parse_line(line: &str) -> Result<Arguments, Stop> {
        parse(
            format!("birthday-host {line}")
                .split(' ')
                .map(OsString::from),
        )
    }

    #[track_caller]
    fn check_refused(line: &str, message: &str) {
        assert_eq!(
            parse_line(line).unwrap_err(),
            Stop::Wrong(message.to_owned())
        );
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        check_refused("--nonsense", "unexpected argument '--nonsense' found");
        check_refused(
            "--listen here",
            "invalid value 'here' for '--listen <ADDR>': invalid socket address syntax",
        );
        check_refused(
            "--key-value redis:x",
            "invalid value 'redis:x' for '--key-value <STORE>': expected sqlite:PATH or memory",
        );
        check_refused(
            "--request-timeout 0s",
            "invalid value '0s' for '--request-timeout <DURATION>': must be longer than nothing",
        );
        check_refused(
            "--memory-limit much",
            "invalid value 'much' for '--memory-limit <SIZE>': expected a size such as 64KiB, 10MB or 1GiB",
        );
    }

    #[test]
    fn every_option_has_an_environment_variable_named_like_it() {
        let command = Arguments::command();
        let options = command
            .get_arguments()
            .filter_map(|argument| Some((argument.get_long()?, argument.get_env())));
        for (long, env) in options.filter(|(long, _)| !matches!(*long, "help" | "version")) {
            let expected = format!("BIRTHDAY_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(env, Some(OsString::from(expected).as_os_str()));
        }
    }
}
