//! Two hosts behind a proxy, restarted one after the other while clients send requests.
//!
//! | module | answers |
//! |---|---|
//! | `backend` | how is a host started again at the same address? |
//! | `proxy` | how is haproxy run, and which hosts does it send requests to? |
//! | `load` | what do the clients send, and which requests failed? |
//! | `restarts` | which requests may fail while hosts are restarted? |

mod backend;
pub mod load;
mod proxy;
mod restarts;

use std::net::TcpListener;
use std::time::Duration;

/// More than any test waits for a state that has to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ports that were free a moment ago.
fn ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
