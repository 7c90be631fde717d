//! Lambda, as a function sees it: its runtime interface (`2018-06-01`) and that of extensions (`2020-01-01`).

use birthday_tests::service::{host, host_command, root};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs};
use test_support::wait::wait_for;

/// Longer than the function works on any event.
const PATIENCE: Duration = Duration::from_secs(180);

/// The beginning of an answer, in bytes.
const FIRST_BYTES: usize = 100_000;

/// The time that an event has, as Lambda says it: the most that a function may have.
pub const TIME: Duration = Duration::from_secs(15 * 60);

/// The program, and the folder of its component: what `scripts/lambda-zip` has put into the folder `BIRTHDAY_LAMBDA`, or the
/// program that was built with this test.
static PROGRAM: LazyLock<(PathBuf, PathBuf)> = LazyLock::new(|| {
    if let Some(folder) = env::var_os("BIRTHDAY_LAMBDA") {
        let folder = root().join(folder);
        return (folder.join("bootstrap"), folder);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lambda");
    fs::create_dir_all(&folder).unwrap();
    let mut compile = host();
    compile.args(["compile", "--output"]);
    compile.arg(folder.join("birthday.cwasm"));
    assert!(
        compile.status().unwrap().success(),
        "the component is compiled"
    );
    (env!("CARGO_BIN_EXE_bootstrap").into(), folder)
});

/// What a function makes of an event.
#[derive(Debug)]
pub enum Outcome {
    /// The bytes of its answer; what says that they break off.
    Answered {
        bytes: Vec<u8>,
        is_streamed: bool,
        trailers: Vec<String>,
    },
    /// An error of the invocation.
    Failed(Value),
}

/// What the function is told and tells, beside events and outcomes.
#[derive(Default)]
struct Seen {
    start_errors: Vec<Value>,
    /// The names and the bodies by which extensions were registered.
    extensions: Vec<(String, Value)>,
    has_extension_waited: bool,
    /// How often it has asked for an event.
    asked: usize,
}

pub struct Platform {
    events: Mutex<Receiver<(String, Duration)>>,
    outcomes: Sender<Outcome>,
    seen: Mutex<Seen>,
    after_first_bytes: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

/// A running function.
pub struct Function {
    child: Child,
    events: Sender<(String, Duration)>,
    outcomes: Receiver<Outcome>,
    platform: Arc<Platform>,
    log: Option<JoinHandle<String>>,
    /// When the process was started.
    pub started: Instant,
}

impl Function {
    /// Starts it with these variables of its environment.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (events, waiting) = channel();
        let (answered, outcomes) = channel();
        let platform = Arc::new(Platform {
            events: Mutex::new(waiting),
            outcomes: answered,
            seen: Mutex::default(),
            after_first_bytes: Mutex::default(),
        });
        let served = platform.clone();
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let platform = served.clone();
                thread::spawn(move || platform.serve(&connection));
            }
        });
        let mut command = command(&address, variables);
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            log
        });
        Self {
            child,
            events,
            outcomes,
            platform,
            log: Some(log),
            started,
        }
    }

    /// Hands over one event, which need not be JSON, and waits for what comes of it.
    #[track_caller]
    pub fn invoke(&self, event: &str) -> Outcome {
        self.invoke_within(event, TIME)
    }

    /// The same with so much time.
    #[track_caller]
    pub fn invoke_within(&self, event: &str, time: Duration) -> Outcome {
        self.events.send((event.to_owned(), time)).unwrap();
        self.outcomes
            .recv_timeout(PATIENCE)
            .expect("there is an outcome")
    }

    /// The answer to an event, which is JSON.
    #[track_caller]
    pub fn answer(&self, event: &str) -> Value {
        match self.invoke(event) {
            Outcome::Answered {
                bytes,
                is_streamed: false,
                ..
            } => serde_json::from_slice(&bytes).unwrap(),
            other => panic!("{event}: {other:?}"),
        }
    }

    /// The message of the error that an event leads to.
    #[track_caller]
    pub fn error(&self, event: &str) -> String {
        match self.invoke(event) {
            Outcome::Failed(error) => error["errorMessage"].as_str().unwrap().to_owned(),
            other => panic!("{event}: {other:?}"),
        }
    }

    /// Waits until it waits for an event, and the extension, too.
    pub fn wait_until_idle(&self) {
        wait_for(PATIENCE, "the function waits for events", || {
            let seen = self.platform.seen.lock().unwrap();
            seen.asked > 0 && seen.has_extension_waited
        });
    }

    /// What it has told Lambda, beyond its end.
    pub fn platform(&self) -> Arc<Platform> {
        self.platform.clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, as Lambda sends it before it ends an instance.
    pub fn terminate(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill_process(pid.unwrap(), Signal::TERM).unwrap();
    }

    /// Waits for its end; returns how it ended, and its log.
    pub fn end(mut self) -> (ExitStatus, String) {
        wait_for(PATIENCE, "the function ends", || {
            self.child.try_wait().unwrap().is_some()
        });
        let status = self.child.wait().unwrap();
        (status, self.log.take().unwrap().join().unwrap())
    }

    /// Kills it; returns its log.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(address: &str, variables: &[(&str, &str)]) -> Command {
    let (program, folder) = &*PROGRAM;
    let mut command = host_command(program);
    // Of whoever runs the tests.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if ["AWS_", "LAMBDA_", "OTEL_"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    command
        .env_remove("BIRTHDAY_ADMIN")
        .env_remove("BIRTHDAY_LISTEN")
        .env("AWS_LAMBDA_FUNCTION_NAME", "birthday")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_RUNTIME_API", address)
        .env("LAMBDA_TASK_ROOT", folder)
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    command
}

impl Platform {
    /// What the function has said of why it does not start.
    pub fn start_errors(&self) -> Vec<Value> {
        self.seen.lock().unwrap().start_errors.clone()
    }

    /// Once the beginning of an answer is read, does this before the rest is.
    pub fn after_first_bytes(&self, action: impl FnOnce() + Send + 'static) {
        *self.after_first_bytes.lock().unwrap() = Some(Box::new(action));
    }

    /// The extensions that it has registered.
    pub fn extensions(&self) -> Vec<(String, Value)> {
        self.seen.lock().unwrap().extensions.clone()
    }

    /// Answers the requests of one connection, until the function closes it.
    fn serve(&self, connection: &TcpStream) {
        let mut reader = BufReader::new(connection);
        while let Some(request) = Request::read(&mut reader, &mut |length| self.has_read(length)) {
            let Some(answer) = self.answer(&request) else {
                return;
            };
            let mut connection = connection;
            if connection.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// So much of a body was read, and the rest waits.
    fn has_read(&self, length: usize) {
        if length > FIRST_BYTES
            && let Some(action) = self.after_first_bytes.lock().unwrap().take()
        {
            action();
        }
    }

    fn answer(&self, request: &Request) -> Option<String> {
        let document = || serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let accepted = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_owned();
        match request.target.as_str() {
            "/2018-06-01/runtime/invocation/next" => {
                self.seen.lock().unwrap().asked += 1;
                // The test has ended if there is no other event.
                let (event, time) = self.events.lock().unwrap().recv().ok()?;
                let deadline = SystemTime::now() + time;
                let deadline = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap();
                Some(format!(
                    "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
                     Lambda-Runtime-Deadline-Ms: {}\r\nContent-Type: application/json\r\n\
                     Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-central-1:111111111111:function:birthday\r\n\
                     Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1\r\n\
                     Content-Length: {}\r\n\r\n{event}",
                    deadline.as_millis(),
                    event.len()
                ))
            }
            "/2018-06-01/runtime/init/error" => {
                self.seen.lock().unwrap().start_errors.push(document());
                Some(accepted)
            }
            "/2020-01-01/extension/register" => {
                let name = request.header("lambda-extension-name")?.to_owned();
                self.seen
                    .lock()
                    .unwrap()
                    .extensions
                    .push((name, document()));
                Some("HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: 7\r\nContent-Length: 2\r\n\r\n{}".to_owned())
            }
            "/2020-01-01/extension/event/next" => {
                assert_eq!(request.header("lambda-extension-identifier"), Some("7"));
                self.seen.lock().unwrap().has_extension_waited = true;
                // There is never an event: the thread waits as long as the tests run.
                loop {
                    thread::park();
                }
            }
            target => {
                let outcome = match target.strip_prefix(
                    "/2018-06-01/runtime/invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/",
                ) {
                    Some("response") => Outcome::Answered {
                        bytes: request.body.clone(),
                        is_streamed: request.header("lambda-runtime-function-response-mode")
                            == Some("streaming"),
                        trailers: request.trailers.clone(),
                    },
                    Some("error") => {
                        assert!(
                            request
                                .header("lambda-runtime-function-error-type")
                                .is_some()
                        );
                        Outcome::Failed(document())
                    }
                    _ => panic!("the function asks for {target}"),
                };
                self.outcomes.send(outcome).ok()?;
                Some(accepted)
            }
        }
    }
}

/// What the function has sent.
struct Request {
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<String>,
}

impl Request {
    /// Reads one, and says after each chunk of its body how long that is.
    fn read(reader: &mut impl BufRead, has_read: &mut impl FnMut(usize)) -> Option<Self> {
        let line = read_line(reader)?;
        let target = line.split(' ').nth(1)?.to_owned();
        let mut headers = Vec::new();
        while let Some((name, value)) = read_line(reader)?.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self {
            target,
            headers,
            body: Vec::new(),
            trailers: Vec::new(),
        };
        if request.header("transfer-encoding").is_some() {
            request.read_chunks(reader, has_read)?;
        } else {
            let length = request
                .header("content-length")
                .unwrap_or("0")
                .parse()
                .ok()?;
            request.body.resize(length, 0);
            reader.read_exact(&mut request.body).ok()?;
        }
        Some(request)
    }

    fn read_chunks(
        &mut self,
        reader: &mut impl BufRead,
        has_read: &mut impl FnMut(usize),
    ) -> Option<()> {
        loop {
            let length = usize::from_str_radix(&read_line(reader)?, 16).ok()?;
            if length == 0 {
                break;
            }
            let start = self.body.len();
            self.body.resize(start + length, 0);
            reader.read_exact(&mut self.body[start..]).ok()?;
            read_line(reader)?;
            has_read(self.body.len());
        }
        loop {
            match read_line(reader)? {
                line if line.is_empty() => return Some(()),
                line => self.trailers.push(line),
            }
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let read = reader.read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}
