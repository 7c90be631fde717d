//! The log: lines on standard error, written by a thread of their own, so that no request waits for the reader of the
//! log.
//!
//! Lines of `tracing` are written at once. Access lines, of which there is one for each request, are written many at a
//! time.

use super::access::AccessLine;
use super::line::{push, push_number, push_time};
use super::repeats::Repeats;
use parking_lot::{Condvar, Mutex};
use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context as LayerContext;

/// The most bytes that wait to be written. Lines that come while so much waits are dropped, and the log says how many.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// Access lines wait for so many bytes or for so long to be written.
const BATCH_BYTES: usize = 32 * 1024;
const BATCH_TIME: Duration = Duration::from_millis(100);

/// The most lines of one place in the code that are written in 5 seconds, and those of components together.
const MAX_LINES: u32 = 10;
const MAX_GUEST_LINES: u32 = 5000;

/// The target of what components print.
pub(crate) const GUEST: &str = "guest";

/// How long [`Log::flush`] waits for a reader that does not read.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The format of lines.
///
/// ```
/// # use http_component_runtime::LogFormat;
/// # use std::io::{IsTerminal, stderr};
/// let format = if stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people to read.
    Text,
    /// One JSON object each.
    Json,
}

/// The log of a process. Clones write to the same.
///
/// ```
/// use http_component_runtime::{Log, LogFormat};
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let log = Log::to_standard_error(LogFormat::Text)?;
/// // As a layer it leaves out lines that repeat; as a writer it takes the others.
/// let lines = tracing_subscriber::fmt::layer().with_writer(log.clone());
/// let subscriber = tracing_subscriber::registry().with(log.clone()).with(lines);
/// tracing::subscriber::with_default(subscriber, || tracing::info!("it works"));
/// log.flush();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Log {
    format: LogFormat,
    shared: Arc<Shared>,
    repeats: Arc<Repeats>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is more to write.
    changed: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Something in `lines` should be written at once.
    urgent: bool,
    dropped: u64,
    is_writing: bool,
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
            .spawn(move || writer.write_forever())?;
        Ok(Self {
            format,
            shared,
            repeats: Arc::default(),
        })
    }

    /// The format that it was made with.
    pub fn format(&self) -> LogFormat {
        self.format
    }

    /// Waits until everything is written, for at most a second: the reader may have stopped reading.
    pub fn flush(&self) {
        let mut waiting = self.shared.waiting.lock();
        waiting.urgent = true;
        self.shared.changed.notify_one();
        let is_left = |waiting: &mut Waiting| !waiting.lines.is_empty() || waiting.is_writing;
        // Nothing can be done about a reader that does not read.
        let _ = self
            .shared
            .written
            .wait_while_for(&mut waiting, is_left, FLUSH_TIMEOUT);
    }

    /// Adds the access line of a request that has ended.
    pub(crate) fn access(&self, line: &AccessLine<'_>) {
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            match self.format {
                LogFormat::Text => line.write_text(buffer),
                LogFormat::Json => line.write_json(buffer),
            }
            self.shared.add(buffer, false);
        });
    }
}

impl Shared {
    fn add(&self, line: &[u8], urgent: bool) {
        let mut waiting = self.waiting.lock();
        let before = waiting.lines.len();
        if before + line.len() > MAX_WAITING_BYTES {
            waiting.dropped += 1;
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

    fn write_forever(&self) {
        let mut lines = Vec::new();
        loop {
            let dropped = self.next(&mut lines);
            // If standard error is closed, there is no one to tell.
            let _ = io::stderr().write_all(&lines);
            if dropped > 0 {
                let _ = writeln!(
                    io::stderr(),
                    "{dropped} lines of the log were dropped: they were not read in time"
                );
            }
            lines.clear();
            self.waiting.lock().is_writing = false;
            self.written.notify_all();
        }
    }

    /// Waits for the next lines, swaps them with `lines`, and returns how many were dropped meanwhile.
    fn next(&self, lines: &mut Vec<u8>) -> u64 {
        let mut waiting = self.waiting.lock();
        self.changed
            .wait_while(&mut waiting, |waiting| waiting.lines.is_empty());
        let may_wait = |waiting: &mut Waiting| !waiting.urgent && waiting.lines.len() < BATCH_BYTES;
        self.changed
            .wait_while_for(&mut waiting, may_wait, BATCH_TIME);
        std::mem::swap(&mut waiting.lines, lines);
        waiting.urgent = false;
        waiting.is_writing = true;
        std::mem::take(&mut waiting.dropped)
    }
}

/// Collects one event of `tracing`, which is added to the log as a whole when this is dropped.
pub struct Event<'a> {
    log: &'a Shared,
    line: Vec<u8>,
}

impl Write for Event<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        self.log.add(&self.line, true);
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Event<'a>;

    fn make_writer(&'a self) -> Event<'a> {
        Event {
            log: &self.shared,
            line: Vec::new(),
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Event<'a> {
        let mut event = self.make_writer();
        let left_out = self.repeats.take_left_out(metadata.name());
        if left_out > 0 {
            write_left_out(&mut event.line, self.format, left_out);
        }
        event
    }
}

/// Leaves out the lines that repeat, before they are formatted.
impl<S: Subscriber> Layer<S> for Log {
    fn event_enabled(&self, event: &tracing::Event<'_>, _: LayerContext<'_, S>) -> bool {
        let metadata = event.metadata();
        let max = match metadata.target() {
            GUEST => MAX_GUEST_LINES,
            // Those who ask for more detail get all of it.
            _ if *metadata.level() > Level::INFO => return true,
            _ => MAX_LINES,
        };
        self.repeats.admit(metadata.name(), max, Instant::now())
    }
}

/// Appends a line that says that so many `lines` like the next one were left out.
fn write_left_out(out: &mut Vec<u8>, format: LogFormat, lines: u32) {
    const LEFT_OUT: &str = " lines like the next one were left out";

    match format {
        LogFormat::Text => {
            push_time(out);
            push(out, &["  WARN log: "]);
            push_number(out, lines);
            push(out, &[LEFT_OUT, "\n"]);
        }
        LogFormat::Json => {
            push(out, &["{\"timestamp\":\""]);
            push_time(out);
            let fields = "\",\"level\":\"WARN\",\"target\":\"log\",\"message\":\"";
            push(out, &[fields]);
            push_number(out, lines);
            push(out, &[LEFT_OUT, "\"}\n"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_json_in_a_log_of_json() {
        let mut line = Vec::new();
        write_left_out(&mut line, LogFormat::Json, 7);
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "7 lines like the next one were left out");
    }
}
