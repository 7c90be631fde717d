//! Statements as text: what they may share, and how they are shown without their values.

mod classify;
mod keywords;
mod lexer;
mod redact;

pub(crate) use classify::Kind;
pub use redact::redact;
