//! Serving: from the configuration to the end of the last request.

use crate::Failure;
use crate::config::{AdminAddress, Serve};
use crate::workers::{Workers, listen, runtime, start_thread};
use birthday_host::{
    Admin, App, ComponentError, Edge, Life, Log, LogFormat, Metrics, Routes, Server, Telemetry,
    Tracer, engine,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::net::{SocketAddr, TcpListener};
use std::process;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tracing_subscriber::EnvFilter;
use wasmtime::Engine;
use wasmtime::component::Component;

/// What shells say of a process that a signal ended is this and the number of the signal.
const EX_SIGNAL: i32 = 128;

/// How long the component may think about its settings before it is served all the same.
const CHECK_PATIENCE: Duration = Duration::from_secs(1);

/// Where a component describes its routes (OpenAPI), and how long that may take.
const DESCRIPTION_PATH: &str = "/openapi.json";
const DESCRIPTION_PATIENCE: Duration = Duration::from_secs(1);

/// The driver says at `info` what every server says to every connection; wasmtime traces what a component is given,
/// paths and headers among it. Whoever wants that has to name them in `RUST_LOG`.
const QUIET: &str = "tokio_postgres=warn,wasmtime_wasi=info,wasmtime_wasi_http=info";

/// How serving has ended.
enum End {
    /// After the last request.
    Drained,
    /// By a second signal to stop.
    CutOff(SignalKind),
}

/// Serves until the process is told to stop.
pub fn until_stopped(serve: &Serve) -> Result<(), Failure> {
    let log = start_log(serve.log_format())?;
    let end = runtime()?.block_on(serve_and_drain(serve, &log));
    log.flush();
    match end? {
        End::Drained => Ok(()),
        End::CutOff(signal) => process::exit(EX_SIGNAL + signal.as_raw_value()),
    }
}

async fn serve_and_drain(serve: &Serve, log: &Log) -> Result<End, Failure> {
    // From here on a signal to stop is heeded, and as process 1 of a container this one gets no other help.
    let mut signals = Signals::new()
        .map_err(|error| Failure::Other(format!("cannot wait for signals: {error}")))?;
    let (tracer, exporter) = Tracer::from_environment()
        .map_err(|error| Failure::Configuration(error.to_string()))?
        .unzip();
    let metrics = match serve.admin {
        AdminAddress::On(_) => Some(Arc::new(Metrics::default())),
        AdminAddress::Off => None,
    };
    let telemetry = Telemetry {
        metrics: metrics.clone(),
        tracer,
    };
    let given_routes = serve.routes().map_err(Failure::Configuration)?;
    let https = serve.https().map_err(Failure::Configuration)?;
    let app = build(serve, telemetry)?;
    app.check(&serve.ready_path, CHECK_PATIENCE)
        .await
        .map_err(|reason| Failure::Configuration(reason.to_string()))?;
    let routes = match given_routes {
        Some(routes) => routes,
        None => described_routes(&app).await,
    };
    let another_app = || {
        app.for_another_thread()
            .map_err(|error| Failure::Other(format!("--key-value: {error}")))
    };
    let cannot_listen = |option: &str, address: SocketAddr, error: io::Error| {
        Failure::Other(format!("{option}: cannot listen on {address}: {error}"))
    };
    let listeners = listen(serve.listen, serve.threads())
        .map_err(|error| cannot_listen("--listen", serve.listen, error))?;
    let address = listeners[0]
        .local_addr()
        .map_err(|error| Failure::Other(format!("--listen: {error}")))?;
    let life = Life::default();
    if let (AdminAddress::On(address), Some(metrics)) = (serve.admin, metrics) {
        let listener =
            TcpListener::bind(address).map_err(|error| cannot_listen("--admin", address, error))?;
        let ready_path = serve.ready_path.clone();
        let admin = Admin::new(another_app()?, ready_path, metrics, life.clone());
        serve_admin(listener, admin)?;
    }
    raise_file_limit();
    let server = Server::new(serve.connection_limits(), https.clone());
    let mut workers = Workers::new(server, life.clone(), serve.shutdown_grace);
    for listener in listeners {
        let edge = Edge::new(another_app()?, routes.clone(), Some(log.clone()));
        workers.start(listener, edge)?;
    }
    // The connection and the instance that the check made are not used again.
    drop(app);
    life.start();
    let scheme = if https.is_some() { "https" } else { "http" };
    // Whoever started this may not want to know.
    let _ = writeln!(io::stdout(), "listening on {scheme}://{address}");
    if let Some(https) = https {
        tokio::spawn(https.follow_files());
    }
    signals.next().await;
    tracing::info!("draining");
    life.drain();
    let drained = async {
        sleep(serve.drain_delay).await;
        workers.stop().await
    };
    tokio::select! {
        drained = drained => drained?,
        signal = signals.next() => {
            tracing::warn!("told to stop a second time: requests under way are cut off");
            return Ok(End::CutOff(signal));
        }
    }
    if let Some(exporter) = exporter {
        exporter.shut_down();
    }
    Ok(End::Drained)
}

fn start_log(format: LogFormat) -> Result<Log, Failure> {
    let log = Log::to_standard_error(format)
        .map_err(|error| Failure::Other(format!("cannot start a thread: {error}")))?;
    let given = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let given = if given.is_empty() { "info" } else { &given };
    let filter = EnvFilter::try_new(format!("{QUIET},{given}"))
        .map_err(|error| Failure::Configuration(format!("{}: {error}", EnvFilter::DEFAULT_ENV)))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log.clone());
    match format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(log)
}

fn build(serve: &Serve, telemetry: Telemetry) -> Result<App, Failure> {
    let component_error = |error| Failure::Configuration(format!("--component: {error}"));
    let engine = engine::engine().map_err(|error| Failure::Other(error.to_string()))?;
    let variables = serve.variables().map_err(Failure::Configuration)?;
    let postgres = serve.postgres().map_err(Failure::Configuration)?;
    let component = match &serve.component {
        Some(path) => engine::load_file(&engine, path),
        None => carried_component(&engine),
    }
    .map_err(component_error)?;
    let key_value = serve.key_value().map_err(Failure::Configuration)?;
    App::builder(component)
        .variables(variables)
        .key_value(key_value)
        .postgres(postgres)
        .limits(serve.limits())
        .telemetry(telemetry)
        .build()
        .map_err(component_error)
}

#[cfg(feature = "compiler")]
fn carried_component(engine: &Engine) -> Result<Component, ComponentError> {
    engine::load(engine, birthday_host::COMPONENT)
}

#[cfg(not(feature = "compiler"))]
fn carried_component(_: &Engine) -> Result<Component, ComponentError> {
    Err(ComponentError::NoComponent)
}

/// The routes that the component itself describes, if it does.
async fn described_routes(app: &App) -> Routes {
    #[derive(Deserialize)]
    struct Description {
        paths: BTreeMap<String, IgnoredAny>,
    }

    let answer = app.get(DESCRIPTION_PATH, DESCRIPTION_PATIENCE).await;
    let description = answer.filter(|answer| answer.status().is_success());
    let Some(description) = description else {
        return Routes::default();
    };
    let routes = serde_json::from_slice::<Description>(description.body())
        .map_err(|error| error.to_string())
        .and_then(|description| {
            Routes::new(description.paths.into_keys()).map_err(|error| error.to_string())
        });
    routes.unwrap_or_else(|error| {
        tracing::warn!("{DESCRIPTION_PATH}: {error}: requests are not told apart by route");
        Routes::default()
    })
}

fn serve_admin(listener: TcpListener, admin: Admin) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Other(format!("--admin: {error}"));
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
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

/// As many open files as this process may have: connections are bounded otherwise. The lower limit is there
/// for programs that use `select`.
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
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
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
