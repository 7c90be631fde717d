//! People as JSON: a line of NDJSON, and the shapes that a source of people may have.

use birthday_rule::DateOfBirth;
use birthday_rule::Username;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use time::Date;

/// A username and a date of birth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub username: Username,
    pub born: DateOfBirth,
}

impl Person {
    /// Reads `{"username":"…","dateOfBirth":"YYYY-MM-DD"}`. Other fields are ignored. `None` if it breaks a rule of the API.
    pub fn parse(json: &str, today: Date) -> Option<Self> {
        let Entry {
            username,
            date_of_birth,
        } = object(json)?;
        Self::new(&username, &date_of_birth, today)
    }

    /// Reads one of the `results` of the API of randomuser.me, whose date is a time stamp (RFC 3339).
    fn parse_random_user(json: &str, today: Date) -> Option<Self> {
        let RandomUser { name, dob } = object(json)?;
        let date = match dob.date.split_once('T') {
            Some((date, _)) => date,
            None => &dob.date,
        };
        Self::new(&name.first, date, today)
    }

    fn new(username: &str, date_of_birth: &str, today: Date) -> Option<Self> {
        Some(Self {
            username: Username::parse(username).ok()?,
            born: DateOfBirth::parse(date_of_birth, today).ok()?,
        })
    }

    /// Adds it to `lines` as a line of NDJSON. A username has only letters, so nothing has to be escaped.
    pub fn write_line(&self, lines: &mut String) {
        let (username, born) = (self.username.as_str(), self.born.to_text());
        for part in [
            "{\"username\":\"",
            username,
            "\",\"dateOfBirth\":\"",
            &born,
            "\"}\n",
        ] {
            lines.push_str(part);
        }
    }
}

/// The people in `document`, which is an array of objects as in [`Person::parse`], or an answer of the API of
/// randomuser.me. One that breaks a rule is `None`. The whole is `None` if the document is neither.
pub fn people(document: &str, today: Date) -> Option<Vec<Option<Person>>> {
    #[derive(Deserialize)]
    struct RandomUsers<'a> {
        #[serde(borrow)]
        results: Vec<&'a RawValue>,
    }

    let read = |entries: Vec<&RawValue>, parse: fn(&str, Date) -> Option<Person>| {
        let entries = entries.into_iter();
        entries.map(|entry| parse(entry.get(), today)).collect()
    };
    if let Ok(entries) = serde_json::from_str(document) {
        return Some(read(entries, Person::parse));
    }
    let RandomUsers { results } = object(document)?;
    Some(read(results, Person::parse_random_user))
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    username: Cow<'a, str>,
    #[serde(borrow, rename = "dateOfBirth")]
    date_of_birth: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RandomUser<'a> {
    #[serde(borrow)]
    name: Name<'a>,
    #[serde(borrow)]
    dob: Dob<'a>,
}

#[derive(Deserialize)]
struct Name<'a> {
    #[serde(borrow)]
    first: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Dob<'a> {
    #[serde(borrow)]
    date: Cow<'a, str>,
}

/// A JSON object. (What is derived would also take an array.)
fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    let json = json.trim_ascii();
    json.starts_with('{')
        .then(|| serde_json::from_str(json).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Month;

    fn today() -> Date {
        Date::from_calendar_date(2026, Month::November, 27).unwrap()
    }

    fn line(person: Person) -> String {
        let mut lines = String::new();
        person.write_line(&mut lines);
        lines
    }

    #[test]
    fn a_line_that_was_written_is_read() {
        let written = "{\"username\":\"Bob\",\"dateOfBirth\":\"0999-01-02\"}\n";
        assert_eq!(line(Person::parse(written, today()).unwrap()), written);
    }

    #[test]
    fn what_breaks_a_rule_is_nobody() {
        for json in [
            "",
            "null",
            "[\"bob\",\"2000-10-01\"]",
            r#"{"username":"bob"}"#,
            r#"{"dateOfBirth":"2000-10-01"}"#,
            r#"{"username":"b0b","dateOfBirth":"2000-10-01"}"#,
            r#"{"username":"%62ob","dateOfBirth":"2000-10-01"}"#,
            r#"{"username":"","dateOfBirth":"2000-10-01"}"#,
            r#"{"username":"<b>","dateOfBirth":"2000-10-01"}"#,
            r#"{"username":"bob","dateOfBirth":"2000-10-1"}"#,
            r#"{"username":"bob","dateOfBirth":"2026-11-27"}"#,
            r#"{"username":"bob","dateOfBirth":null}"#,
            r#"{"username":["bob"],"dateOfBirth":"2000-10-01"}"#,
            r#"{"username":"bob","username":"eve","dateOfBirth":"2000-10-01"}"#,
            r#"{"username":"bob","dateOfBirth":"2000-10-01"} x"#,
        ] {
            assert_eq!(Person::parse(json, today()), None, "{json}");
        }
    }

    fn names(document: &str) -> Option<Vec<Option<String>>> {
        let people = people(document, today())?.into_iter();
        Some(
            people
                .map(|person| Some(person?.username.as_str().to_owned()))
                .collect(),
        )
    }

    #[test]
    fn both_shapes_of_a_source_are_read() {
        let ours = r#"[{"username":"bob","dateOfBirth":"2000-10-01"}, 1, {"username":"\u0065ve","dateOfBirth":"2000-10-01","x":{}}]"#;
        let expected = Some(vec![Some("bob".to_owned()), None, Some("eve".to_owned())]);
        assert_eq!(names(ours), expected);
        let random = r#"{"info":{"seed":"x"},"results":[
            {"gender":"male","name":{"title":"Mr","first":"bob"},"dob":{"date":"1993-07-20T09:44:18.674Z","age":33}},
            {"name":{"first":"M\u00fcller"},"dob":{"date":"1993-07-20T09:44:18.674Z"}},
            {"name":{"first":"eve"},"dob":{"date":"1993-07-20"}}]}"#;
        assert_eq!(names(random), expected);
        assert_eq!(names("[]"), Some(vec![]));
        for neither in [
            "",
            "{}",
            "null",
            "7",
            r#"{"results":{}}"#,
            "[1",
            r#"[["results"]"#,
        ] {
            assert_eq!(names(neither), None, "{neither}");
        }
    }

    #[test]
    fn depth_does_not_take_the_stack() {
        let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert!(names(&deep).is_none_or(|people| people == [None]));
    }
}
