//! The threads that serve, each with a listener of its own.

use crate::Failure;
use birthday_host::{Edge, Life, Server};
use socket2::{Domain, Protocol, Socket, Type};
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::{self, Runtime};
use tokio::sync::{mpsc, watch};

/// Connections that wait to be accepted, by thread.
const BACKLOG: i32 = 1024;

pub struct Workers {
    server: Server,
    life: Life,
    grace: Duration,
    threads: Vec<JoinHandle<()>>,
    /// Dropped to stop.
    stop: watch::Sender<()>,
    /// Each thread has a sender, and drops it at its end.
    working: mpsc::Sender<Infallible>,
    done: mpsc::Receiver<Infallible>,
}

impl Workers {
    /// None yet. They will serve by `server`, give signs of `life`, and have `grace` to finish.
    pub fn new(server: Server, life: Life, grace: Duration) -> Self {
        let (working, done) = mpsc::channel(1);
        Self {
            server,
            life,
            grace,
            threads: Vec::new(),
            stop: watch::Sender::new(()),
            working,
            done,
        }
    }

    /// Serves `edge` on `listener`, in a thread more.
    pub fn start(&mut self, listener: TcpListener, edge: Edge) -> Result<(), Failure> {
        let runtime = runtime()?;
        let (server, life, grace) = (self.server.clone(), self.life.clone(), self.grace);
        let (mut stopped, working) = (self.stop.subscribe(), self.working.clone());
        let work = move || {
            wait_for_a_turn();
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
        let name = format!("worker-{}", self.threads.len());
        self.threads.push(start_thread(name, work)?);
        Ok(())
    }

    /// Tells them to stop, and waits until they have.
    pub async fn stop(mut self) -> Result<(), Failure> {
        drop((self.stop, self.working));
        self.done.recv().await;
        for thread in self.threads {
            if thread.join().is_err() {
                return Err(Failure::Other("a thread has panicked".to_owned()));
            }
        }
        Ok(())
    }
}

/// One listener for each thread, all on the same address: the kernel spreads connections over them.
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

/// That of one thread.
pub fn runtime() -> Result<Runtime, Failure> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("cannot start: {error}")))
}

/// Lets this thread wait until whoever runs has come to a pause, in place of interrupting it (`SCHED_BATCH`, sched(7)). A
/// database on the same machine then answers all that was asked of it in one go, and that costs both of them less than
/// one turn for each answer. It changes nothing where a processor is free.
fn wait_for_a_turn() {
    // SAFETY: the structure is plain numbers, for which 0 is a value, and outlives the call.
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
        tracing::debug!("this thread interrupts others when it wakes up: {error}");
    }
}

pub fn start_thread(
    name: String,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Failure> {
    let thread = thread::Builder::new().name(name).spawn(work);
    thread.map_err(|error| Failure::Other(format!("cannot start a thread: {error}")))
}
