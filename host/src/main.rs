//! The program: reads its configuration, and does what it says.

mod config;
mod serve;
mod workers;

#[cfg(feature = "compiler")]
use birthday_host::engine::{self, Compiler};
use config::{Arguments, Command, Stop};
use std::io::{self, Write};
#[cfg(feature = "compiler")]
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// In place of the C library's own: with that of musl a request takes a third more CPU.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit codes: as in sysexits.h if the configuration is wrong, 1 if something else is.
const EX_USAGE: u8 = 64;
const EX_FAILURE: u8 = 1;

/// How long `health` waits.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the program ends.
enum Failure {
    Configuration(String),
    Other(String),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let (code, line) = match failure {
                Failure::Configuration(line) => (EX_USAGE, line),
                Failure::Other(line) => (EX_FAILURE, line),
            };
            eprintln!("birthday-host: {line}");
            ExitCode::from(code)
        }
    }
}

fn run() -> Result<(), Failure> {
    let Arguments { command, serve } = match config::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(Stop::Asked(text)) => {
            // Nobody is left to be told if standard output is closed.
            let _ = write!(io::stdout(), "{text}");
            return Ok(());
        }
        Err(Stop::Wrong(line)) => return Err(Failure::Configuration(line)),
    };
    match command {
        None => serve::until_stopped(&serve),
        Some(Command::Health { url }) => health(url),
        #[cfg(feature = "compiler")]
        Some(Command::Compile {
            component,
            target,
            output,
        }) => compile(component.as_deref(), target.as_deref(), &output),
    }
}

/// Precompiles a component.
#[cfg(feature = "compiler")]
fn compile(component: Option<&Path>, target: Option<&str>, output: &Path) -> Result<(), Failure> {
    let compiler = match target {
        Some(target) => Compiler::for_baseline(target),
        None => Compiler::for_this_machine(),
    };
    let compiler =
        compiler.map_err(|error| Failure::Configuration(format!("--target: {error}")))?;
    let compiled = match component {
        Some(path) => engine::read(path).and_then(|bytes| compiler.compile(&bytes)),
        None => compiler.compile(birthday_host::COMPONENT),
    };
    let compiled =
        compiled.map_err(|error| Failure::Configuration(format!("COMPONENT: {error}")))?;
    std::fs::write(output, compiled).map_err(|error| {
        Failure::Other(format!(
            "--output: cannot write {}: {error}",
            output.display()
        ))
    })
}

/// Asks whether a host is ready.
fn health(url: Option<String>) -> Result<(), Failure> {
    let url = match url {
        Some(url) => url,
        None => config::default_health_url().map_err(Failure::Configuration)?,
    };
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(HEALTH_TIMEOUT))
        .build();
    let answer = ureq::Agent::from(config).get(&url).call();
    answer.map_err(|error| Failure::Other(format!("{url}: {error}")))?;
    Ok(())
}
