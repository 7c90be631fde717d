//! Where clients come in: everything around the application.
//!
//! | module | answers |
//! |---|---|
//! | `server` | how are connections accepted, bounded and drained? |
//! | `connection` | how is one connection served, and when is it closed? |
//! | `activity` | what is a connection doing, and what has it not done in time? |
//! | `tls` | how are connections encrypted? |
//! | `exchange` | what is noted of a request and its response? |
//! | `problem_count` | which problem documents were answered? |
//! | `route` | which route does a path belong to? |

mod activity;
mod connection;
mod exchange;
mod problem_count;
mod route;
mod server;
mod tls;

pub use exchange::Edge;
pub use route::{InvalidRoute, Routes};
pub use server::Server;
pub use tls::{Tls, TlsError};
