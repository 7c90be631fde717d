//! Parts of the machine that tests need.
//!
//! | module | answers |
//! |---|---|
//! | `cluster` | where does a private PostgreSQL come from? |
//! | `dynamodb` | where does a private DynamoDB come from? |
//! | `machine` | which programs and ports are there? |
//! | `patroni` | where do servers that fail over come from? |
//! | `pooler` | where does a pooler before it come from? |
//! | `redis` | where does a private Redis come from? |
//! | `tls` | how is that PostgreSQL encrypted? |
//! | `wait` | when has a state been reached? |

pub mod cluster;
pub mod dynamodb;
pub mod machine;
pub mod patroni;
pub mod pooler;
pub mod redis;
#[cfg(feature = "tls")]
pub mod tls;
pub mod wait;
