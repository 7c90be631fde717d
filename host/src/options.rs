//! Which options there are, and how their values are read. `command_line` reads them, and `configuration` makes of them what
//! the libraries take.

use clap::{Parser, Subcommand, ValueEnum};
use http_component_runtime::Rule;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Serves the birthday API, or any other component of its world, over HTTP.
///
/// Every option has an environment variable; the option on the command line wins. An empty variable counts as not set.
#[derive(Debug, Parser)]
#[command(
    name = "birthday-host",
    version,
    args_conflicts_with_subcommands = true
)]
pub struct Options {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub serve: ServeOptions,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Precompiles a component, so that the host starts without compiling.
    #[cfg(feature = "compiler")]
    Compile {
        /// The component to compile. Default: the one inside this program.
        component: Option<PathBuf>,

        /// Compile for every processor of this target, such as x86_64-unknown-linux-musl (gnu and musl are the same here).
        /// Another architecture needs a host that was built with `--features cross`. Default: for this machine, with all
        /// features of its processor.
        #[arg(long, value_name = "TRIPLE")]
        target: Option<String>,

        /// The file to write, by convention with the ending .cwasm.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Asks a host whether it is ready: exit code 0, or 1. For containers without curl.
    Health {
        /// The URL to ask. Default: /readyz of the admin listener that BIRTHDAY_ADMIN or the default names.
        url: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
pub struct ServeOptions {
    /// The address to listen on; port 0 takes a free port.
    #[arg(
        long,
        env = "BIRTHDAY_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:3000",
        value_parser = address
    )]
    pub listen: SocketAddr,

    /// The address for probes and metrics (/livez, /readyz, /startupz, /metrics), or off.
    #[arg(long, env = "BIRTHDAY_ADMIN", value_name = "ADDR", default_value_t)]
    pub admin: AdminAddress,

    /// The path that answers whether the component is ready, asked with each probe of /readyz. Default: /health, asked until
    /// it has succeeded once, so that an outage of the store leaves the host ready.
    #[arg(
        long,
        env = "BIRTHDAY_READY_PATH",
        value_name = "PATH",
        value_parser = path
    )]
    pub ready_path: Option<String>,

    /// A route template such as /hello/{username}, by which requests are counted; may be repeated. Default: the paths of
    /// the component's /openapi.json. Of those that are given, none streams.
    #[arg(
        long = "route",
        env = "BIRTHDAY_ROUTE",
        value_name = "TEMPLATE",
        value_delimiter = ','
    )]
    pub routes: Vec<String>,

    /// The format of the log. Default: text on a terminal, else json.
    #[arg(long, env = "BIRTHDAY_LOG_FORMAT", value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormatName>,

    /// The number of serving threads. Each has its own connections to Postgres: one, a second while many requests write, and
    /// up to six if some are stalled. Default: one per core.
    #[arg(
        long,
        env = "BIRTHDAY_THREADS",
        value_name = "NUMBER",
        value_parser = positive
    )]
    pub threads: Option<usize>,

    /// The component to serve, a .wasm or a precompiled .cwasm file. Default: the birthday component inside this program, if
    /// it was built with the compiler.
    #[arg(long, env = "BIRTHDAY_COMPONENT", value_name = "FILE")]
    pub component: Option<PathBuf>,

    /// The key-value store: sqlite:PATH; memory, which keeps an eighth of --process-memory at most; dynamodb:TABLE, with
    /// ?region=, &endpoint= and &create=true; redis://HOST, or rediss: for TLS, with ?cluster=true, ?sentinel=NAME, &replicas= and
    /// &password_file=. Give an address with a password by the environment, which other users cannot see.
    #[arg(
        long,
        env = "BIRTHDAY_KEY_VALUE",
        hide_env_values = true,
        value_name = "STORE",
        default_value = "sqlite:birthday.db"
    )]
    pub key_value: String,

    /// A variable of the component; overrides SPIN_VARIABLE_<NAME> and its file of the environment. May be repeated on the command line.
    #[arg(
        long = "variable",
        env = "BIRTHDAY_VARIABLE",
        hide_env_values = true,
        value_name = "NAME=VALUE"
    )]
    pub variables: Vec<String>,

    /// A variable whose value is in a file, such as a mounted secret; overrides SPIN_VARIABLE_<NAME>_FILE of the environment, which
    /// does the same. The end of its line does not count. It is read again when it changes; then new requests have the new value,
    /// as soon as the component is ready with it. May be repeated; commas separate files.
    #[arg(
        long = "variable-file",
        env = "BIRTHDAY_VARIABLE_FILE",
        value_name = "NAME=PATH",
        value_delimiter = ','
    )]
    pub variable_files: Vec<String>,

    /// Where the component may connect to, over HTTP and to Postgres, as Spin's allowed_outbound_hosts: scheme://host:port, each
    /// of which may be *, such as https://*.example.com or postgres://10.0.0.0/8:5432. A name allows its public addresses; others
    /// need a rule with an address or a network. May be repeated; commas separate rules. Default: the servers that database_url
    /// and populate_url name, whatever addresses they have; these are always allowed.
    #[arg(
        long,
        env = "BIRTHDAY_ALLOW_OUTBOUND",
        value_name = "RULE",
        value_delimiter = ','
    )]
    pub allow_outbound: Vec<Rule>,

    /// A PEM file with the certificate authorities to trust for Postgres. Default: the system's.
    #[arg(long, env = "BIRTHDAY_POSTGRES_CA", value_name = "FILE")]
    pub postgres_ca: Option<PathBuf>,

    /// How the host logs in to Postgres: with the password of the address (password), or with a token of AWS IAM for each
    /// connection (aws-iam), for RDS, Aurora, RDS Proxy and Aurora DSQL. The address must not have a password then, and must ask
    /// for sslmode=verify-full. Credentials are looked for as by the SDKs of AWS.
    #[arg(long, env = "BIRTHDAY_POSTGRES_AUTH", value_enum, default_value_t)]
    pub postgres_auth: PostgresAuth,

    /// Whether statements that leave no trace in their session share a few connections (pipelined), or every connection that
    /// the component opens is dedicated to it (exclusive).
    #[arg(long, env = "BIRTHDAY_POSTGRES_SHARING", value_enum, default_value_t)]
    pub postgres_sharing: PostgresSharing,

    /// Whether statements are prepared, or sent without names, for a pooler such as pgbouncer in transaction mode that does not
    /// follow prepared statements. Such a pooler is noticed, too, but only by an error.
    #[arg(
        long,
        env = "BIRTHDAY_POSTGRES_STATEMENTS",
        value_enum,
        default_value_t
    )]
    pub postgres_statements: PostgresStatements,

    /// How long one request may take; then it is answered 504, and its instance is dropped.
    #[arg(
        long,
        env = "BIRTHDAY_REQUEST_TIMEOUT",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = duration
    )]
    pub request_timeout: Duration,

    /// How long a request to a route that streams may take, whatever the length of its body: one with x-streaming in the
    /// component's /openapi.json. A caller that neither sends nor takes anything is cut off sooner.
    #[arg(
        long,
        env = "BIRTHDAY_STREAM_TIMEOUT",
        value_name = "DURATION",
        default_value = "15m",
        value_parser = duration
    )]
    pub stream_timeout: Duration,

    /// The memory to plan with: connections may hold a quarter of it together, request bodies on their way an eighth. Default:
    /// the limit of the container (cgroup), or 1GiB.
    #[arg(
        long,
        env = "BIRTHDAY_PROCESS_MEMORY",
        value_name = "SIZE",
        value_parser = size
    )]
    pub process_memory: Option<u64>,

    /// The most requests in flight; more are answered 503 at once. Default: two for each MiB of --process-memory, but at most
    /// 1024.
    #[arg(
        long,
        env = "BIRTHDAY_MAX_IN_FLIGHT",
        value_name = "NUMBER",
        value_parser = positive
    )]
    pub max_in_flight: Option<usize>,

    /// The memory of one instance of the component.
    #[arg(
        long,
        env = "BIRTHDAY_MEMORY_LIMIT",
        value_name = "SIZE",
        default_value = "64MiB",
        value_parser = size
    )]
    pub memory_limit: u64,

    /// The longest request body; a longer one is answered 413.
    #[arg(
        long,
        env = "BIRTHDAY_MAX_BODY",
        value_name = "SIZE",
        default_value = "1MiB",
        value_parser = size
    )]
    pub max_body: u64,

    /// How long the body of a request may take to arrive; then it is answered 408.
    #[arg(
        long,
        env = "BIRTHDAY_BODY_TIMEOUT",
        value_name = "DURATION",
        default_value = "5s",
        value_parser = duration
    )]
    pub body_timeout: Duration,

    /// How long the head of a request, or a TLS handshake, may take; then the connection is closed.
    #[arg(
        long,
        env = "BIRTHDAY_HEADER_TIMEOUT",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = duration
    )]
    pub header_timeout: Duration,

    /// How long a connection may stay open without a request. Choose it longer than the load balancer's.
    #[arg(
        long,
        env = "BIRTHDAY_IDLE_TIMEOUT",
        value_name = "DURATION",
        default_value = "75s",
        value_parser = duration
    )]
    pub idle_timeout: Duration,

    /// The most open connections. With one more, those that have been idle longest are closed.
    #[arg(
        long,
        env = "BIRTHDAY_MAX_CONNECTIONS",
        value_name = "NUMBER",
        default_value = "8192",
        value_parser = positive
    )]
    pub max_connections: usize,

    /// The most open connections from one address; more are closed at once. Not for a host behind a proxy, which is one
    /// address. Default: no limit.
    #[arg(
        long,
        env = "BIRTHDAY_MAX_CONNECTIONS_PER_ADDRESS",
        value_name = "NUMBER",
        value_parser = positive
    )]
    pub max_connections_per_address: Option<usize>,

    /// How long to accept connections after SIGTERM, while /readyz fails.
    #[arg(
        long,
        env = "BIRTHDAY_DRAIN_DELAY",
        value_name = "DURATION",
        default_value = "0s",
        value_parser = any_duration
    )]
    pub drain_delay: Duration,

    /// How long requests in flight may take to finish after that.
    #[arg(
        long,
        env = "BIRTHDAY_SHUTDOWN_GRACE",
        value_name = "DURATION",
        default_value = "25s",
        value_parser = any_duration
    )]
    pub shutdown_grace: Duration,

    /// A PEM file with the certificate chain to serve HTTPS with; it is read again when it changes.
    #[arg(
        long,
        env = "BIRTHDAY_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,

    /// A PEM file with the private key of the certificate.
    #[arg(
        long,
        env = "BIRTHDAY_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,

    /// A PEM file with the certificate authorities of clients: a client has to show a certificate of one of them, or the TLS
    /// handshake fails. It is read again when it changes. The admin listener has no TLS and asks for none.
    #[arg(
        long,
        env = "BIRTHDAY_TLS_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_client_ca: Option<PathBuf>,
}

/// The address of the admin listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    On(SocketAddr),
    /// There is none, and nothing is counted.
    Off,
}

impl Default for AdminAddress {
    /// Port 9901, where Envoy has its admin listener, too. Prometheus itself listens on 9090.
    fn default() -> Self {
        Self::On(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 9901))
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On(address) => address.fmt(f),
            Self::Off => f.write_str("off"),
        }
    }
}

/// Why a text is no address of an admin listener.
#[derive(Debug, thiserror::Error)]
#[error("expected an address such as 127.0.0.1:9901, or off")]
pub struct InvalidAdminAddress;

impl FromStr for AdminAddress {
    type Err = InvalidAdminAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAdminAddress> {
        match text.parse() {
            Ok(address) => Ok(Self::On(address)),
            Err(_) if text == "off" => Ok(Self::Off),
            Err(_) => Err(InvalidAdminAddress),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormatName {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum PostgresAuth {
    #[default]
    Password,
    AwsIam,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum PostgresStatements {
    #[default]
    Prepared,
    Unnamed,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum PostgresSharing {
    #[default]
    Pipelined,
    Exclusive,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "expected an address such as 127.0.0.1:3000, or 0.0.0.0:3000 for every interface".to_owned()
    })
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

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be greater than 0".to_owned()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("expected a duration such as 500ms, 10s or 1m".to_owned()),
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a whole number greater than 0".to_owned()),
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
    use std::ffi::OsString;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn every_option_has_an_environment_variable_named_like_it() {
        let command = Options::command();
        let options = command
            .get_arguments()
            .filter_map(|argument| Some((argument.get_long()?, argument.get_env())));
        for (long, env) in options.filter(|(long, _)| !matches!(*long, "help" | "version")) {
            let expected = format!("BIRTHDAY_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(env, Some(OsString::from(expected).as_os_str()));
        }
    }

    /// The options of serving as a Markdown table.
    fn table() -> String {
        let mut table = "| option | default | |\n|---|---|---|\n".to_owned();
        for argument in Options::command().get_arguments() {
            let Some(long) = argument
                .get_long()
                .filter(|long| !matches!(*long, "help" | "version"))
            else {
                continue;
            };
            let value = match argument.get_possible_values() {
                values if values.is_empty() => argument.get_value_names().unwrap()[0].to_string(),
                values => {
                    let names: Vec<_> = values.iter().map(|value| value.get_name()).collect();
                    names.join("\\|")
                }
            };
            let default = match argument.get_default_values() {
                [default] => format!("`{}`", default.to_str().unwrap()),
                _ => String::new(),
            };
            let help = argument.get_help().unwrap().to_string().replace('|', "\\|");
            table.push_str(&format!("| `--{long} {value}` | {default} | {help} |\n"));
        }
        table
    }

    /// With `UPDATE_DOCS` set, it writes the page.
    #[test]
    fn the_page_of_options_is_made_from_the_command_line() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/options.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once("<!-- options -->\n").unwrap();
        let (_, after) = rest.split_once("<!-- /options -->").unwrap();
        let expected = format!(
            "{before}<!-- options -->\n{}<!-- /options -->{after}",
            table()
        );
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &expected).unwrap();
        }
        assert!(
            page == expected,
            "run this test once more with UPDATE_DOCS=1"
        );
    }
}
