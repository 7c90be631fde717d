//! Where the variables of the component come from: options, the environment, and files, which are read again when they change.

use crate::command_line::bad_option;
use crate::options::ServeOptions;
use http_component_runtime::{App, CheckError, InvalidName, Variables, read_secret_file};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// The names of variables begin with this in the environment, as for Spin.
const PREFIX: &str = "SPIN_VARIABLE_";

/// A name that ends so names the file of a variable.
const FILE: &str = "_file";

/// How often the files are read. Their content is compared, not their times: Kubernetes swaps a link when a Secret changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long the component may take to say whether it can work with new values.
const TRIAL_PATIENCE: Duration = Duration::from_secs(2);

/// For so long values that the component cannot work with are tried again, while it works with those that it has: a password may
/// be in its file before the database knows it.
const MAX_TRIAL: Duration = Duration::from_secs(60);

/// Values by name.
type Values = BTreeMap<String, String>;

/// Where each variable comes from.
pub struct Sources {
    environment: Values,
    given: Values,
    files: BTreeMap<String, PathBuf>,
}

impl Sources {
    /// # Errors
    /// If a value is not Unicode, a name is invalid, or a variable has both a value and a file.
    pub fn new(options: &ServeOptions) -> anyhow::Result<Self> {
        let (mut environment, mut files) = from_environment()?;
        let given = pairs("--variable", "NAME=VALUE", &options.variables)?;
        let given_files = pairs("--variable-file", "NAME=PATH", &options.variable_files)?;
        for (name, path) in given_files {
            if given.contains_key(&name) {
                let reason = format!("{name} is given by --variable, too");
                return Err(bad_option("--variable-file", reason));
            }
            check_name(&name).map_err(|error| bad_option("--variable-file", error))?;
            environment.remove(&name);
            files.insert(name, path.into());
        }
        files.retain(|name, _| !given.contains_key(name));
        Ok(Self {
            environment,
            given,
            files,
        })
    }

    /// What the files have.
    ///
    /// # Errors
    /// One line that names the variable, and never shows a value.
    pub fn read_files(&self) -> Result<Values, String> {
        let read = |(name, path): (&String, &PathBuf)| {
            let value = read_secret_file(path);
            let value = value.map_err(|reason| format!("{name}: {} {reason}", path.display()))?;
            Ok((name.clone(), value))
        };
        self.files.iter().map(read).collect()
    }

    /// All variables, those of files with the values `in_files`.
    ///
    /// # Errors
    /// If a name is invalid.
    pub fn variables(&self, in_files: &Values) -> anyhow::Result<Variables> {
        let given = self.given.iter().chain(in_files);
        let owned = |(name, value): (&String, &String)| (name.clone(), value.clone());
        let environment = self.environment.iter().map(owned);
        Variables::new(environment, given.map(owned))
            .map_err(|error| bad_option("--variable", error))
    }
}

/// Values and files of variables.
///
/// # Errors
/// If a value is not Unicode, the name of a file's variable is invalid, or a variable has both.
fn from_environment() -> anyhow::Result<(Values, BTreeMap<String, PathBuf>)> {
    let (mut values, mut files) = (Values::new(), BTreeMap::new());
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        let name = name.to_ascii_lowercase();
        match name.strip_suffix(FILE) {
            Some(_) if value.is_empty() => {}
            Some(name) => {
                files.insert(name.to_owned(), value.into());
            }
            None => {
                // Not left out, because a service without its token would be open to everybody.
                let value = value.into_string();
                let option = || format!("{PREFIX}{}", name.to_ascii_uppercase());
                let value = value.map_err(|_| bad_option(&option(), "the value is not Unicode"))?;
                values.insert(name, value);
            }
        }
    }
    for name in files.keys() {
        check_name(name).map_err(|error| bad_option(&file_variable(name), error))?;
    }
    let in_both = |name: &&String| values.get(*name).is_some_and(|value| !value.is_empty());
    if let Some(name) = files.keys().find(in_both) {
        return Err(bad_option(
            &file_variable(name),
            "the variable has a value, too",
        ));
    }
    Ok((values, files))
}

fn file_variable(name: &str) -> String {
    format!("{PREFIX}{}_FILE", name.to_ascii_uppercase())
}

/// Before values are read, so that the error names where the name is from.
fn check_name(name: &str) -> Result<(), InvalidName> {
    Variables::new([], [(name.to_owned(), String::new())]).map(drop)
}

fn pairs(option: &str, expected: &str, given: &[String]) -> anyhow::Result<Values> {
    let split = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        // The text is not shown, because it may be a secret.
        None => Err(bad_option(option, format!("expected {expected}"))),
    };
    given.iter().map(split).collect()
}

/// Gives `app` what the files of `sources` have, whenever that is not `values` any more; for ever.
pub async fn follow_files(
    sources: &Sources,
    values: Values,
    app: &App,
    options: &ServeOptions,
) -> Infallible {
    if sources.files.is_empty() {
        return pending().await;
    }
    let mut follower = Follower {
        sources,
        app,
        options,
        ready_path: options.readiness().0,
        values,
        trial: None,
        complaint: String::new(),
    };
    loop {
        sleep(CHECK_INTERVAL).await;
        follower.look().await;
    }
}

struct Follower<'a> {
    sources: &'a Sources,
    app: &'a App,
    options: &'a ServeOptions,
    ready_path: String,
    /// Those in use.
    values: Values,
    /// New ones, which are not used yet.
    trial: Option<Trial>,
    /// What was logged last.
    complaint: String,
}

struct Trial {
    values: Values,
    variables: Variables,
    app: App,
    began: Instant,
}

impl Follower<'_> {
    async fn look(&mut self) {
        let looked = match self.sources.read_files() {
            Ok(values) if values == self.values => {
                self.trial = None;
                Ok(())
            }
            Ok(values) => self.take(values).await,
            Err(reason) => Err(reason),
        };
        match looked {
            Ok(()) => self.complaint.clear(),
            Err(reason) if reason != self.complaint => {
                tracing::warn!("the variables in use stay: {reason}");
                self.complaint = reason;
            }
            Err(_) => {}
        }
    }

    /// Uses `values`, if the component can work with them, or no longer works with those that it has.
    ///
    /// # Errors
    /// Why they are not used, or not yet.
    async fn take(&mut self, values: Values) -> Result<(), String> {
        if self
            .trial
            .as_ref()
            .is_none_or(|trial| trial.values != values)
        {
            self.trial = Some(
                self.begin_trial(values)
                    .map_err(|error| error.to_string())?,
            );
        }
        let Some(trial) = &self.trial else {
            return Ok(());
        };
        let changed = trial.changed(&self.values);
        let checked = trial.app.check(&self.ready_path, TRIAL_PATIENCE).await;
        if let Err(CheckError::Misconfigured(reason) | CheckError::Start(reason)) = checked {
            return Err(reason);
        }
        if !self.is_ready(&trial.app).await
            && trial.began.elapsed() < MAX_TRIAL
            && self.is_ready(self.app).await
        {
            return Err(format!("{} fails with the new {changed}", self.ready_path));
        }
        let egress = self.options.egress(&trial.variables);
        self.app.replace_settings(trial.variables.clone(), egress);
        tracing::info!("read again: {changed}");
        if let Some(trial) = self.trial.take() {
            self.values = trial.values;
        }
        Ok(())
    }

    fn begin_trial(&self, values: Values) -> anyhow::Result<Trial> {
        let variables = self.sources.variables(&values)?;
        let egress = self.options.egress(&variables);
        Ok(Trial {
            app: self.app.with_settings(variables.clone(), egress)?,
            values,
            variables,
            began: Instant::now(),
        })
    }

    async fn is_ready(&self, app: &App) -> bool {
        let answer = app.get(&self.ready_path, TRIAL_PATIENCE).await;
        answer.is_some_and(|answer| answer.status().is_success())
    }
}

impl Trial {
    /// The names of what is another than in `values`.
    fn changed(&self, values: &Values) -> String {
        let is_changed = |(name, value): &(&String, &String)| values.get(*name) != Some(*value);
        let names: Vec<_> = self.values.iter().filter(is_changed).collect();
        let names: Vec<_> = names.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    }
}
