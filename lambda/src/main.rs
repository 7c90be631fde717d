//! The `bootstrap` of a function in AWS Lambda: builds the application once, and then answers one event after another.

mod answer;
mod bucket;
mod event;
mod function;
mod jobs;
mod percent;
mod request;
mod runtime_api;
mod settings;

use anyhow::Context;
use function::Function;
use http_component_runtime::{Log, LogFormat};
use runtime_api::RuntimeApi;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Instead of the C library's own: with musl's, a request takes more CPU.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What traces, Postgres and Lambda call this program.
const NAME: &str = env!("CARGO_PKG_NAME");

/// What is only logged if `RUST_LOG` names it, as for the host.
const QUIET: &str = "aws=off,tokio_postgres=warn,wasmtime_wasi=info,wasmtime_wasi_http=info";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{NAME}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let log = start_log()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.context("cannot start the asynchronous runtime")?;
    let served = runtime.block_on(serve(&log));
    log.flush();
    served
}

/// Answers events until Lambda ends the instance.
async fn serve(log: &Log) -> anyhow::Result<()> {
    let api = RuntimeApi::from_environment()?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let function = match Function::start(log).await {
        Ok(function) => function,
        Err(error) => {
            // Lambda shows it to whoever invokes the function.
            if let Err(untold) = api.fail_to_start(&format!("{error:#}")).await {
                tracing::warn!("{untold:#}");
            }
            return Err(error);
        }
    };
    match api.register_extension(NAME).await {
        Ok(extension) => {
            tokio::spawn(extension);
        }
        Err(error) => tracing::warn!("this instance will end without a signal: {error:#}"),
    }
    loop {
        // A signal comes only between events.
        let invocation = tokio::select! {
            invocation = api.next() => invocation?,
            _ = terminate.recv() => break,
        };
        function.handle(&api, invocation).await;
        // What waits would be sent with the next event, or never: the instance is suspended now.
        function.flush();
        log.flush();
    }
    function.shut_down();
    Ok(())
}

fn start_log() -> anyhow::Result<Log> {
    let log = Log::to_standard_error(LogFormat::Json).context("cannot start a thread")?;
    let given = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let given = if given.is_empty() { "info" } else { &given };
    let filter = EnvFilter::try_new(format!("{QUIET},{given}")).context(EnvFilter::DEFAULT_ENV)?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log.clone())
        .json()
        .flatten_event(true)
        .finish()
        .with(log.clone())
        .init();
    Ok(log)
}
