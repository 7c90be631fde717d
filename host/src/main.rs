//! The program: reads its configuration, builds the application, serves it.

mod config;

use birthday_host::{App, engine, serve};
use config::{Arguments, Command, Serve, Stop};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IsTerminal, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

/// Exit codes, as in sysexits.h: the configuration is wrong, or something else is.
const EX_USAGE: u8 = 64;
const EX_FAILURE: u8 = 1;

/// The path that a component answers for its health.
const READY_PATH: &str = "/health";

/// How long the component may think about its settings before it is served all the same.
const CHECK_PATIENCE: Duration = Duration::from_secs(1);

/// How long requests under way may take to finish after SIGTERM.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(25);

/// Connections that wait to be accepted, by thread.
const BACKLOG: i32 = 1024;

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
    log_to_standard_error();
    match command {
        None => serve_until_stopped(&serve),
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

fn log_to_standard_error() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,tokio_postgres=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}

fn serve_until_stopped(serve: &Serve) -> Result<(), Failure> {
    let app = build(serve)?;
    let main_runtime = runtime()?;
    main_runtime
        .block_on(app.check(READY_PATH, CHECK_PATIENCE))
        .map_err(|reason| Failure::Configuration(reason.to_string()))?;
    let listeners = listen(serve.listen, serve.threads()).map_err(|error| {
        Failure::Other(format!(
            "--listen: cannot listen on {}: {error}",
            serve.listen
        ))
    })?;
    let address = listeners[0]
        .local_addr()
        .map_err(|error| Failure::Other(format!("--listen: {error}")))?;
    let (stop, stopped) = watch::channel(());
    let mut workers = Vec::new();
    for listener in listeners {
        let app = app
            .for_another_thread()
            .map_err(|error| Failure::Other(format!("--key-value: {error}")))?;
        let runtime = runtime()?;
        let stopped = stopped.clone();
        workers.push(
            thread::Builder::new()
                .name(format!("worker-{}", workers.len()))
                .spawn(move || work(&runtime, listener, app, stopped))
                .map_err(|error| Failure::Other(format!("cannot start a thread: {error}")))?,
        );
    }
    // The connection and the instance that the check made are not used again.
    drop(app);
    // From here on a signal to stop is heeded.
    let stop_signal = main_runtime
        .block_on(async { stop_signal() })
        .map_err(|error| Failure::Other(format!("cannot wait for signals: {error}")))?;
    // Whoever started this may not want to know.
    let _ = writeln!(io::stdout(), "listening on http://{address}");
    main_runtime.block_on(stop_signal);
    drop(stop);
    for worker in workers {
        if worker.join().is_err() {
            return Err(Failure::Other("a thread has panicked".to_owned()));
        }
    }
    Ok(())
}

fn build(serve: &Serve) -> Result<App, Failure> {
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
        .build()
        .map_err(component_error)
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

fn work(runtime: &Runtime, listener: TcpListener, app: App, mut stopped: watch::Receiver<()>) {
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)
            .expect("the listener does not block, and the runtime is that of this thread");
        // Ends with an error, when the sender is dropped.
        let shutdown = async { drop(stopped.changed().await) };
        serve(listener, app, shutdown, SHUTDOWN_GRACE).await;
    });
}

fn runtime() -> Result<Runtime, Failure> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("cannot start: {error}")))
}

/// Listens for SIGTERM and SIGINT from now on; done with the first of them.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
