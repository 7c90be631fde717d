//! Private accounts of AWS: moto's server, which `scripts/install-moto` installs.

use birthday_tests::service::target;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use test_support::machine::free_port;
use test_support::wait::wait_for;

/// A server with S3 and STS on a port of its own. It keeps everything in memory, and takes any signature; a role that is assumed
/// is of the account that its ARN names.
pub struct Moto {
    port: u16,
    python: PathBuf,
    process: Child,
}

impl Moto {
    /// `None` if moto is not installed.
    pub fn start() -> Option<Self> {
        let tools = target().join("tools");
        let python = tools.join("moto/bin/python");
        let program = Some(tools.join("moto/bin/moto_server")).filter(|path| path.is_file())?;
        let port = free_port();
        let process = Command::new(&python)
            .arg(program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let moto = Self {
            port,
            python,
            process: process.unwrap(),
        };
        wait_for(Duration::from_secs(300), "moto starts", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(moto)
    }

    /// The URL to ask.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The same as host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What a program of Python prints, which may use boto3 and botocore, and has these arguments.
    #[track_caller]
    pub fn python(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(&self.python)
            .args(["-c", program])
            .args(arguments)
            .env("AWS_ENDPOINT_URL", self.endpoint())
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_DEFAULT_REGION", "eu-central-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {error}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server in front of another one, which keeps what clients send.
pub struct Recorder {
    pub endpoint: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// What was sent over each connection.
    sent: Mutex<Vec<Vec<u8>>>,
    after_first_bytes: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

/// The beginning of an upload, in bytes.
const FIRST_BYTES: usize = 100_000;

impl Recorder {
    /// In front of the server at `address`.
    pub fn start(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<State>::default();
        let kept = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(&address).unwrap();
                let from_server = server.try_clone().unwrap();
                let to_client = client.try_clone().unwrap();
                thread::spawn(move || forward(from_server, to_client, |_| {}));
                let kept = kept.clone();
                let index = {
                    let mut sent = kept.sent.lock().unwrap();
                    sent.push(Vec::new());
                    sent.len() - 1
                };
                thread::spawn(move || forward(client, server, |bytes| kept.keep(index, bytes)));
            }
        });
        Self { endpoint, state }
    }

    /// Once the beginning of an upload was sent, does this before the rest is.
    pub fn after_first_bytes(&self, action: impl FnOnce() + Send + 'static) {
        *self.state.after_first_bytes.lock().unwrap() = Some(Box::new(action));
    }

    /// The heads of the requests, in no order of connections.
    pub fn heads(&self) -> Vec<String> {
        let sent = self.state.sent.lock().unwrap();
        sent.iter()
            .flat_map(|connection| heads(connection))
            .collect()
    }
}

impl State {
    fn keep(&self, connection: usize, bytes: &[u8]) {
        let length = {
            let sent = &mut self.sent.lock().unwrap()[connection];
            sent.extend_from_slice(bytes);
            sent.len()
        };
        if length > FIRST_BYTES
            && let Some(action) = self.after_first_bytes.lock().unwrap().take()
        {
            action();
        }
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, mut keep: impl FnMut(&[u8])) {
    let mut bytes = vec![0; 65536];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        keep(&bytes[..length]);
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    // The other direction may be closed already.
    let _ = to.shutdown(Shutdown::Write);
}

/// The heads of requests with a length, one after another.
fn heads(mut bytes: &[u8]) -> Vec<String> {
    let mut heads = Vec::new();
    while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().unwrap())
        });
        heads.push(head);
        let next = end + 4 + length.unwrap_or(0);
        bytes = bytes.get(next..).unwrap_or_default();
    }
    heads
}
