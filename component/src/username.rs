//! Usernames.

use crate::error::Error;
use percent_encoding::percent_decode_str;
use std::fmt;

/// The longest username, in letters. It fits a column and a log line, and no family name is longer.
const MAX_LETTERS: usize = 64;

/// 1 to [`MAX_LETTERS`] ASCII letters, kept as they were typed: case matters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Username(String);

impl Username {
    /// Reads a username from one segment of a request path, still percent-encoded (RFC 3986, 2.1).
    ///
    /// # Errors
    /// [`Error::InvalidUsername`] if it is not 1 to 64 ASCII letters after decoding. A broken escape decodes
    /// to itself, so its percent sign is refused like any other character.
    pub fn parse(segment: &str) -> Result<Self, Error> {
        let decoded = percent_decode_str(segment)
            .decode_utf8()
            .map_err(|_| Error::InvalidUsername)?;
        Self::check(&decoded)?;
        Ok(Self(decoded.into_owned()))
    }

    /// Takes `text` as it is.
    ///
    /// # Errors
    /// [`Error::InvalidUsername`] if it is not 1 to 64 ASCII letters.
    pub fn new(text: &str) -> Result<Self, Error> {
        Self::check(text)?;
        Ok(Self(text.to_owned()))
    }

    fn check(text: &str) -> Result<(), Error> {
        let is_valid = (1..=MAX_LETTERS).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphabetic());
        match is_valid {
            true => Ok(()),
            false => Err(Error::InvalidUsername),
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
    fn check(segment: &str, expected: Option<&str>) {
        let parsed = Username::parse(segment).ok();
        assert_eq!(
            parsed.as_ref().map(Username::as_str),
            expected,
            "{segment:?}"
        );
    }

    #[test]
    fn letters_are_kept_as_typed() {
        check("bob", Some("bob"));
        check("BoB", Some("BoB"));
        check("b", Some("b"));
    }

    #[test]
    fn length_is_bounded() {
        check(&"a".repeat(64), Some(&"a".repeat(64)));
        check(&"a".repeat(65), None);
        check("", None);
    }

    #[test]
    fn percent_encoding_is_decoded_once() {
        check("%62ob", Some("bob"));
        check("%2562ob", None);
    }

    #[test]
    fn broken_percent_encoding_is_refused() {
        for segment in ["bob%", "%6", "%zz", "%ff", "%C3"] {
            check(segment, None);
        }
    }

    #[test]
    fn anything_but_letters_is_refused() {
        for segment in [
            "bob1",
            "bo_b",
            "bo-b",
            "bo%20b",
            "bo b",
            "M%C3%BCller",
            "Müller",
            "a%2Fb",
            "bob%00",
            "%D0%B0nna",
        ] {
            check(segment, None);
        }
    }
}
