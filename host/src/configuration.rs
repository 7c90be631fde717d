//! What the libraries take, made of the options.

use crate::command_line::bad_option;
use crate::key_value;
use crate::memory;
use crate::options::{
    LogFormatName, PostgresAuth, PostgresSharing, PostgresStatements, ServeOptions,
};
use anyhow::bail;
use http_component_runtime::postgres::{
    self, PasswordSource, Sharing, Statements, Tls as PostgresTls,
};
use http_component_runtime::{
    ConnectionLimits, Egress, KeyValue, Limits, LogFormat, Postgres, Readiness, Route, Routes,
    Rule, Tls, TlsError, Variables,
};
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

/// How many eighths of the memory of the process are for what: connections, request bodies on their way, instances, and a
/// key-value store in memory or large answers of a database, of which a component hardly uses both. The last eighth is for what
/// does not depend on callers.
const CONNECTIONS: usize = 2;
const WAITING_BODIES: usize = 1;
const INSTANCES: usize = 3;
const STORE: usize = 1;
const ANSWERS: usize = 1;

/// For each so much of the memory of the process there may be a request in flight, with 192 KiB of what is for instances. An
/// instance of the birthday component that waits for Postgres takes 215 kB, measured with 500 of them; what is missing is part
/// of the last eighth.
const REQUEST_MEMORY: usize = 512 * 1024;

/// Requests in flight for which memory is planned: more would only wait for the same few connections to a database.
const MAX_IN_FLIGHT: usize = 1024;

/// The most time for an operation of a key-value store over the network; half of that of a request, if this is less, so that
/// the caller is told that the store does not answer.
const MAX_STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the birthday component says whether it can work.
const READY_PATH: &str = "/health";

/// The variables that name servers for the component to connect to.
const DATABASE_URL: &str = "database_url";
const POPULATE_URL: &str = "populate_url";

/// A size in bytes, as far as addresses reach.
fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(feature = "aws-iam")]
fn iam_tokens() -> anyhow::Result<PasswordSource> {
    Ok(crate::aws_iam::tokens())
}

#[cfg(not(feature = "aws-iam"))]
fn iam_tokens() -> anyhow::Result<PasswordSource> {
    Err(bad_option(
        "--postgres-auth",
        "this host was built without aws-iam",
    ))
}

impl ServeOptions {
    /// Where the component may connect to: what its settings name, and what is given.
    pub fn egress(&self, variables: &Variables) -> Egress {
        let mut rules = self.allow_outbound.clone();
        if let Some(address) = variables.value(DATABASE_URL) {
            rules.extend(postgres::rules(address));
        }
        if let Some(url) = variables.value(POPULATE_URL) {
            rules.extend(Rule::trusting_server_of(url));
        }
        Egress::new(rules)
    }

    /// # Errors
    /// If it is no address of a store, or a file cannot be opened.
    pub fn key_value(&self) -> anyhow::Result<KeyValue> {
        let memory = self.eighths(STORE);
        let timeout = MAX_STORE_TIMEOUT.min(self.request_timeout / 2);
        // The address is not shown, because it may have a password.
        key_value::open(&self.key_value, memory, timeout)
            .map_err(|reason| bad_option("--key-value", reason))
    }

    /// Connections that tell the server `application_name`.
    ///
    /// # Errors
    /// If the file of authorities cannot be used, or this host cannot log in so.
    pub fn postgres(&self, application_name: &str) -> anyhow::Result<Postgres> {
        let tls = match &self.postgres_ca {
            Some(path) => PostgresTls::with_authorities(path)
                .map_err(|error| bad_option("--postgres-ca", error))?,
            None => PostgresTls::default(),
        };
        let sharing = match self.postgres_sharing {
            PostgresSharing::Pipelined => Sharing::Pipelined,
            PostgresSharing::Exclusive => Sharing::Exclusive,
        };
        let statements = match self.postgres_statements {
            PostgresStatements::Prepared => Statements::Prepared,
            PostgresStatements::Unnamed => Statements::Unnamed,
        };
        let passwords = match self.postgres_auth {
            PostgresAuth::Password => None,
            PostgresAuth::AwsIam => Some(iam_tokens()?),
        };
        Ok(Postgres::new(postgres::Options {
            tls,
            sharing,
            statements,
            application_name: application_name.to_owned(),
            answer_memory: self.eighths(ANSWERS),
            passwords,
            ..postgres::Options::default()
        }))
    }

    pub fn threads(&self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.unwrap_or_else(cores)
    }

    /// Where the component says whether it is ready, and when it is asked.
    pub fn readiness(&self) -> (String, Readiness) {
        match &self.ready_path {
            Some(path) => (path.clone(), Readiness::Always),
            None => (READY_PATH.to_owned(), Readiness::Once),
        }
    }

    /// The memory to plan with, in bytes.
    fn process_memory(&self) -> usize {
        in_memory(self.process_memory.unwrap_or_else(memory::limit))
    }

    /// So many eighths of it.
    fn eighths(&self, count: usize) -> usize {
        self.process_memory() / 8 * count
    }

    /// # Errors
    /// If no instance fits into the address space.
    fn max_in_flight(&self) -> anyhow::Result<usize> {
        let max = || (self.process_memory() / REQUEST_MEMORY).clamp(1, MAX_IN_FLIGHT);
        let max = self.max_in_flight.unwrap_or_else(max);
        let Some(instances) = memory::max_instances() else {
            return Ok(max);
        };
        // Each thread keeps as many idle instances as there were requests in flight, and that of the admin listener keeps one.
        let fitting = in_memory(instances.saturating_sub(1)) / self.threads();
        if fitting == 0 {
            bail!(
                "the address space is limited (ulimit -v), and has room for {instances} instances of the component: \
                 {} are needed; allow more, or fewer --threads",
                self.threads() + 1
            );
        }
        if fitting < max {
            tracing::warn!(
                "the address space is limited (ulimit -v): it has room for {fitting} requests in flight"
            );
        }
        Ok(max.min(fitting))
    }

    /// # Errors
    /// If no instance fits into the address space.
    pub fn limits(&self) -> anyhow::Result<Limits> {
        Ok(Limits {
            request_timeout: self.request_timeout,
            stream_timeout: self.stream_timeout,
            max_in_flight: self.max_in_flight()?,
            memory: in_memory(self.memory_limit),
            all_memory: self.eighths(INSTANCES),
            waiting_memory: self.eighths(WAITING_BODIES),
            max_body: self.max_body,
            body_timeout: self.body_timeout,
        })
    }

    pub fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            header_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
            // First the component may be silent, then the client.
            stall_timeout: self.request_timeout.saturating_add(self.idle_timeout),
            max_connections: self.max_connections,
            max_connections_per_address: self.max_connections_per_address,
            memory: self.eighths(CONNECTIONS),
        }
    }

    /// The routes that were given, if any were.
    ///
    /// # Errors
    /// If one of them is no template.
    pub fn routes(&self) -> anyhow::Result<Option<Routes>> {
        if self.routes.is_empty() {
            return Ok(None);
        }
        let given = self.routes.iter().map(|template| Route {
            template: template.clone(),
            streams: false,
        });
        let routes = Routes::new(given).map_err(|error| bad_option("--route", error))?;
        Ok(Some(routes))
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
    /// If the files cannot be used.
    pub fn tls(&self) -> anyhow::Result<Option<Tls>> {
        let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) else {
            return Ok(None);
        };
        let tls = Tls::from_files(certificate, key).map_err(|error| {
            let option = match error {
                TlsError::CertificateFile { .. } | TlsError::NoCertificate { .. } => "--tls-cert",
                // Also where they do not belong together.
                _ => "--tls-key",
            };
            bad_option(option, error)
        })?;
        let Some(authorities) = &self.tls_client_ca else {
            return Ok(Some(tls));
        };
        let tls = tls.with_client_authorities(authorities);
        tls.map(Some)
            .map_err(|error| bad_option("--tls-client-ca", error))
    }
}
