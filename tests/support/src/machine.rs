//! Programs and ports of this machine.

use std::env;
use std::net::TcpListener;
use std::path::PathBuf;

/// The program of this name on PATH, or where Debian installs services, which is not on the PATH of every account.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// A port that no program listens on. Another one may be faster to take it.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}
