//! What the environment of the function sets, by the names that the host's options have.

mod bucket;
mod environment;
mod stores;

pub use bucket::{BucketSettings, is_key};

use anyhow::bail;
use environment::{Environment, VARIABLE};
use http_component_runtime::{Egress, KeyValue, Limits, Postgres, Variables};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A variable whose name ends so is in a file, for the host.
const FILE: &str = "_file";

/// The token of the owner.
const API_TOKEN: &str = "api_token";

/// The folder of the function's files, and the component in it.
const TASK_ROOT: &str = "LAMBDA_TASK_ROOT";
const PRECOMPILED: &str = "birthday.cwasm";

/// The memory of the function in MB, and where it is not known. An eighth is for answers of a database, and the half for
/// instances.
const MEMORY: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
const DEFAULT_MEMORY: usize = 128;

/// How long a request may take, and how long one to a store over the network, at most, as for the host.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// All settings of a function.
pub struct Settings {
    pub component: PathBuf,
    pub variables: Variables,
    pub key_value: Option<KeyValue>,
    pub egress: Egress,
    pub postgres: Postgres,
    pub limits: Limits,
    pub base_path: Option<String>,
    pub streaming: Streaming,
    pub bucket: Option<BucketSettings>,
}

/// Whose answers are streamed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streaming {
    /// Those to the URL of the function.
    pub function_url: bool,
    /// Those to a REST API.
    pub rest_api: bool,
}

impl Settings {
    /// Reads the environment of this process. Connections name the application `name`.
    ///
    /// # Errors
    /// If a setting is wrong, has no effect in a function, or is missing: one line, without a value that may be a secret.
    pub fn from_environment(name: &str) -> anyhow::Result<Self> {
        let mut environment = Environment::read(std::env::vars_os())?;
        let environment = &mut environment;
        let variables = variables(environment)?;
        let request_timeout = environment.duration("BIRTHDAY_REQUEST_TIMEOUT")?;
        let request_timeout = request_timeout.unwrap_or(REQUEST_TIMEOUT);
        let store_timeout = MAX_STORE_TIMEOUT.min(request_timeout / 2);
        let memory = memory(environment);
        let settings = Self {
            component: component(environment),
            key_value: environment.key_value(&variables, store_timeout)?,
            egress: environment.egress(&variables)?,
            postgres: environment.postgres(name, memory / 8)?,
            limits: Limits {
                request_timeout,
                all_memory: memory / 2,
                waiting_memory: memory / 4,
                ..Limits::default()
            },
            base_path: base_path(environment)?,
            streaming: Streaming::read(environment)?,
            bucket: BucketSettings::read(environment)?,
            variables,
        };
        environment.expect_no_more()?;
        Ok(settings)
    }

    /// The token of the owner, if the service has one.
    pub fn api_token(&self) -> Option<&str> {
        self.variables.value(API_TOKEN)
    }
}

impl Streaming {
    fn read(environment: &mut Environment) -> anyhow::Result<Self> {
        const NAME: &str = "BIRTHDAY_STREAM_ANSWERS";
        let mut streaming = Self::default();
        let given = environment.take(NAME).unwrap_or_default();
        for caller in given.split(',').filter(|caller| !caller.is_empty()) {
            match caller {
                "function-url" => streaming.function_url = true,
                "rest-api" => streaming.rest_api = true,
                _ => bail!("{NAME}: expected function-url, rest-api, or both with a comma"),
            }
        }
        Ok(streaming)
    }
}

fn variables(environment: &Environment) -> anyhow::Result<Variables> {
    let mut given = Vec::new();
    for (suffix, value) in environment.variables() {
        let name = suffix.to_ascii_lowercase();
        if name.ends_with(FILE) {
            bail!(
                "{VARIABLE}{suffix}: a function has no files of secrets; set the variable itself"
            );
        }
        given.push((name, value.to_owned()));
    }
    Ok(Variables::new(given, [])?)
}

fn component(environment: &mut Environment) -> PathBuf {
    match environment.take("BIRTHDAY_COMPONENT") {
        Some(path) => path.into(),
        None => Path::new(environment.get(TASK_ROOT).unwrap_or_default()).join(PRECOMPILED),
    }
}

/// The memory of the function in bytes.
fn memory(environment: &Environment) -> usize {
    let megabytes = environment.get(MEMORY).and_then(|text| text.parse().ok());
    let megabytes: usize = megabytes.unwrap_or(DEFAULT_MEMORY);
    megabytes.saturating_mul(1024 * 1024)
}

fn base_path(environment: &mut Environment) -> anyhow::Result<Option<String>> {
    const NAME: &str = "BIRTHDAY_BASE_PATH";
    match environment.take(NAME) {
        Some(path) if !path.starts_with('/') || path.ends_with('/') => {
            bail!("{NAME}: expected a path such as /v1")
        }
        path => Ok(path),
    }
}
