//! The black-box tests of the birthday API, and what it takes to run them.
//!
//! | module | answers |
//! |---|---|
//! | `contract` | which requests get which answers, whatever serves them? |
//! | `days` | which birthday is how many days away, when the clock shows what? |
//! | `client` | how is a request sent, just as it is written? |
//! | `service` | how is a service started, found and stopped? |

pub mod client;
pub mod contract;
pub mod days;
pub mod service;
