//! The host as a client of PostgreSQL.
//!
//! | module | answers |
//! |---|---|
//! | `setup` | what has to be in the database before? |
//! | `tls` | when is the connection encrypted, and whom does the host trust? |
//! | `sharing` | how many connections are there? |
//! | `group_commit` | which writes are committed together, and what if one of them fails? |
//! | `slow_statements` | what if a statement takes long? |
//! | `outages` | what if the server is away? |
//! | `failover` | which of several servers is used? |
//! | `pooler` | what if a pooler is between the host and the server? |
//! | `durability` | what is left of a write that was acknowledged? |

mod durability;
mod failover;
mod group_commit;
mod outages;
mod pooler;
mod setup;
mod sharing;
mod slow_statements;
mod support;
mod tls;
