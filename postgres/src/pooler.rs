//! Whether a pooler is between here and the server that hands transactions to different sessions, so that a statement that was
//! prepared in one is not found in the next, or another program's is found under its name.

use crate::options::Statements;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_postgres::error::{DbError, SqlState};

/// Whether the driver gives such names to statements.
fn is_name(word: &str) -> bool {
    let number = word.strip_prefix('s').unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// What is known of the pooler before one database.
pub struct Pooler {
    /// The log calls the database so.
    name: String,
    is_there: AtomicBool,
}

impl Pooler {
    pub fn new(name: String, statements: Statements) -> Self {
        Self {
            name,
            is_there: AtomicBool::new(statements == Statements::Unnamed),
        }
    }

    /// Whether statements have to do without names.
    pub fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Relaxed)
    }

    /// Whether only a pooler can be the reason of `error`: a name that was prepared is not known or is taken, or belongs to a
    /// statement with other parameters.
    pub fn is_shown_by(error: &DbError) -> bool {
        let concerns_names = matches!(
            *error.code(),
            SqlState::INVALID_SQL_STATEMENT_NAME
                | SqlState::DUPLICATE_PSTATEMENT
                | SqlState::PROTOCOL_VIOLATION
        );
        // A caller may get the same errors from `EXECUTE` or `DEALLOCATE`, of other names. The message may be in any language.
        concerns_names
            && error
                .message()
                .split(|one: char| !one.is_alphanumeric())
                .any(is_name)
    }

    /// A pooler has shown itself.
    pub fn notice(&self, error: &DbError) {
        if !self.is_there.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "postgres {}: behind a pooler that does not follow prepared statements ({}): they are not prepared any more",
                self.name,
                error.message()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_driver() {
        for (word, expected) in [
            ("s0", true),
            ("s123", true),
            ("s", false),
            ("s1a", false),
            ("statement", false),
        ] {
            assert_eq!(is_name(word), expected, "{word}");
        }
    }
}
