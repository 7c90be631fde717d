//! The program: reads its configuration, builds the application, serves it until it is told to stop.

mod config;

use birthday_host::{
    Admin, App, Edge, Life, Log, LogFormat, Metrics, Routes, Server, Telemetry, Tracer, engine,
};
use config::{AdminAddress, Arguments, Command, Serve, Stop};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;
use serde::de::IgnoredAny;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, IsTerminal, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing_subscriber::EnvFilter;

/// Exit codes: as in sysexits.h if the configuration is wrong, 1 if something else is.
const EX_USAGE: u8 = 64;
const EX_FAILURE: u8 = 1;

/// What shells say of a process that a signal ended is this and the number of the signal.
const EX_SIGNAL: i32 = 128;

/// How long the component may think about its settings before it is served all the same.
const CHECK_PATIENCE: Duration = Duration::from_secs(1);

/// Where a component describes its routes (OpenAPI), and how long that may take.
const DESCRIPTION_PATH: &str = "/openapi.json";
const DESCRIPTION_PATIENCE: Duration = Duration::from_secs(1);

/// How long `health` waits.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Connections that wait to be accepted, by thread.
const BACKLOG: i32 = 1024;

/// The driver says at `info` what every server says to every connection; wasmtime traces what a component is given,
/// paths and headers among it. Whoever wants that has to name them in `RUST_LOG`.
const QUIET: &str = "tokio_postgres=warn,wasmtime_wasi=info,wasmtime_wasi_http=info";

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
        None => serve_until_stopped(&serve),
        Some(Command::Health { url }) => health(url),
        #[cfg(feature = "compiler")]
        Some(Command::Compile { component, output }) => {
            let bytes = match &component {
                Some(path) => engine::read(path),
                None => Ok(birthday_host::COMPONENT.to_vec()),
            };
            let compiled = bytes
                .and_then(|bytes| engine::precompile(&engine::engine()?, &bytes))
                .map_err(|error| Failure::Configuration(format!("COMPONENT: {error}")))?;
            std::fs::write(&output, compiled).map_err(|error| {
                Failure::Other(format!(
                    "--output: cannot write {}: {error}",
                    output.display()
                ))
            })
        }
    }
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

fn serve_until_stopped(serve: &Serve) -> Result<(), Failure> {
    let log = start_log(serve.log_format())?;
    let result = serve_with(serve, &log);
    log.flush();
    result
}

fn serve_with(serve: &Serve, log: &Log) -> Result<(), Failure> {
    let main_runtime = runtime()?;
    // From here on a signal to stop is heeded, and as process 1 of a container this one gets no other help.
    let mut signals = main_runtime
        .block_on(async { Signals::new() })
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
    main_runtime
        .block_on(app.check(&serve.ready_path, CHECK_PATIENCE))
        .map_err(|reason| Failure::Configuration(reason.to_string()))?;
    let routes = match given_routes {
        Some(routes) => routes,
        None => main_runtime.block_on(described_routes(&app)),
    };
    let listeners = listen(serve.listen, serve.threads())
        .map_err(|error| cannot_listen("--listen", serve.listen, &error))?;
    let address = listeners[0]
        .local_addr()
        .map_err(|error| Failure::Other(format!("--listen: {error}")))?;
    let life = Life::default();
    if let (AdminAddress::On(address), Some(metrics)) = (serve.admin, metrics) {
        let app = for_another_thread(&app)?;
        let admin = Admin::new(app, serve.ready_path.clone(), metrics, life.clone());
        serve_admin(address, admin)?;
    }
    raise_file_limit();
    let (stop, stopped) = watch::channel(());
    // Closed when the last worker has dropped its end.
    let (working, mut done) = mpsc::channel::<Infallible>(1);
    let mut workers = Vec::new();
    let server = Server::new(serve.connection_limits(), https.clone());
    for listener in listeners {
        let edge = Edge::new(for_another_thread(&app)?, routes.clone(), Some(log.clone()));
        let runtime = runtime()?;
        let (server, life) = (server.clone(), life.clone());
        let (mut stopped, working) = (stopped.clone(), working.clone());
        let grace = serve.shutdown_grace;
        let work = move || {
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener)
                    .expect("the listener does not block, and the runtime is that of this thread");
                tokio::spawn(life.beat());
                // Ends with an error, when the sender is dropped.
                let shutdown = async { drop(stopped.changed().await) };
                server.serve(listener, edge, shutdown, grace).await;
            });
            drop(working);
        };
        workers.push(start_thread(format!("worker-{}", workers.len()), work)?);
    }
    drop(working);
    // The connection and the instance that the check made are not used again.
    drop(app);
    life.start();
    let scheme = if https.is_some() { "https" } else { "http" };
    // Whoever started this may not want to know.
    let _ = writeln!(io::stdout(), "listening on {scheme}://{address}");
    let second_signal = main_runtime.block_on(async {
        if let Some(https) = https {
            tokio::spawn(https.follow_files());
        }
        signals.next().await;
        tracing::info!("draining");
        life.drain();
        let drained = async {
            sleep(serve.drain_delay).await;
            drop(stop);
            done.recv().await;
        };
        tokio::select! {
            () = drained => None,
            signal = signals.next() => Some(signal),
        }
    });
    if let Some(signal) = second_signal {
        tracing::warn!("told to stop a second time: requests under way are cut off");
        log.flush();
        std::process::exit(EX_SIGNAL + signal.as_raw_value());
    }
    for worker in workers {
        if worker.join().is_err() {
            return Err(Failure::Other("a thread has panicked".to_owned()));
        }
    }
    if let Some(exporter) = exporter {
        exporter.shut_down();
    }
    Ok(())
}

fn build(serve: &Serve, telemetry: Telemetry) -> Result<App, Failure> {
    let component_error = |error| Failure::Configuration(format!("--component: {error}"));
    let engine = engine::engine().map_err(|error| Failure::Other(error.to_string()))?;
    let variables = serve.variables().map_err(Failure::Configuration)?;
    let postgres = serve.postgres().map_err(Failure::Configuration)?;
    let component = match &serve.component {
        Some(path) => engine::load_file(&engine, path),
        None => engine::load(&engine, birthday_host::COMPONENT),
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

fn for_another_thread(app: &App) -> Result<App, Failure> {
    app.for_another_thread()
        .map_err(|error| Failure::Other(format!("--key-value: {error}")))
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

fn serve_admin(address: SocketAddr, admin: Admin) -> Result<(), Failure> {
    let listener = TcpListener::bind(address)
        .and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        })
        .map_err(|error| cannot_listen("--admin", address, &error))?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!("probes and metrics on http://{address}");
    }
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

fn cannot_listen(option: &str, address: SocketAddr, error: &io::Error) -> Failure {
    Failure::Other(format!("{option}: cannot listen on {address}: {error}"))
}

fn start_thread(
    name: String,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Failure> {
    let thread = thread::Builder::new().name(name).spawn(work);
    thread.map_err(|error| Failure::Other(format!("cannot start a thread: {error}")))
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

/// One listener for each thread, all on the same address: the kernel spreads connections over them.
fn listen(address: SocketAddr, threads: usize) -> io::Result<Vec<TcpListener>> {
    let bind = |address: SocketAddr, share: bool| -> io::Result<Socket> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(share)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    // Sharing a port would also share it with a stranger: first make sure that nobody has it.
    let alone = bind(address, false)?;
    alone.listen(1)?;
    let address = alone.local_addr()?.as_socket().unwrap_or(address);
    drop(alone);
    (0..threads)
        .map(|_| {
            let socket = bind(address, true)?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect()
}

fn runtime() -> Result<Runtime, Failure> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("cannot start: {error}")))
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
