//! A server that people are fetched from, which answers as a test says.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What it answers to the next requests.
#[derive(Clone, Debug)]
pub enum Behavior {
    /// `200` with this content.
    Content(String),
    /// These bytes, and the end of the connection.
    Raw(String),
    /// To this path; there it has the content.
    Redirect(&'static str, String),
    /// Nothing, for so long.
    Silent(Duration),
}

/// The token that it wants to see.
pub const KEY: &str = "k3y/+=";

/// The server. It serves until the process ends.
#[derive(Clone)]
pub struct Upstream {
    pub url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    behavior: Behavior,
    /// The heads of the requests since the behavior was set.
    requests: Vec<String>,
}

impl Upstream {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(Mutex::new(State {
            behavior: Behavior::Content("[]".to_owned()),
            requests: Vec::new(),
        }));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = shared.clone();
                thread::spawn(move || answer(stream, &state));
            }
        });
        Self {
            url: format!("http://{address}/people?format=json"),
            state,
        }
    }

    /// From now on it answers so.
    pub fn set(&self, behavior: Behavior) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State {
            behavior,
            requests: Vec::new(),
        };
    }

    /// The heads of the requests since then.
    pub fn requests(&self) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests.clone()
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    let mut head = String::new();
    let mut reader = BufReader::new(&stream);
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let behavior = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests.push(head.clone());
        state.behavior.clone()
    };
    let text = match behavior {
        Behavior::Content(content) => ok(&content),
        Behavior::Raw(text) => text,
        Behavior::Redirect(path, content) if head.starts_with(&format!("GET {path} ")) => {
            ok(&content)
        }
        Behavior::Redirect(path, _) => format!(
            "HTTP/1.1 302 Found\r\nLocation: {path}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
        Behavior::Silent(time) => {
            thread::sleep(time);
            return;
        }
    };
    // The service may have gone.
    let _ = stream.write_all(text.as_bytes());
}

fn ok(content: &str) -> String {
    let length = content.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{content}"
    )
}
