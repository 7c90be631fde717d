//! Serving: from the configuration to the end of the last request.

use crate::command_line::{bad_option, source};
use crate::component;
use crate::failure::usage;
use crate::options::{AdminAddress, ServeOptions};
use crate::variables::{Sources, follow_files};
use crate::workers::{Workers, listen, runtime, start_thread};
use anyhow::Context;
use http_component_runtime::{
    Admin, App, CheckError, Edge, Exporter, KeyValue, Lifecycle, Log, LogFormat, Metrics, Route,
    Routes, Server, Telemetry, Tls, Tracer, Variables, engine,
};
use rustix::process::{Resource, Rlimit, Signal as ProcessSignal, getrlimit, setrlimit};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What shells say of a process that a signal has ended: this plus the number of the signal.
const EX_SIGNAL: i32 = 128;

/// How long the component may take to check its settings. After that it is served without an answer.
const CHECK_PATIENCE: Duration = Duration::from_secs(1);

/// Where a component describes its routes (OpenAPI), and how long that may take.
const DESCRIPTION_PATH: &str = "/openapi.json";
const DESCRIPTION_PATIENCE: Duration = Duration::from_secs(1);

/// What is only logged if `RUST_LOG` names it: the driver logs at `info` what a server sends to every connection, wasmtime
/// traces what a component is given, paths and headers among it, and the AWS SDK warns of each attempt to find credentials,
/// which the store says once.
const QUIET: &str = "aws=off,tokio_postgres=warn,wasmtime_wasi=info,wasmtime_wasi_http=info";

/// What metrics and traces call this program.
const METRICS_NAMESPACE: &str = "birthday_host";
const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How serving has ended.
enum End {
    /// After the last request.
    Drained,
    /// By a second signal to stop.
    CutOff(SignalKind),
}

/// Serves until the process is told to stop; returns its exit code.
///
/// # Errors
/// If the configuration is wrong, or serving cannot begin.
pub fn until_stopped(options: &ServeOptions) -> anyhow::Result<ExitCode> {
    let log = start_log(options.log_format())?;
    let end = runtime()?.block_on(serve_and_drain(options, &log));
    log.flush();
    match end? {
        End::Drained => Ok(ExitCode::SUCCESS),
        // Not by returning, which would wait for the threads that are still serving.
        End::CutOff(signal) => std::process::exit(EX_SIGNAL + signal.as_raw_value()),
    }
}

async fn serve_and_drain(options: &ServeOptions, log: &Log) -> anyhow::Result<End> {
    // From here on signals are handled. As process 1 of a container this one would otherwise ignore them.
    let mut signals = Signals::new().context("cannot wait for signals")?;
    let (telemetry, exporter) = telemetry(options)?;
    let given_routes = options.routes()?;
    let tls = options.tls()?;
    let key_value = options.key_value()?;
    let sources = Sources::new(options)?;
    let in_files = sources.read_files().map_err(usage)?;
    let variables = sources.variables(&in_files)?;
    let app = build(options, variables, key_value.clone(), telemetry)?;
    let (ready_path, _) = options.readiness();
    let check = app.check(&ready_path, CHECK_PATIENCE).await;
    check.map_err(check_error)?;
    let routes = match given_routes {
        Some(routes) => routes,
        None => described_routes(&app).await,
    };
    let lifecycle = Lifecycle::default();
    let (address, workers) = start(options, log, &app, routes, tls.clone(), &lifecycle)?;
    let follower = app.for_another_thread();
    let follower = follower.with_context(|| source("--key-value"))?;
    // The instance and the connection of the check are not used again.
    drop(app);
    lifecycle.start();
    announce(address, tls);
    tokio::select! {
        _ = signals.next() => {}
        never = follow_files(&sources, in_files, &follower, options) => match never {},
    }
    tracing::info!("draining");
    lifecycle.drain();
    let drained = async {
        sleep(options.drain_delay).await;
        workers.stop().await
    };
    tokio::select! {
        drained = drained => drained?,
        signal = signals.next() => {
            tracing::warn!("told to stop a second time: requests in flight are cut off");
            return Ok(End::CutOff(signal));
        }
    }
    if let Err(error) = key_value.checkpoint() {
        tracing::warn!("the key-value store needs its -wal file, too: {error}");
    }
    if let Some(exporter) = exporter {
        exporter.shut_down();
    }
    Ok(End::Drained)
}

fn start_log(format: LogFormat) -> anyhow::Result<Log> {
    let log = Log::to_standard_error(format).context("cannot start a thread")?;
    let given = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let given = if given.is_empty() { "info" } else { &given };
    let filter = EnvFilter::try_new(format!("{QUIET},{given}"))
        .map_err(|error| bad_option(EnvFilter::DEFAULT_ENV, error))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log.clone());
    match format {
        LogFormat::Text => {
            let lines = lines.with_ansi(io::stderr().is_terminal());
            lines.finish().with(log.clone()).init();
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true);
            lines.finish().with(log.clone()).init();
        }
    }
    Ok(log)
}

fn telemetry(options: &ServeOptions) -> anyhow::Result<(Telemetry, Option<Exporter>)> {
    let traces = Tracer::from_environment(NAME, VERSION);
    let (tracer, exporter) = traces.map_err(|error| usage(error.to_string()))?.unzip();
    let metrics = match options.admin {
        AdminAddress::On(_) => Metrics::new(METRICS_NAMESPACE, VERSION, env!("WASMTIME_VERSION")),
        AdminAddress::Off => Metrics::disabled(),
    };
    let tracer = tracer.unwrap_or_default();
    Ok((Telemetry { metrics, tracer }, exporter))
}

fn build(
    options: &ServeOptions,
    variables: Variables,
    key_value: KeyValue,
    telemetry: Telemetry,
) -> anyhow::Result<App> {
    let component_error = |error| bad_option("--component", error);
    let engine = engine::engine()?;
    let postgres = options.postgres(NAME)?;
    let component = component::load(&engine, options.component.as_deref());
    let component = component.map_err(component_error)?;
    App::builder(component)
        .egress(options.egress(&variables))
        .variables(variables)
        .key_value(key_value)
        .postgres(postgres)
        .limits(options.limits()?)
        .telemetry(telemetry)
        .build()
        .map_err(component_error)
}

fn check_error(error: CheckError) -> anyhow::Error {
    match error {
        // It names the variable.
        CheckError::Misconfigured(reason) => usage(reason),
        _ => bad_option("--component", error),
    }
}

/// The line that says where clients can connect, on standard output.
fn announce(address: SocketAddr, tls: Option<Tls>) {
    let scheme = if tls.is_some() { "https" } else { "http" };
    // Standard output may be closed.
    let _ = writeln!(io::stdout(), "listening on {scheme}://{address}");
    if let Some(tls) = tls {
        tokio::spawn(tls.follow_files());
    }
}

/// The routes that the component itself describes, if it does.
async fn described_routes(app: &App) -> Routes {
    #[derive(Deserialize)]
    struct Description {
        paths: BTreeMap<String, BTreeMap<String, PathField>>,
    }

    /// An operation, or something else that a path has (OpenAPI 3.1, 4.8.9).
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum PathField {
        Operation {
            #[serde(rename = "x-streaming")]
            streams: bool,
        },
        Other(IgnoredAny),
    }

    let answer = app.get(DESCRIPTION_PATH, DESCRIPTION_PATIENCE).await;
    let description = answer.filter(|answer| answer.status().is_success());
    let Some(description) = description else {
        return Routes::default();
    };
    let routes = serde_json::from_slice::<Description>(description.body())
        .map_err(|error| error.to_string())
        .and_then(|description| {
            let routes = description
                .paths
                .into_iter()
                .map(|(template, fields)| Route {
                    template,
                    streams: fields
                        .values()
                        .any(|field| matches!(field, PathField::Operation { streams: true })),
                });
            Routes::new(routes).map_err(|error| error.to_string())
        });
    routes.unwrap_or_else(|error| {
        tracing::warn!("{DESCRIPTION_PATH}: {error}: requests are not told apart by route");
        Routes::default()
    })
}

/// Opens the listeners, and starts a thread for each. Returns the address that is served.
fn start(
    options: &ServeOptions,
    log: &Log,
    app: &App,
    routes: Routes,
    tls: Option<Tls>,
    lifecycle: &Lifecycle,
) -> anyhow::Result<(SocketAddr, Workers)> {
    let another_app = || {
        app.for_another_thread()
            .with_context(|| source("--key-value"))
    };
    let listeners = listen(options.listen, options.threads())
        .with_context(|| cannot_listen("--listen", options.listen))?;
    let address = listeners[0]
        .local_addr()
        .with_context(|| source("--listen"))?;
    if let AdminAddress::On(address) = options.admin {
        let (path, readiness) = options.readiness();
        let admin = Admin::new(another_app()?, path, readiness, lifecycle.clone());
        serve_admin(address, admin)?;
    }
    raise_file_limit();
    let server = Server::new(options.connection_limits(), tls);
    let mut workers = Workers::new(server, lifecycle.clone(), options.shutdown_grace);
    for listener in listeners {
        let edge = Edge::new(another_app()?, routes.clone(), Some(log.clone()));
        workers.start(listener, edge)?;
    }
    Ok((address, workers))
}

fn cannot_listen(option: &str, address: SocketAddr) -> String {
    format!("{}: cannot listen on {address}", source(option))
}

fn serve_admin(address: SocketAddr, admin: Admin) -> anyhow::Result<()> {
    let listener = listen(address, 1)
        .with_context(|| cannot_listen("--admin", address))?
        .remove(0);
    let address = listener.local_addr().with_context(|| source("--admin"))?;
    tracing::info!("probes and metrics on http://{address}");
    let runtime = runtime()?;
    start_thread("admin".to_owned(), move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)
                .expect("the listener does not block, and the runtime is that of this thread");
            admin.serve(listener).await;
        });
    })?;
    Ok(())
}

/// Raises the limit of open files as far as this process may: connections have a limit of their own. The lower limit is
/// meant for programs that use `select`.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(
            "the limit of open files stays at {:?}: {error}",
            limit.current
        );
    }
}

/// The signals to stop, from now on.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// A file would grow over its limit (`ulimit -f`). Handled, so that the write fails and the process goes on.
    _file_size: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_size: signal(SignalKind::from_raw(ProcessSignal::XFSZ.as_raw()))?,
        })
    }

    /// The next of them.
    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        }
    }
}
