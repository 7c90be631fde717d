//! Which table of DynamoDB, and where.

use crate::imports::key_value::error::InvalidStore;
use http::Uri;

const EXPECTED: &str = "expected dynamodb:TABLE[?region=REGION][&endpoint=URL][&create=true]";

/// The lengths of a table's name that DynamoDB takes.
const TABLE_LENGTHS: std::ops::RangeInclusive<usize> = 3..=255;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub table: String,
    /// `None`: where the SDK looks for it.
    pub region: Option<String>,
    /// `None`: that of the region, or where the SDK looks for it.
    pub endpoint: Option<String>,
    /// Whether a table that is missing is created.
    pub create: bool,
}

impl Address {
    /// # Errors
    /// If `text` is no address.
    pub fn parse(text: &str) -> Result<Self, InvalidStore> {
        let rest = text
            .strip_prefix("dynamodb:")
            .ok_or_else(|| InvalidStore::new(EXPECTED))?;
        let (table, query) = rest.split_once('?').unwrap_or((rest, ""));
        let is_name =
            |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
        if !TABLE_LENGTHS.contains(&table.len()) || !table.chars().all(is_name) {
            return Err(InvalidStore::new(format!(
                "{EXPECTED}; a table's name is 3 to 255 letters, digits, _, . and -"
            )));
        }
        let mut address = Self {
            table: table.to_owned(),
            region: None,
            endpoint: None,
            create: false,
        };
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=').unwrap_or((parameter, "")) {
                ("region", region) => address.region = Some(parse_region(region)?),
                ("endpoint", endpoint) => address.endpoint = Some(parse_endpoint(endpoint)?),
                ("create", "true") => address.create = true,
                ("create", "false") => address.create = false,
                ("create", _) => return Err(InvalidStore::new("create: expected true or false")),
                (_, _) => {
                    return Err(InvalidStore::new(format!(
                        "{EXPECTED}; another parameter is there"
                    )));
                }
            }
        }
        Ok(address)
    }

    /// What the log calls it.
    pub fn name(&self) -> String {
        format!("dynamodb {}", self.table)
    }
}

fn parse_region(region: &str) -> Result<String, InvalidStore> {
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    match region.split('-').all(is_part) {
        true => Ok(region.to_owned()),
        false => Err(InvalidStore::new(
            "region: expected a region such as eu-central-1",
        )),
    }
}

fn parse_endpoint(endpoint: &str) -> Result<String, InvalidStore> {
    let uri: Option<Uri> = endpoint.parse().ok();
    let is_base = |uri: &Uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && !endpoint.contains('@')
    };
    match uri.as_ref().is_some_and(is_base) {
        true => Ok(endpoint.to_owned()),
        false => Err(InvalidStore::new(
            "endpoint: expected a URL such as http://127.0.0.1:8000",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_parts() {
        let address = |text| Address::parse(text).unwrap();
        let plain = address("dynamodb:people");
        assert_eq!(
            plain,
            Address {
                table: "people".to_owned(),
                region: None,
                endpoint: None,
                create: false
            }
        );
        assert_eq!(plain.name(), "dynamodb people");
        let local = address(
            "dynamodb:people_1.a-b?region=eu-central-1&endpoint=http://[::1]:8000&create=true",
        );
        assert_eq!(local.table, "people_1.a-b");
        assert_eq!(local.region.as_deref(), Some("eu-central-1"));
        assert_eq!(local.endpoint.as_deref(), Some("http://[::1]:8000"));
        assert!(local.create);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "dynamodb",
            "dynamodb:",
            "dynamodb:ab",
            "dynamodb://people",
            "dynamodb:people/x",
            "dynamodb:people?region=",
            "dynamodb:people?region=Frankfurt",
            "dynamodb:people?region=eu--1",
            "dynamodb:people?endpoint=localhost:8000",
            "dynamodb:people?endpoint=ftp://localhost",
            "dynamodb:people?endpoint=http://key:secret@localhost",
            "dynamodb:people?create=yes",
            "dynamodb:people?create",
            "dynamodb:people?secret=x",
        ] {
            assert!(Address::parse(text).is_err(), "{text} is taken");
        }
    }
}
