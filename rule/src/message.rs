//! What the service says to a person.

use crate::username::Username;
use alloc::string::String;

/// The message for `username`, whose birthday is in `days`; 0 is the day itself. It has no character that JSON or HTML
/// would escape.
pub fn message(username: &Username, days: u16) -> String {
    let username = username.as_str();
    match days {
        0 => ["Hello, ", username, "! Happy birthday!"].concat(),
        days => {
            let mut digits = itoa::Buffer::new();
            let days = digits.format(days);
            [
                "Hello, ",
                username,
                "! Your birthday is in ",
                days,
                " day(s)",
            ]
            .concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(days: u16, expected: &str) {
        assert_eq!(message(&Username::parse("Bob").unwrap(), days), expected);
    }

    #[test]
    fn the_message_counts_the_days() {
        check(0, "Hello, Bob! Happy birthday!");
        check(1, "Hello, Bob! Your birthday is in 1 day(s)");
        check(366, "Hello, Bob! Your birthday is in 366 day(s)");
    }
}
