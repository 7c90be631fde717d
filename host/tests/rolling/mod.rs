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

use std::time::Duration;

/// More than any test waits for a state that has to come.
const PATIENCE: Duration = Duration::from_secs(10);
