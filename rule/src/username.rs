//! Usernames.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

/// The longest username, in letters. It fits a column and a log line, and no family name is longer.
const MAX_LETTERS: usize = 64;

/// 1 to [`MAX_LETTERS`] ASCII letters, kept as they were typed: case matters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Username(String);

/// A text is no username.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUsername;

impl fmt::Display for InvalidUsername {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not 1 to {MAX_LETTERS} ASCII letters")
    }
}

impl core::error::Error for InvalidUsername {}

impl Username {
    /// Takes `text` as it is.
    ///
    /// # Errors
    /// [`InvalidUsername`] if it is not 1 to 64 ASCII letters.
    pub fn parse(text: &str) -> Result<Self, InvalidUsername> {
        let is_valid = (1..=MAX_LETTERS).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphabetic());
        match is_valid {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidUsername),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, is_valid: bool) {
        let parsed = Username::parse(text);
        let expected = if is_valid {
            Ok(text)
        } else {
            Err(InvalidUsername)
        };
        assert_eq!(
            parsed.as_ref().map(Username::as_str),
            expected.as_ref().map(|text| *text)
        );
    }

    #[test]
    fn letters_are_kept_as_typed() {
        for text in ["bob", "BoB", "b"] {
            check(text, true);
        }
    }

    #[test]
    fn length_is_bounded() {
        check(&"a".repeat(64), true);
        check(&"a".repeat(65), false);
        check("", false);
    }

    #[test]
    fn anything_but_letters_is_refused() {
        for text in [
            "bob1", "bo_b", "bo-b", "bo b", " bob", "bob\n", "Müller", "a/b", "bob\0", "аnna",
            "%62ob",
        ] {
            check(text, false);
        }
    }
}
