//! The examples of `examples/`, each run by the commands of its README alone; and the contract suite against those that serve the
//! whole API.
//!
//! An example whose programs are not there is skipped. `make test-embedding` installs them.
#![expect(
    clippy::unwrap_used,
    reason = "in a test, what is not there is a failure"
)]

mod examples;
mod readme;

use birthday_tests::contract::{self, Setup};
use birthday_tests::service::{Service, root};
use examples::{EXAMPLES, Example};
use libtest_mimic::{Arguments, Failed, Trial};
use memchr::memmem;
use std::fs;
use std::path::Path;
use test_support::cluster::Cluster;
use test_support::machine::find_program;

fn main() {
    let arguments = Arguments::from_args();
    // So that one example can be run, or left out: `cargo test --test embedding -- axum`, `-- --skip axum`.
    let is_wanted = |example: &&Example| {
        let is_in = |text: &String| text.contains(example.folder);
        arguments.filter.as_ref().is_none_or(is_in) && !arguments.skip.iter().any(is_in)
    };
    let mut trials = Vec::new();
    let mut services = Vec::new();
    let cluster = Cluster::start(&["fsync=off"]);
    for example in EXAMPLES.iter().filter(is_wanted) {
        trials.extend(trials_of(example, &cluster, &mut services));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Before the exit, which does not drop them.
    drop(services);
    drop(cluster);
    conclusion.exit();
}

/// Runs the commands of `example`, and returns what can be said of it. What it serves goes on in `services`.
fn trials_of(example: &Example, cluster: &Cluster, services: &mut Vec<Service>) -> Vec<Trial> {
    let Example {
        folder, section, ..
    } = example;
    if let Some(program) = example.needs.iter().find(|program| !is_there(program)) {
        let skipped = format!("{folder} ({program} is not on PATH)");
        eprintln!("skipped: {skipped}");
        return vec![Trial::test(skipped, || Ok(())).with_ignored_flag(true)];
    }
    let part = match section.is_empty() {
        true => "its README".to_owned(),
        false => format!("its README, {section},"),
    };
    let name = format!("{folder}: every command of {part} does what it says");
    let service = match readme::run(example, cluster) {
        Ok(service) => service,
        Err(reason) => return vec![Trial::test(name, || Err(Failed::from(reason)))],
    };
    let mut trials = vec![Trial::test(name, || Ok(()))];
    trials.extend(example.composes.iter().map(|file| {
        let name = format!("{folder}: birthday.wasm is in {file} as it is");
        Trial::test(name, move || has_component(&root().join(file)))
    }));
    if let Some(service) = service {
        if example.has_contract {
            let rows = contract::trials(folder, Setup::Plain, &service.url);
            trials.extend(rows.into_iter().map(|row| without_exceptions(example, row)));
        }
        services.push(service);
    }
    trials
}

/// Whether the bytes of `birthday.wasm` are in the file at `composition`.
fn has_component(composition: &Path) -> Result<(), Failed> {
    let component = fs::read(root().join("target/wasm32-wasip2/component/birthday.wasm"))?;
    let composition = fs::read(composition)?;
    match memmem::find(&composition, &component) {
        Some(_) => Ok(()),
        None => Err("its bytes are not there".into()),
    }
}

fn is_there(program: &str) -> bool {
    find_program(program).is_some()
}

/// `row`, printed as skipped if the host of `example` cannot have it.
fn without_exceptions(example: &Example, row: Trial) -> Trial {
    let (_, claim) = row.name().split_once(": ").unwrap();
    let exception = example.exceptions.iter().find(|(name, _)| *name == claim);
    let Some((_, reason)) = exception else {
        return row;
    };
    let name = format!("{} ({reason})", row.name());
    eprintln!("skipped: {name}");
    Trial::test(name, || Ok(())).with_ignored_flag(true)
}
