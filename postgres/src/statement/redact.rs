//! Statements without their values.

use super::lexer::{Token, tokens};
use crate::link::MAX_REMEMBERED_BYTES;

/// `sql` with `?` in place of every value that is written into it, and without comments, for readers who may know what was
/// asked but not about whom. `None` if it is too long, or it cannot be told what is a value.
pub fn redact(sql: &str) -> Option<String> {
    if sql.len() > MAX_REMEMBERED_BYTES {
        return None;
    }
    let tokens = tokens(sql)?;
    let texts = tokens.into_iter().map(|token| match token {
        Token::Space(_) => " ",
        Token::Value(_) => "?",
        Token::Word(text) | Token::Quoted(text) => text,
        Token::Parameter(text) | Token::Symbol(text) => text,
    });
    Some(texts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_comments_are_left_out() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT ?"),
            (
                "INSERT INTO people (username) VALUES ($1) -- for bob",
                "INSERT INTO people (username) VALUES ($1)  ",
            ),
            (
                "SELECT \"born\" FROM people WHERE username='bob' AND born > E'2000\\n' OR x=$$bob$$",
                "SELECT \"born\" FROM people WHERE username=? AND born > ? OR x=?",
            ),
            ("SELECT a\n\t FROM t", "SELECT a FROM t"),
            ("SELECT 'it''s bob'", "SELECT ?"),
            ("SELECT $bob$bob$bob$", "SELECT ?"),
        ] {
            assert_eq!(redact(sql).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_cannot_be_told_is_not_shown() {
        assert_eq!(redact("SELECT 'bob"), None);
        assert_eq!(redact(&" ".repeat(MAX_REMEMBERED_BYTES + 1)), None);
    }
}
