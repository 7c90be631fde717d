//! The environment of this process, from which each setting is taken once.

use anyhow::bail;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

/// The names of variables of the component begin with this, as for Spin, and those of other settings with that.
pub const VARIABLE: &str = "SPIN_VARIABLE_";
const SETTING: &str = "BIRTHDAY_";

/// The variables of this process that are set to something. What is taken is removed.
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// # Errors
    /// If a setting is not Unicode: without its token, say, a service would be open to everybody.
    pub fn read(variables: impl IntoIterator<Item = (OsString, OsString)>) -> anyhow::Result<Self> {
        let mut read = BTreeMap::new();
        for (name, value) in variables {
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) if value.is_empty() => {}
                Ok(value) => {
                    read.insert(name, value);
                }
                Err(_) if name.starts_with(VARIABLE) || name.starts_with(SETTING) => {
                    bail!("{name}: the value is not Unicode")
                }
                Err(_) => {}
            }
        }
        Ok(Self(read))
    }

    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// What is not a setting of this program alone, and may be read by others.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The variables of the component by the rest of their names, with their values.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(VARIABLE)?, value.as_str())))
    }

    /// # Errors
    /// If there is a setting that was not taken.
    pub fn expect_no_more(&self) -> anyhow::Result<()> {
        match self.0.keys().find(|name| name.starts_with(SETTING)) {
            Some(name) => bail!("{name} has no effect in a function: remove it"),
            None => Ok(()),
        }
    }

    /// # Errors
    /// If it is none, or nothing.
    pub fn duration(&mut self, name: &str) -> anyhow::Result<Option<Duration>> {
        let Some(text) = self.take(name) else {
            return Ok(None);
        };
        match humantime::parse_duration(&text) {
            Ok(duration) if !duration.is_zero() => Ok(Some(duration)),
            _ => bail!("{name}: expected a duration such as 500ms, 10s or 1m"),
        }
    }
}
