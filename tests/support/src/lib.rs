//! Parts of the machine that tests need.
//!
//! | module | answers |
//! |---|---|
//! | `cluster` | where does a private PostgreSQL come from? |
//! | `machine` | which programs and ports are there? |
//! | `wait` | when has a state been reached? |

pub mod cluster;
pub mod machine;
pub mod wait;
