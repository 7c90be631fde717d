//! Where clients come in: everything around the application.
//!
//! | module | answers |
//! |---|---|
//! | `server` | how are connections accepted, bounded and drained? |
//! | `open` | how many connections may be open, and which are shed for others? |
//! | `connection` | how is one connection served, and when is it closed? |
//! | `activity` | what is a connection doing, and what has it not done in time? |
//! | `stream` | what does a connection hold, by the bytes that come? |
//! | `frames` | are the frames of an HTTP/2 connection worth their cost? |
//! | `receiving` | is the body of a request cut off? |
//! | `received` | how far is the body of a request read? |
//! | `date` | which time do answers show? |
//! | `tls` | how are connections encrypted? |
//! | `exchange` | what is noted of a request and its response? |
//! | `problem_count` | which problem documents were answered? |
//! | `route` | which route does a path belong to? |

mod activity;
mod connection;
mod date;
mod exchange;
mod frames;
mod open;
mod problem_count;
mod received;
mod receiving;
mod route;
mod server;
mod stream;
mod tls;

pub use exchange::Edge;
pub use route::{InvalidRoute, Route, Routes};
pub use server::Server;
pub use tls::{Tls, TlsError};
