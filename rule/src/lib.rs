//! The rule of the birthday API: which usernames and dates of birth are valid, how many days are left until the birthday, and what
//! the message says.
//!
//! It is pure: the current day is an argument. The service (`component/`) and the library component (`greeting/`) are made of it.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod date_of_birth;
mod message;
mod username;

pub use date_of_birth::{DateOfBirth, InvalidDate, LeapDay, date};
pub use message::message;
pub use time::Date;
pub use username::{InvalidUsername, Username};
