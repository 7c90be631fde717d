//! The username in the path of a request.

use crate::error::Error;
use birthday_rule::Username;
use percent_encoding::percent_decode_str;

/// Reads a username from one segment of a request path, still percent-encoded (RFC 3986, 2.1).
///
/// # Errors
/// [`Error::InvalidUsername`] if it is none after decoding. A broken escape decodes to itself, so its percent sign is refused like
/// any other character.
pub fn from_segment(segment: &str) -> Result<Username, Error> {
    let decoded = percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| Error::InvalidUsername)?;
    Ok(Username::parse(&decoded)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(segment: &str, expected: Option<&str>) {
        let parsed = from_segment(segment).ok();
        assert_eq!(
            parsed.as_ref().map(Username::as_str),
            expected,
            "{segment:?}"
        );
    }

    #[test]
    fn letters_are_kept_as_typed() {
        check("BoB", Some("BoB"));
        check(&"a".repeat(64), Some(&"a".repeat(64)));
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
            "",
            "bob1",
            "bo%20b",
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
