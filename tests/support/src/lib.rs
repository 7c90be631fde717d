//! Parts of the machine that tests need.
//!
//! | module | answers |
//! |---|---|
//! | `cluster` | where does a private PostgreSQL come from? |
//! | `machine` | which programs and ports are there? |
//! | `tls` | how is that PostgreSQL encrypted? |
//! | `wait` | when has a state been reached? |

pub mod cluster;
pub mod machine;
#[cfg(feature = "tls")]
pub mod tls;
pub mod wait;
