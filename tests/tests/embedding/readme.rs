//! The commands of a README, and what it says that they print.

use crate::examples::Example;
use birthday_tests::service::{Service, root};
use std::fs;
use std::process::{Command, Stdio};
use test_support::cluster::Cluster;
use test_support::machine::free_port;

/// The addresses that READMEs serve at. Other programs may have them where the tests run.
const ADDRESSES: [&str; 2] = ["127.0.0.1:3000", "127.0.0.1:3001"];

/// The database in every README that has one.
const DATABASE: &str = "postgres://postgres@127.0.0.1:5432/postgres";

/// A line of a console block that begins with `$ `, and the lines below it.
struct Step {
    command: String,
    output: String,
}

/// Runs all commands of the README of `example`, or of its section, in their order, at the root of the repository, with addresses and a database
/// of the test's own. Returns the last of those that serve, which goes on.
///
/// # Errors
/// The first command that failed or printed something else than the README says.
pub fn run(example: &Example, cluster: &Cluster) -> Result<Option<Service>, String> {
    let path = root()
        .join("examples")
        .join(example.folder)
        .join("README.md");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut text = section(&text, example.section)?.to_owned();
    for address in ADDRESSES {
        text = text.replace(address, &format!("127.0.0.1:{}", free_port()));
    }
    text = text.replace(DATABASE, &cluster.address("postgres"));
    let mut service = None;
    for Step { command, output } in steps(&text) {
        eprintln!("{}: {command}", example.folder);
        if example.serves.iter().any(|text| command.contains(text)) {
            // The one before has to give its address free first.
            drop(service.take());
            service = Some(Service::start(&mut shell(&format!("exec {command} 2>&1"))));
            continue;
        }
        let run = shell(&command).stdin(Stdio::null()).output();
        let run = run.map_err(|error| format!("{command}: {error}"))?;
        let printed = String::from_utf8_lossy(&run.stdout);
        let is_as_said = output.is_empty() || printed.trim_end() == output.trim_end();
        if !run.status.success() || !is_as_said {
            let errors = String::from_utf8_lossy(&run.stderr);
            let status = run.status;
            return Err(format!(
                "{command}\n{status}, printed:\n{printed}\ninstead of:\n{output}\n{errors}"
            ));
        }
    }
    Ok(service)
}

/// What is under the heading `title` in `text`; all of it if there is no title.
fn section<'a>(text: &'a str, title: &str) -> Result<&'a str, String> {
    if title.is_empty() {
        return Ok(text);
    }
    let found = text
        .split("\n## ")
        .find_map(|part| part.strip_prefix(title));
    found.ok_or_else(|| format!("there is no section {title:?}"))
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("bash");
    shell
        .args(["-o", "errexit", "-o", "pipefail", "-c", command])
        .current_dir(root())
        // A newcomer builds into the folder `target`.
        .env_remove("CARGO_TARGET_DIR");
    shell
}

/// The commands in the console blocks of `text`. A command goes on after a backslash at the end of its line.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut is_console, mut goes_on) = (false, false);
    for line in text.lines() {
        if line.starts_with("```") {
            is_console = line == "```console";
            continue;
        }
        if !is_console || line.starts_with('#') {
            continue;
        }
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => {
                steps.push(Step {
                    command: command.to_owned(),
                    output: String::new(),
                });
            }
            (None, Some(step)) if goes_on => {
                step.command.push('\n');
                step.command.push_str(line);
            }
            (None, Some(step)) => {
                step.output.push_str(line);
                step.output.push('\n');
            }
            (None, None) => panic!("a console block begins with {line:?}"),
        }
        goes_on = line.ends_with('\\');
    }
    steps
}
