//! Callers that mean harm, against a host that may take 128 MiB: it is not killed, and others are served. One attack at a time,
//! apart from the other tests, because an attack takes all of the machine that it can get.
#![expect(
    clippy::unwrap_used,
    reason = "in a test, what is not there is a failure"
)]

#[expect(dead_code, reason = "the other tests of the host use the rest")]
mod http2;
#[expect(dead_code, reason = "the other tests of the host use the rest")]
mod support;

use crate::http2::{
    ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, SETTINGS, WINDOW_UPDATE,
    frame, head, preface,
};
use crate::support::{SHELL, after, command};
use birthday_tests::client;
use birthday_tests::load::RaisedOnDrop;
use birthday_tests::service::Service;
use procfs::process::Process;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

const MIB: u64 = 1024 * 1024;
const MEMORY: u64 = 128 * MIB;
const ATTACK_TIME: Duration = Duration::from_secs(4);
const SAMPLES: u32 = 20;

/// What a well-behaved caller waits at most, for 99 of 100 answers. The attackers and the callers share the cores of a test
/// machine with the host, and other tests run beside.
const PATIENCE: Duration = Duration::from_millis(500);

/// A control group with 128 MiB of memory.
struct ControlGroup {
    folder: PathBuf,
    /// The file with the most memory that it has taken.
    peak: PathBuf,
}

impl ControlGroup {
    /// `None` where this user may not make one.
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("birthday-{}-{count}", process::id());
        for (root, limit, peak) in [
            (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.max_usage_in_bytes",
            ),
            ("/sys/fs/cgroup", "memory.max", "memory.peak"),
        ] {
            let folder = Path::new(root).join(&name);
            let group = Self {
                peak: folder.join(peak),
                folder,
            };
            if fs::create_dir(&group.folder).is_ok()
                && fs::write(group.folder.join(limit), MEMORY.to_string()).is_ok()
            {
                return Some(group);
            }
        }
        None
    }

    /// In bytes. `None` in version 2 before Linux 5.19.
    fn peak(&self) -> Option<u64> {
        let peak = fs::read_to_string(&self.peak).ok()?;
        Some(peak.trim().parse().unwrap())
    }

    /// The same command, in this group.
    fn around(&self, inner: &Command) -> Command {
        after(SHELL, r#"echo $$ > "$0/cgroup.procs""#, &self.folder, inner)
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

/// A host with so much memory. Fields are dropped in this order.
struct Confined {
    service: Service,
    group: Option<ControlGroup>,
}

fn confined(arguments: &[&str]) -> Confined {
    let group = ControlGroup::new();
    let mut command = command(arguments);
    command.args(["--idle-timeout", "60s"]);
    let mut command = match &group {
        Some(group) => group.around(&command),
        None => {
            command.args(["--process-memory", "128MiB"]);
            command
        }
    };
    Confined {
        service: Service::start(&mut command),
        group,
    }
}

impl Confined {
    /// Its memory now, in bytes. Pages that many instances share count once, as for the limit; in the resident set they count
    /// for each instance.
    fn memory(&self) -> u64 {
        let process = Process::new(self.service.pid() as i32);
        let maps = process.and_then(|process| process.smaps_rollup());
        let maps = maps.expect("it was not killed").memory_map_rollup;
        maps.iter().map(|map| map.extension.map["Pss"]).sum()
    }
}

/// What well-behaved callers saw.
#[derive(Default)]
struct Seen {
    answered: usize,
    refused: usize,
    failed: usize,
    times: Vec<Duration>,
}

impl Seen {
    fn note(&mut self, answer: io::Result<String>, took: Duration) {
        let answer = answer.unwrap_or_default();
        match answer.split(' ').nth(1) {
            Some("200" | "204") => self.answered += 1,
            Some("503") if answer.contains("retry-after: ") => self.refused += 1,
            _ => {
                self.failed += 1;
                return;
            }
        }
        self.times.push(took);
    }

    fn percentile_99(&mut self) -> Duration {
        self.times.sort();
        self.times[self.times.len() * 99 / 100]
    }
}

/// Saves and asks, each time over a new connection, until `stop`.
fn behave_well(service: &Service, stop: &AtomicBool) -> Seen {
    const HEAD: &str = "HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    let body = r#"{"dateOfBirth":"2000-10-01"}"#;
    let length = body.len();
    let put = format!("PUT /hello/bob {HEAD}Content-Length: {length}\r\n\r\n{body}");
    let get = format!("GET /hello/bob {HEAD}\r\n");
    let mut seen = Seen::default();
    while !stop.load(Ordering::Relaxed) {
        for request in [&put, &get] {
            let start = Instant::now();
            let answer = client::send_bytes(&service.url, request.as_bytes());
            seen.note(answer, start.elapsed());
        }
        sleep(Duration::from_millis(5));
    }
    seen
}

/// Has `attackers` threads run `attack` for some seconds, each again and again, and asserts what others see of it.
#[track_caller]
fn check(
    name: &str,
    attackers: usize,
    attack: impl Fn(&str, &AtomicBool) -> io::Result<()> + Sync,
) {
    check_host(name, &confined(&[]), attackers, attack);
}

/// Returns the most memory that the host has taken, in bytes.
#[track_caller]
fn check_host(
    name: &str,
    host: &Confined,
    attackers: usize,
    attack: impl Fn(&str, &AtomicBool) -> io::Result<()> + Sync,
) -> u64 {
    static ATTACK: Mutex<()> = Mutex::new(());
    let _one_at_a_time = ATTACK.lock().unwrap_or_else(PoisonError::into_inner);
    let address = host.service.url.trim_start_matches("http://");
    let stop = AtomicBool::new(false);
    let mut sampled = 0;
    let mut seen = thread::scope(|scope| {
        let _stop = RaisedOnDrop(&stop);
        for _ in 0..attackers {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // A host that resists ends the connection.
                    let _ = attack(address, &stop);
                }
            });
        }
        // By now the attack has taken what it can.
        sleep(ATTACK_TIME / 4);
        let caller = scope.spawn(|| behave_well(&host.service, &stop));
        for _ in 0..SAMPLES {
            sleep(ATTACK_TIME / SAMPLES);
            sampled = sampled.max(host.memory());
        }
        stop.store(true, Ordering::Relaxed);
        caller.join().unwrap()
    });
    let peak = host.group.as_ref().and_then(ControlGroup::peak);
    let (slow, peak) = (seen.percentile_99(), peak.unwrap_or(sampled));
    let Seen {
        answered,
        refused,
        failed,
        ..
    } = seen;
    let report = format!(
        "{name}: {answered} answered, {refused} refused, {failed} failed; 99 of 100 within {slow:?}; peak {} MiB",
        peak / MIB
    );
    println!("{report}");
    let all = answered + refused + failed;
    assert!(
        answered * 100 >= all * 95 && failed * 100 <= all,
        "{report}"
    );
    assert!(slow < PATIENCE, "{report}");
    assert!(peak < MEMORY, "{report}");
    peak
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    Ok(stream)
}

/// Connections to `address`, each with `first` sent, as many as there can be up to `count`.
fn many(address: &str, count: usize, stop: &AtomicBool, first: &[u8]) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    while streams.len() < count && !stop.load(Ordering::Relaxed) {
        if let Ok(mut stream) = connect(address)
            && stream.write_all(first).is_ok()
        {
            streams.push(stream);
        }
    }
    streams
}

/// Keeps `streams` open, and sends a byte on each from time to time.
fn dribble(mut streams: Vec<TcpStream>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) && !streams.is_empty() {
        streams.retain_mut(|stream| stream.write_all(b"x").is_ok());
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn slow_bodies_of_http1() {
    check("slow HTTP/1 bodies", 2, |address, stop| {
        let head = b"PUT /hello/eve HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n";
        dribble(many(address, 800, stop, head), stop);
        Ok(())
    });
}

#[test]
fn long_slow_bodies_of_http1() {
    let start = [
        b"PUT /hello/eve HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n".as_slice(),
        &[b'x'; 20_000],
    ]
    .concat();
    check("long slow HTTP/1 bodies", 2, |address, stop| {
        dribble(many(address, 800, stop, &start), stop);
        Ok(())
    });
}

/// Streams without an end on each connection, opened again as they are refused.
fn slow_streams(address: &str, stop: &AtomicBool, length: usize, sent: usize) -> io::Result<()> {
    const STREAMS: u32 = 120;
    let mut stream = connect(address)?;
    stream.write_all(&preface(&[]))?;
    let mut reader = stream.try_clone()?;
    thread::scope(|scope| {
        scope.spawn(|| drain(&mut reader));
        let result = (|| {
            let mut number = 1;
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..STREAMS {
                    let head = head("PUT", "/hello/eve", Some(length));
                    stream.write_all(&frame(HEADERS, END_HEADERS, number, &head))?;
                    stream.write_all(&frame(DATA, 0, number, &vec![b'x'; sent]))?;
                    number += 2;
                }
                sleep(Duration::from_millis(500));
            }
            Ok(())
        })();
        let _ = stream.shutdown(std::net::Shutdown::Both);
        result
    })
}

/// Reads what comes until the end; returns it.
fn drain(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        bytes.extend(&buffer[..length]);
    }
    bytes
}

#[test]
fn slow_bodies_of_http2() {
    check("slow HTTP/2 bodies", 8, |address, stop| {
        slow_streams(address, stop, 4000, 16)
    });
}

#[test]
fn bodies_of_http2_that_fill_their_windows() {
    check("full HTTP/2 windows", 64, |address, stop| {
        slow_streams(address, stop, 1_000_000, 1000)
    });
}

/// A head of 31 KiB, and no end of it.
fn long_head() -> Vec<u8> {
    let start = b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: ";
    [start.as_slice(), &[b'x'; 31 * 1024]].concat()
}

#[test]
fn long_heads_that_do_not_end() {
    let head = long_head();
    check("31 KiB heads", 2, |address, stop| {
        dribble(many(address, 2000, stop, &head), stop);
        Ok(())
    });
}

/// Each takes the place of another, which has to end before: they do not take more than those that stay (43 MiB; so much more
/// if none waits).
#[test]
fn long_heads_one_after_the_other() {
    let (name, head) = ("31 KiB heads, over and over", long_head());
    let peak = check_host(name, &confined(&[]), 4, |address, stop| {
        many(address, 2000, stop, &head);
        Ok(())
    });
    assert!(peak < MEMORY / 2, "{} MiB", peak / MIB);
}

#[test]
fn idle_connections() {
    check("idle connections", 2, |address, stop| {
        let streams = many(address, 4000, stop, b"");
        while !stop.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(50));
        }
        drop(streams);
        Ok(())
    });
}

#[test]
fn answers_that_are_not_read() {
    let no_window = [0, 4, 0, 0, 0, 0];
    check("answers without a window", 64, |address, stop| {
        let mut stream = connect(address)?;
        stream.write_all(&preface(&no_window))?;
        for number in 0..100 {
            let head = head("GET", "/openapi.json", None);
            let frame = frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &head);
            stream.write_all(&frame)?;
        }
        while !stop.load(Ordering::Relaxed) && stream.write_all(&frame(PING, 0, 0, &[0; 8])).is_ok()
        {
            sleep(Duration::from_millis(100));
        }
        Ok(())
    });
}

/// Sends `frames` as fast as it can, until the host ends the connection, and returns whether the host said why.
fn flood(address: &str, stop: &AtomicBool, first: &[u8], frames: &[u8]) -> io::Result<bool> {
    /// The last bytes of a GOAWAY frame for this reason.
    const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 0xb];
    let mut stream = connect(address)?;
    stream.write_all(&preface(&[]))?;
    stream.write_all(first)?;
    let mut reader = stream.try_clone()?;
    thread::scope(|scope| {
        let received = scope.spawn(move || drain(&mut reader));
        let many = frames.repeat(16 * 1024 / frames.len() + 1);
        while !stop.load(Ordering::Relaxed) && stream.write_all(&many).is_ok() {}
        let _ = stream.shutdown(std::net::Shutdown::Both);
        let received = received.join().unwrap();
        let is_told = received.ends_with(&ENHANCE_YOUR_CALM)
            && received[..received.len() - 8].ends_with(&[0, 0, 8, GOAWAY, 0, 0, 0, 0, 0]);
        Ok(is_told)
    })
}

#[test]
fn floods_of_frames() {
    // A header field of 4 KB that is kept in the table, and then a head that names it 16,000 times.
    let large = [b"\x40\x01a\x7f\x81\x1e".as_slice(), &[b'x'; 4000]].concat();
    let bomb = frame(HEADERS, END_HEADERS | END_STREAM, 3, &[0xbe; 16_000]);
    let mut first = head("GET", "/health", None);
    first.extend(large);
    let first = frame(HEADERS, END_HEADERS | END_STREAM, 1, &first);
    for (name, first, frames) in [
        ("SETTINGS", vec![], frame(SETTINGS, 0, 0, &[])),
        ("PING", vec![], frame(PING, 0, 0, &[0; 8])),
        ("PING ACK", vec![], frame(PING, ACK, 0, &[0; 8])),
        ("PRIORITY", vec![], frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 9])),
        (
            "WINDOW_UPDATE",
            vec![],
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        ),
        ("HPACK", first, bomb),
    ] {
        let told = AtomicU32::new(0);
        let host = confined(&[]);
        check_host(&format!("flood of {name}"), &host, 4, |address, stop| {
            let is_told = flood(address, stop, &first, &frames)?;
            told.fetch_add(is_told.into(), Ordering::Relaxed);
            Ok(())
        });
        // One of a bomb is still on its way when the host closes the connection, which then resets it.
        if name != "HPACK" {
            assert!(told.load(Ordering::Relaxed) > 0, "{name}: never told");
        }
        // 4 attackers for 5 s: without a limit on lines, hundreds of megabytes.
        assert!(host.service.log().len() < 100_000, "{name} fills the log");
    }
}

#[test]
fn one_address_has_its_share_of_connections() {
    let host = confined(&["--max-connections-per-address", "5"]);
    let address = host.service.url.trim_start_matches("http://");
    // Served once, because threads accept on their own, and the last of these could come before the first.
    let open: Vec<_> = (0..5)
        .map(|_| {
            let mut stream = connect(address).unwrap();
            stream
                .write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
                .unwrap();
            assert!(stream.read(&mut [0; 512]).unwrap() > 0);
            stream
        })
        .collect();
    let ask = || client::get(&format!("{}/health", host.service.url));
    assert!(ask().is_err(), "a sixth is served");
    drop(open);
    test_support::wait::wait_for(Duration::from_secs(5), "a place", || ask().is_ok());
}
