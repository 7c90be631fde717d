//! The threads that serve, each with a listener of its own.

use anyhow::{Context, bail};
use http_component_runtime::{Edge, Lifecycle, Server};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::{self, Runtime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The most connections that wait to be accepted, for each thread.
const BACKLOG: i32 = 1024;

pub struct Workers {
    server: Server,
    lifecycle: Lifecycle,
    grace: Duration,
    threads: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    /// Each thread holds a token until it has drained.
    draining: TaskTracker,
}

impl Workers {
    /// No threads yet. They will serve by `server`, send heartbeats to `lifecycle`, and take at most `grace` to drain.
    pub fn new(server: Server, lifecycle: Lifecycle, grace: Duration) -> Self {
        Self {
            server,
            lifecycle,
            grace,
            threads: Vec::new(),
            stop: CancellationToken::new(),
            draining: TaskTracker::new(),
        }
    }

    /// Serves `edge` on `listener` in one more thread.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(&mut self, listener: TcpListener, edge: Edge) -> anyhow::Result<()> {
        let worker = Worker {
            server: self.server.clone(),
            lifecycle: self.lifecycle.clone(),
            grace: self.grace,
            stop: self.stop.clone(),
            _draining: self.draining.token(),
        };
        let runtime = runtime()?;
        let name = format!("worker-{}", self.threads.len());
        let thread = start_thread(name, move || worker.run(&runtime, listener, edge))?;
        self.threads.push(thread);
        Ok(())
    }

    /// Tells the threads to stop, and waits until they have.
    ///
    /// # Errors
    /// If one of them has panicked.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.draining.close();
        self.draining.wait().await;
        for thread in self.threads {
            if thread.join().is_err() {
                bail!("a thread has panicked");
            }
        }
        Ok(())
    }
}

/// What one thread works with.
struct Worker {
    server: Server,
    lifecycle: Lifecycle,
    grace: Duration,
    stop: CancellationToken,
    _draining: TaskTrackerToken,
}

impl Worker {
    fn run(self, runtime: &Runtime, listener: TcpListener, edge: Edge) {
        schedule_as_batch();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)
                .expect("the listener does not block, and the runtime is that of this thread");
            tokio::spawn(self.lifecycle.clone().beat());
            let shutdown = self.stop.cancelled();
            self.server
                .serve(listener, edge, shutdown, self.grace)
                .await;
        });
    }
}

/// A listener for each of `threads`, all on the same address: the kernel spreads connections over them.
///
/// # Errors
/// If another process uses the address, or it is not of this machine.
pub fn listen(address: SocketAddr, threads: usize) -> io::Result<Vec<TcpListener>> {
    let bind = |address: SocketAddr, share: bool| -> io::Result<Socket> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(share)?;
        serve_ipv4_too(&socket, address)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    // A shared port could be shared with another program by mistake. The first socket makes sure that it is free.
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

/// `[::]` is every interface, of IPv4 too, whatever the system's default (`net.ipv6.bindv6only`).
fn serve_ipv4_too(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        socket.set_only_v6(false)?;
    }
    Ok(())
}

/// A runtime for one thread.
///
/// # Errors
/// If the system has no more resources.
pub fn runtime() -> anyhow::Result<Runtime> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")
}

/// Schedules this thread under `SCHED_BATCH` (sched(7)), so that waking it does not preempt another one. A database on
/// the same machine then answers all queries that it has before this thread reads, which costs both of them less than a
/// switch for each answer. It changes nothing while a processor is free.
fn schedule_as_batch() {
    // SAFETY: the structure has only numbers, for which 0 is a value, and outlives the call.
    #[expect(
        unsafe_code,
        reason = "no library that sets the policy leaves the niceness alone"
    )]
    let result = unsafe {
        let parameters: libc::sched_param = std::mem::zeroed();
        // Not `sched_setscheduler`, which musl does not have.
        libc::pthread_setschedparam(libc::pthread_self(), libc::SCHED_BATCH, &parameters)
    };
    if result != 0 {
        let error = io::Error::from_raw_os_error(result);
        tracing::debug!("this thread is not scheduled under SCHED_BATCH: {error}");
    }
}

/// Starts a thread.
///
/// # Errors
/// If the system has no more resources.
pub fn start_thread(
    name: String,
    work: impl FnOnce() + Send + 'static,
) -> anyhow::Result<JoinHandle<()>> {
    let thread = thread::Builder::new().name(name).spawn(work);
    thread.context("cannot start a thread")
}
