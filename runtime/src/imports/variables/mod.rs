//! `fermyon:spin/variables@2.0.0`: the settings of the application, as names and values.

mod bindings;

use bindings::fermyon::spin::variables::{Error, Host, add_to_linker as add_interface};
use std::collections::HashMap;
use std::sync::Arc;
use wasmtime::component::{HasData, Linker};

/// The variables of one application. Values may be secrets: they are never logged.
///
/// ```
/// # use http_component_runtime::Variables;
/// let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
/// let environment = [pair("timezone", "UTC"), pair("api_token", "")];
/// let variables = Variables::new(environment, [pair("timezone", "Europe/Berlin")])?;
/// assert_eq!(variables.value("timezone"), Some("Europe/Berlin"));
/// assert_eq!(variables.value("api_token"), None);
/// # Ok::<(), http_component_runtime::InvalidName>(())
/// ```
#[derive(Clone, Default)]
pub struct Variables(Arc<HashMap<String, String>>);

impl Variables {
    /// The variables of the environment, by name and value, overridden by `given`. An invalid name in the environment is
    /// left out.
    ///
    /// # Errors
    /// If a `given` name is invalid, so that no component could ask for it.
    pub fn new(
        environment: impl IntoIterator<Item = (String, String)>,
        given: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, InvalidName> {
        let environment = environment.into_iter();
        let mut variables: HashMap<String, String> =
            environment.filter(|(name, _)| is_name(name)).collect();
        for (name, value) in given {
            if !is_name(&name) {
                return Err(InvalidName(name));
            }
            variables.insert(name, value);
        }
        Ok(Self(Arc::new(variables)))
    }

    /// The value of a variable, if it is set and not empty.
    pub fn value(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }
}

/// A name that Spin's manifest would not take, either.
///
/// ```
/// # use http_component_runtime::Variables;
/// let error = Variables::new([], [("TIMEZONE".to_owned(), "UTC".to_owned())]).err();
/// let text = error.map(|error| error.to_string());
/// assert!(text.is_some_and(|text| text.starts_with(r#""TIMEZONE" is not a variable name"#)));
/// ```
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a variable name: lower-case letters, digits and single underscores, a letter first"
)]
pub struct InvalidName(String);

/// Words of lower-case letters and digits, each with a letter first, joined by single underscores (the rule of Spin's
/// manifest).
fn is_name(name: &str) -> bool {
    name.split('_').all(|word| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

/// Adds the interface to `linker`; `view` finds the variables in the data of a store.
///
/// # Errors
/// If it is there already.
pub(crate) fn add_to_linker<T: Send>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> &mut Variables,
) -> wasmtime::Result<()> {
    add_interface::<T, HasVariables>(linker, view)
}

struct HasVariables;

impl HasData for HasVariables {
    type Data<'a> = &'a mut Variables;
}

impl Host for &mut Variables {
    fn get(&mut self, name: String) -> wasmtime::Result<Result<String, Error>> {
        Ok(match self.0.get(&name) {
            Some(value) => Ok(value.clone()),
            None if is_name(&name) => Err(Error::Undefined(name)),
            None => Err(Error::InvalidName(name)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(environment: &[(&str, &str)], given: &[(&str, &str)]) -> Variables {
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        Variables::new(owned(environment), owned(given)).unwrap()
    }

    #[test]
    fn the_environment_is_read_and_flags_beat_it() {
        let variables = variables(
            &[("timezone", "UTC"), ("api_token", "x"), ("no-name", "x")],
            &[("timezone", "Europe/Berlin")],
        );
        let get = |name: &str| (&mut variables.clone()).get(name.to_owned()).unwrap();
        assert_eq!(get("timezone").unwrap(), "Europe/Berlin");
        assert_eq!(get("api_token").unwrap(), "x");
        assert!(matches!(get("path"), Err(Error::Undefined(_))));
        assert!(matches!(get("Path"), Err(Error::InvalidName(_))));
    }

    #[test]
    fn names_are_those_of_a_manifest() {
        for name in ["a", "a1", "database_url", "a_b2_c"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "A", "1a", "a__b", "_a", "a_", "a-b", "a b", "ä"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
