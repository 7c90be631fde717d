//! Property-based tests of the API by schemathesis, which makes requests from the description that the service has of itself:
//! on every runtime and store that can be started here, with and without a token.
//!
//! `tests/schemathesis/` says what it does.

use birthday_tests::client;
use birthday_tests::contract::{Setup, TOKEN};
use birthday_tests::service::{Service, host, root, spin_up};
use libtest_mimic::{Arguments, Failed, Trial};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use test_support::cluster::Cluster;
use test_support::machine::find_program;

/// The time for one service. It takes 20 s on two idle cores.
const PATIENCE: Duration = Duration::from_secs(240);

fn main() {
    let arguments = Arguments::from_args();
    let programs = root().join("target/tools/schemathesis/bin");
    if !programs.join("schemathesis").exists() {
        let trials = vec![skipped("run scripts/install-schemathesis")];
        libtest_mimic::run(&arguments, trials).exit();
    }
    let cluster = Cluster::start(&["fsync=off"]);
    let mut trials = vec![validation(programs.join("openapi-spec-validator"))];
    let spin = find_program("spin");
    for setup in [Setup::Plain, Setup::Token] {
        for store in [Store::Memory, Store::Sqlite, Store::Postgres] {
            let database = (store == Store::Postgres).then(|| database(&cluster, "host", setup));
            trials.push(trial(
                &programs,
                format!("host, {store:?}, {setup:?}"),
                move |state| on_host(store, setup, database, state),
                setup,
            ));
        }
        let Some(spin) = &spin else { continue };
        for store in [Store::Sqlite, Store::Postgres] {
            let database = (store == Store::Postgres).then(|| database(&cluster, "spin", setup));
            let spin = spin.clone();
            trials.push(trial(
                &programs,
                format!("spin, {store:?}, {setup:?}"),
                move |state| on_spin(&spin, setup, database, state),
                setup,
            ));
        }
    }
    if spin.is_none() {
        trials.push(skipped("spin (not on PATH)"));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Before the exit, which does not drop it.
    drop(cluster);
    conclusion.exit();
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Memory,
    Sqlite,
    Postgres,
}

fn skipped(what: &str) -> Trial {
    eprintln!("skipped: {what}");
    Trial::test(what, || Ok(())).with_ignored_flag(true)
}

fn database(cluster: &Cluster, runtime: &str, setup: Setup) -> String {
    let name = format!("{runtime}_{setup:?}").to_lowercase();
    cluster.create_database(&name);
    cluster.address(&name)
}

fn on_host(store: Store, setup: Setup, database: Option<String>, state: &Path) -> Command {
    let mut command = host();
    let key_value = match store {
        Store::Sqlite => format!("sqlite:{}", state.join("birthday.db").display()),
        Store::Memory | Store::Postgres => "memory".to_owned(),
    };
    command.args(["--key-value", &key_value]);
    let variables = setup.variables().iter().copied();
    let database = database.as_deref().map(|address| ("database_url", address));
    for (name, value) in variables.chain(database) {
        command.arg("--variable").arg(format!("{name}={value}"));
    }
    command
}

fn on_spin(spin: &Path, setup: Setup, database: Option<String>, state: &Path) -> Command {
    let mut command = spin_up(spin, state);
    let variables = setup.variables().iter().copied();
    let database = database.as_deref().map(|address| ("database_url", address));
    for (name, value) in variables.chain(database) {
        command.env(format!("SPIN_VARIABLE_{}", name.to_uppercase()), value);
    }
    command
}

/// The service that `command` makes, which gets a folder for its data, passes every check of schemathesis.
fn trial(
    programs: &Path,
    name: String,
    command: impl FnOnce(&Path) -> Command + Send + 'static,
    setup: Setup,
) -> Trial {
    let program = programs.join("schemathesis");
    Trial::test(name.clone(), move || {
        let state = TempDir::with_prefix("birthday-schemathesis-")?;
        let service = Service::start(&mut command(state.path()));
        let folder = root().join("tests/schemathesis");
        let token = if setup == Setup::Token { TOKEN } else { "" };
        let mut schemathesis = Command::new(program);
        schemathesis
            .args(["--no-color", "--config-file"])
            .arg(folder.join("schemathesis.toml"))
            .arg("run")
            // From a file: it does not test the address that it has the description from.
            .arg(description(&service, state.path())?)
            .args(["--url", &service.url])
            .args(["--checks", "all", "--mode", "all"])
            .args(["--phases", "examples,coverage,fuzzing,stateful"])
            .env("SCHEMATHESIS_HOOKS", folder.join("hooks.py"))
            .env("BASE_URL", &service.url)
            .env("API_TOKEN", token)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        if !token.is_empty() {
            schemathesis.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        match run(&mut schemathesis, state.path()) {
            Ok(output) => {
                eprintln!("{name}: {}", summary(&output));
                Ok(())
            }
            Err(output) => Err(format!("{output}\n{}", log(&service)).into()),
        }
    })
}

/// What a service says of itself is OpenAPI 3.1.
fn validation(program: PathBuf) -> Trial {
    Trial::test("the description is valid OpenAPI", move || {
        let state = TempDir::with_prefix("birthday-openapi-")?;
        let service = Service::start(&mut on_host(
            Store::Memory,
            Setup::Plain,
            None,
            state.path(),
        ));
        let mut validator = Command::new(program);
        validator
            .args(["--schema", "3.1"])
            .arg(description(&service, state.path())?);
        run(&mut validator, state.path()).map_err(Failed::from)?;
        Ok(())
    })
}

/// The description of the API as `service` serves it, in a file in `folder`.
fn description(service: &Service, folder: &Path) -> Result<PathBuf, Failed> {
    let description = client::get(&format!("{}/openapi.json", service.url))?;
    let file = folder.join("openapi.json");
    fs::write(&file, description.body)?;
    Ok(file)
}

/// Runs `command` in `folder`, and returns what it has printed; as an error, if it has failed.
///
/// # Panics
/// After [`PATIENCE`].
fn run(command: &mut Command, folder: &Path) -> Result<String, String> {
    let path = folder.join("output");
    let output = File::create(&path).expect("a file can be made there");
    let errors = output.try_clone().expect("a file can have two handles");
    let mut child = command
        .current_dir(folder)
        .stdout(output)
        .stderr(errors)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break Some(status);
        }
        if start.elapsed() > PATIENCE {
            child.kill().expect("it has not ended");
            child.wait().expect("a child can be waited for");
            break None;
        }
        sleep(Duration::from_millis(50));
    };
    let text = fs::read_to_string(path).expect("it was made");
    match status {
        Some(status) if status.success() => Ok(text),
        Some(status) => Err(format!("{text}\n{status}")),
        None => Err(format!("{text}\nnot within {PATIENCE:?}")),
    }
}

/// How many operations and cases, how long, and from which seed.
fn summary(output: &str) -> String {
    let lines = output.lines().map(str::trim);
    let wanted = lines.filter(|line| {
        line.starts_with("Tested: ") || line.starts_with("Seed: ") || line.contains(" generated, ")
    });
    let last = output.lines().last().unwrap_or_default();
    let last = last.trim_matches(|fill| fill == '=' || fill == ' ');
    let parts: Vec<_> = wanted.chain([last]).collect();
    parts.join(", ")
}

/// What the service has logged, without a line for each request.
fn log(service: &Service) -> String {
    let log = service.log();
    let lines = log.lines();
    let lines = lines.filter(|line| !line.contains(r#""target":"access""#));
    lines.collect::<Vec<_>>().join("\n")
}
