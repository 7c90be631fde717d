//! The tests of the host as a whole: the program as a process, and the library with a clock of its own.

mod days;
mod durability;
mod guest;
mod limits;
mod postgres;
mod settings;
mod support;
