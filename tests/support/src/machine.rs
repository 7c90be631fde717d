//! Programs and ports of this machine.

use std::env;
use std::net::TcpListener;
use std::ops::Range;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// The program of this name on PATH, or where Debian installs services, which is not on the PATH of every account.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// The ports that are given to servers: below those that systems take for outgoing connections (Linux from 32,768), which would
/// be as free a moment before. A cluster of Redis listens at 10,000 more, too, which is also below.
const PORTS: Range<u32> = 10_000..22_000;

/// A port that no program listens on, and that is given once in this process. Another one may be faster to take it.
///
/// # Panics
/// If there is none.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let count = PORTS.end - PORTS.start;
    // Processes that run beside each other begin far apart.
    let first = process::id().wrapping_mul(7919);
    for _ in 0..count {
        let number = first.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORTS.start + number % count).expect("it is a port");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}
