//! The black-box tests of the birthday API, and the code to run them.
//!
//! | module | answers |
//! |---|---|
//! | `contract` | which requests get which answers, in every runtime? |
//! | `days` | how many days is it to which birthday, at which time of the clock? |
//! | `files` | can every file of the pages be had in each coding, and be revalidated? |
//! | `client` | how is a request sent exactly as it is written? |
//! | `load` | what comes of requests at a steady rate, and is every acknowledged write there? |
//! | `operator`, `upstream` | how is the store filled, saved and emptied, and from which server? |
//! | `precompiled` | how is a component marked for another architecture? |
//! | `service` | how is a service started, found and stopped? |

pub mod client;
pub mod contract;
pub mod days;
mod files;
pub mod load;
pub mod operator;
pub mod precompiled;
pub mod service;
pub mod upstream;
