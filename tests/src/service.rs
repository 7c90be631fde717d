//! Services under test. They are started, found by the address that they print, and stopped when they are dropped.

use rustix::process::{Pid, Signal, kill_process_group};
use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// The time that a line may take to get into a log: our host checks its certificate every five seconds, and then
/// logs the result.
const LOG_PATIENCE: Duration = Duration::from_secs(15);

/// A running process that serves HTTP.
pub struct Service {
    pub url: String,
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Service {
    /// Starts `command` and waits until a line of its standard output names the URL that it serves.
    ///
    /// # Panics
    /// If it ends before that. The message has its standard error.
    pub fn start(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::piped())
    }

    /// The same, but its standard error is not kept, which may be a line for each of millions of requests.
    ///
    /// # Panics
    /// If it ends before that.
    pub fn start_unlogged(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    fn start_with(command: &mut Command, stderr: Stdio) -> Self {
        let mut child = command
            // A test must not depend on the variables of the parent, or on backtraces in errors.
            .env("RUST_BACKTRACE", "0")
            // With the processes that it starts: `faketime` does not pass signals on.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let log = Arc::new(Mutex::new(String::new()));
        if let Some(stderr) = child.stderr.take() {
            collect(stderr, log.clone());
        }
        let mut lines = BufReader::new(stdout).lines();
        let url = lines.find_map(|line| {
            let line = line.ok()?;
            let start = line.find("http")?;
            let url = line[start..].split_whitespace().next()?;
            Some(url.trim_end_matches('/').to_owned())
        });
        // The rest of the output is read and kept, so that the process can go on writing.
        let rest = log.clone();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                append(&rest, &format!("stdout: {line}"));
            }
        });
        let service = Self {
            url: url.clone().unwrap_or_default(),
            child,
            log,
        };
        assert!(
            url.is_some(),
            "{command:?} does not serve: {}",
            service.log()
        );
        service
    }

    /// Its standard error so far. Lines of its standard output after the line with its URL begin with
    /// `stdout: `.
    pub fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The same, once it contains `text`: lines arrive through a pipe, a little later.
    ///
    /// # Panics
    /// After [`LOG_PATIENCE`].
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let log = self.log();
            if log.contains(text) {
                return log;
            }
            assert!(
                start.elapsed() < LOG_PATIENCE,
                "no {text:?} in the log: {log}"
            );
            sleep(Duration::from_millis(10));
        }
    }

    /// The URL for probes and metrics, from the log of our host.
    ///
    /// # Panics
    /// If the log does not have it.
    #[track_caller]
    pub fn admin(&self) -> String {
        const SAID: &str = "probes and metrics on ";
        let log = self.wait_for_log(SAID);
        let (_, rest) = log.split_once(SAID).expect("it was waited for");
        // It is in a line of text, or in a string of JSON.
        let end = rest.find(|end: char| end == '"' || end.is_whitespace());
        rest[..end.unwrap_or(rest.len())].to_owned()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("a child can be waited for")
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // `spin up` has a child process that ends only on SIGTERM.
        self.signal(Signal::TERM);
        self.wait();
    }
}

fn collect(stream: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            append(&log, &line);
        }
    });
}

fn append(log: &Mutex<String>, line: &str) {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.push_str(line);
    log.push('\n');
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package is in the workspace")
        .to_owned()
}

/// The target folder that this test was built into.
pub fn target() -> PathBuf {
    let executable = env::current_exe().expect("this process has an executable");
    // target/<profile>/deps/<test>
    let target = executable.ancestors().nth(3);
    target.expect("tests run from the target folder").to_owned()
}

/// The path of a component that was built for `wasm32-wasip2`.
///
/// # Panics
/// If it is not built yet.
pub fn component(name: &str) -> PathBuf {
    built("wasm32-wasip2", name)
}

/// The path of a component that was built for `wasm32-unknown-unknown`.
///
/// # Panics
/// If it is not built yet.
pub fn plain_component(name: &str) -> PathBuf {
    built("wasm32-unknown-unknown", name)
}

fn built(triple: &str, name: &str) -> PathBuf {
    let path = target().join(triple).join("component").join(name);
    assert!(
        path.exists(),
        "{} is not built: run `make components`",
        path.display()
    );
    path
}

/// `birthday-host` on a free port, without settings of the environment.
pub fn host_command(binary: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("BIRTHDAY_") || name.starts_with("SPIN_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    // Many hosts run at a time.
    command
        .env("BIRTHDAY_ADMIN", "off")
        .env("BIRTHDAY_LISTEN", "127.0.0.1:0");
    command
}

/// The binary `BIRTHDAY_HOST_BINARY`, or the one that was built beside this test, on a free port.
///
/// # Panics
/// If it is not built yet.
pub fn host() -> Command {
    let binary = env::var_os("BIRTHDAY_HOST_BINARY")
        .map_or_else(|| target().join("release/birthday-host"), Into::into);
    assert!(
        binary.exists(),
        "{} is not built: run `cargo build --release`",
        binary.display()
    );
    host_command(binary)
}

/// `spin up` on a free port, with its data in the folder `state`.
pub fn spin_up(spin: &Path, state: &Path) -> Command {
    // If it is missing, this fails with the reason, before Spin does.
    component("birthday.wasm");
    let mut command = Command::new(spin);
    command
        .args(["up", "--quiet", "--listen", "127.0.0.1:0", "--state-dir"])
        .arg(state)
        .arg("--file")
        .arg(root().join("spin.toml"));
    command
}
