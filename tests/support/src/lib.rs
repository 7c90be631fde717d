//! What tests need of the machine.
//!
//! | module | answers |
//! |---|---|
//! | `cluster` | where does a private PostgreSQL come from? |
//! | `machine` | which programs and ports are there? |
//! | `wait` | when is something as it should be? |

pub mod cluster;
pub mod machine;
pub mod wait;
