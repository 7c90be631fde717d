//! The log: lines on standard error, written by a thread of their own, so that no request waits for whoever
//! reads them.
//!
//! Lines of `tracing` are written at once; access lines, of which there is one for each request, are written
//! many at a time.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing_subscriber::fmt::MakeWriter;

/// How much may wait to be written, in bytes; what comes while so much waits is left out, and the log says so.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// Access lines wait for so many bytes or for so long to be written.
const BATCH_BYTES: usize = 32 * 1024;
const BATCH_TIME: Duration = Duration::from_millis(100);

/// How long [`Log::flush`] waits for a reader that does not read.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The target of access lines, for `RUST_LOG`.
pub const ACCESS: &str = "access";

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object each.
    Json,
}

/// The log of a process. Clones write to the same.
#[derive(Clone)]
pub struct Log {
    format: LogFormat,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is something to write, or more of it.
    changed: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Something in `lines` should be written at once.
    urgent: bool,
    left_out: u64,
    is_writing: bool,
}

/// What is logged of a request, when it has ended.
pub(crate) struct Access<'a> {
    pub request_id: &'a str,
    pub trace_id: Option<&'a str>,
    pub method: &'static str,
    pub route: &'static str,
    pub status: u16,
    pub duration: Duration,
}

impl Log {
    /// Starts the thread that writes to standard error.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn to_standard_error(format: LogFormat) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let writer = shared.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_for_ever())?;
        Ok(Self { format, shared })
    }

    pub fn format(&self) -> LogFormat {
        self.format
    }

    /// Waits until everything is written, or until nobody seems to read it.
    pub fn flush(&self) {
        let mut waiting = self.shared.waiting();
        waiting.urgent = true;
        self.shared.changed.notify_one();
        let left = |waiting: &mut Waiting| !waiting.lines.is_empty() || waiting.is_writing;
        // Nothing can be done about a reader that does not read.
        let _ = self
            .shared
            .written
            .wait_timeout_while(waiting, FLUSH_TIMEOUT, left);
    }

    pub(crate) fn access(&self, access: &Access<'_>) {
        thread_local! {
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            match self.format {
                LogFormat::Text => access.write_text(line),
                LogFormat::Json => access.write_json(line),
            }
            self.shared.add(line, false);
        });
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8], urgent: bool) {
        let mut waiting = self.waiting();
        let before = waiting.lines.len();
        if before + line.len() > MAX_WAITING_BYTES {
            waiting.left_out += 1;
            return;
        }
        waiting.lines.extend_from_slice(line);
        let is_full = |length| length >= BATCH_BYTES;
        let has_filled = is_full(waiting.lines.len()) && !is_full(before);
        let has_become_urgent = urgent && !waiting.urgent;
        waiting.urgent |= urgent;
        drop(waiting);
        if before == 0 || has_filled || has_become_urgent {
            self.changed.notify_one();
        }
    }

    fn write_for_ever(&self) {
        let mut lines = Vec::new();
        loop {
            let is_idle = |waiting: &mut Waiting| waiting.lines.is_empty();
            let waiting = self.changed.wait_while(self.waiting(), is_idle);
            let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
            let may_wait =
                |waiting: &mut Waiting| !waiting.urgent && waiting.lines.len() < BATCH_BYTES;
            let waited = self
                .changed
                .wait_timeout_while(waiting, BATCH_TIME, may_wait);
            let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut waiting.lines, &mut lines);
            waiting.urgent = false;
            waiting.is_writing = true;
            let left_out = std::mem::take(&mut waiting.left_out);
            drop(waiting);
            // Where standard error is closed, nobody wants to know.
            let _ = io::stderr().write_all(&lines);
            if left_out > 0 {
                let _ = writeln!(
                    io::stderr(),
                    "{left_out} lines of the log were left out: they were not read in time"
                );
            }
            lines.clear();
            self.waiting().is_writing = false;
            self.written.notify_all();
        }
    }
}

/// Takes one event of `tracing`, whole.
pub struct Event<'a>(&'a Shared, Vec<u8>);

impl Write for Event<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        self.0.add(&self.1, true);
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Event<'a>;

    fn make_writer(&'a self) -> Event<'a> {
        Event(&self.shared, Vec::new())
    }
}

/// Written by hand, because it is done for every request. No value has a character in it that JSON would escape.
impl Access<'_> {
    fn write_text(&self, out: &mut Vec<u8>) {
        push_time(out);
        push(
            out,
            &["  INFO ", ACCESS, ": ", self.method, " ", self.route, " "],
        );
        push_number(out, self.status);
        push(out, &[" "]);
        self.push_milliseconds(out);
        push(out, &["ms request_id=", self.request_id]);
        if let Some(trace_id) = self.trace_id {
            push(out, &[" trace_id=", trace_id]);
        }
        push(out, &["\n"]);
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        push(out, &["{\"timestamp\":\""]);
        push_time(out);
        push(out, &["\",\"level\":\"INFO\",\"target\":\"", ACCESS]);
        push(out, &["\",\"request_id\":\"", self.request_id]);
        if let Some(trace_id) = self.trace_id {
            push(out, &["\",\"trace_id\":\"", trace_id]);
        }
        push(out, &["\",\"method\":\"", self.method]);
        push(out, &["\",\"route\":\"", self.route, "\",\"status\":"]);
        push_number(out, self.status);
        push(out, &[",\"duration_ms\":"]);
        self.push_milliseconds(out);
        push(out, &["}\n"]);
    }

    /// To the microsecond.
    fn push_milliseconds(&self, out: &mut Vec<u8>) {
        let microseconds = self.duration.as_micros();
        push_number(out, microseconds / 1000);
        push(out, &["."]);
        push_digits::<3>(out, (microseconds % 1000) as u32);
    }
}

fn push(out: &mut Vec<u8>, texts: &[&str]) {
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}

fn push_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    push(out, &[itoa::Buffer::new().format(number)]);
}

/// The last `N` decimal digits of `number`.
fn push_digits<const N: usize>(out: &mut Vec<u8>, mut number: u32) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits);
}

/// The time as `tracing` writes it.
fn push_time(out: &mut Vec<u8>) {
    thread_local! {
        /// A second since 1970, and how it begins.
        static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != since.as_secs() {
            *second = since.as_secs();
            let time = UNIX_EPOCH + Duration::from_secs(*second);
            *text = humantime::format_rfc3339_seconds(time).to_string();
            // The zone.
            text.pop();
        }
        push(out, &[text, "."]);
    });
    push_digits::<6>(out, since.subsec_micros());
    push(out, &["Z"]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS_LINE: Access<'_> = Access {
        request_id: "abc",
        trace_id: Some("def"),
        method: "GET",
        route: "/hello/{username}",
        status: 200,
        duration: Duration::from_micros(12_034),
    };

    #[test]
    fn an_access_line_is_json() {
        let mut line = Vec::new();
        ACCESS_LINE.write_json(&mut line);
        assert!(line.ends_with(b"}\n"));
        let mut line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let timestamp = line["timestamp"].take();
        humantime::parse_rfc3339(timestamp.as_str().unwrap()).unwrap();
        let expected = serde_json::json!({
            "timestamp": null,
            "level": "INFO",
            "target": "access",
            "request_id": "abc",
            "trace_id": "def",
            "method": "GET",
            "route": "/hello/{username}",
            "status": 200,
            "duration_ms": 12.034,
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn an_access_line_is_text() {
        let mut line = Vec::new();
        ACCESS_LINE.write_text(&mut line);
        let line = String::from_utf8(line).unwrap();
        let (time, rest) = line.split_once("  INFO ").unwrap();
        humantime::parse_rfc3339(time).unwrap();
        let expected = "access: GET /hello/{username} 200 12.034ms request_id=abc trace_id=def\n";
        assert_eq!(rest, expected);
    }
}
