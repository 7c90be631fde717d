//! Route templates: which of the few known paths a request means, so that metrics by path stay few.

use matchit::Router;
use std::sync::Arc;

/// The most templates.
const MAX_ROUTES: usize = 64;

/// The route of a path that no template matches.
pub(super) const UNMATCHED: &str = "unmatched";

/// The paths of an application as templates of OpenAPI, such as `/items/{id}`. Clones share them.
///
/// ```
/// use http_component_runtime::{Route, Routes};
///
/// let template = |template: &str| Route { template: template.to_owned(), streams: false };
/// let routes = Routes::new([template("/items"), template("/items/{id}")])?;
/// assert_eq!(routes.find("/items/7"), Some(("/items/{id}", false)));
/// assert_eq!(routes.find("/other"), None);
/// # Ok::<(), http_component_runtime::InvalidRoute>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Routes(Arc<Router<(&'static str, bool)>>);

/// A route of an application.
///
/// ```
/// # use http_component_runtime::Route;
/// let export = Route { template: "/export".to_owned(), streams: true };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// A path of OpenAPI, such as `/items/{id}`.
    pub template: String,
    /// It takes or sends bodies of any length, for as long as [`Limits::stream_timeout`](crate::Limits).
    pub streams: bool,
}

/// Why a list of templates cannot be used.
///
/// ```
/// # use http_component_runtime::{InvalidRoute, Route, Routes};
/// let routes = ["/items/{id}", "/items/{name}"];
/// let routes = routes.map(|template| Route { template: template.to_owned(), streams: false });
/// assert!(matches!(Routes::new(routes), Err(InvalidRoute::Conflict { .. })));
/// ```
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidRoute {
    /// The text is no template.
    #[error("{0:?} is not a template such as /hello/{{username}}")]
    NotATemplate(String),
    /// Two templates match the same paths.
    #[error("{template} matches the same paths as {other}")]
    Conflict {
        /// The one that was refused.
        template: String,
        /// The one that came before.
        other: String,
    },
    /// There are too many.
    #[error("more than {MAX_ROUTES} routes")]
    TooMany,
}

impl Routes {
    /// Reads the templates of `routes`. They are kept as long as the process runs: an application has few, and reads them once.
    ///
    /// # Errors
    /// If one of them does not begin with a slash, has a parameter that is not a whole segment, or has characters that
    /// no URI has; if two match the same paths; or if there are too many.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Result<Self, InvalidRoute> {
        let mut router = Router::new();
        for (index, Route { template, streams }) in routes.into_iter().enumerate() {
            if index == MAX_ROUTES {
                return Err(InvalidRoute::TooMany);
            }
            if !is_template(&template) {
                return Err(InvalidRoute::NotATemplate(template));
            }
            let template: &'static str = template.leak();
            router
                .insert(template, (template, streams))
                .map_err(|error| match error {
                    matchit::InsertError::Conflict { with } => InvalidRoute::Conflict {
                        template: template.to_owned(),
                        other: with,
                    },
                    _ => InvalidRoute::NotATemplate(template.to_owned()),
                })?;
        }
        Ok(Self(Arc::new(router)))
    }

    /// The template that `path` matches, if one does; the one with the most literal segments, if several do. A parameter
    /// matches one segment, which is not empty. With it comes whether the route streams.
    pub fn find(&self, path: &str) -> Option<(&'static str, bool)> {
        self.0.at(path).ok().map(|found| *found.value)
    }
}

/// Whether each segment is literal, or a parameter as a whole. (matchit takes more: parts of segments, and the rest of a
/// path.) Quotes and backslashes are in no URI, and metrics and logs would have to escape them.
fn is_template(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    let is_segment = |segment: &str| match segment.strip_prefix('{') {
        Some(rest) => rest
            .strip_suffix('}')
            .is_some_and(|name| !name.is_empty() && !name.contains(['{', '}', '*'])),
        None => !segment.contains(['{', '}']),
    };
    text.starts_with('/') && text.bytes().all(is_plain) && text.split('/').all(is_segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(template: &str) -> Route {
        Route {
            template: template.to_owned(),
            streams: template.ends_with("/stream"),
        }
    }

    fn routes(templates: &[&str]) -> Result<Routes, InvalidRoute> {
        Routes::new(templates.iter().map(|template| route(template)))
    }

    #[test]
    fn a_path_matches_the_template_with_the_most_literals() {
        let routes = routes(&["/", "/items/{id}", "/items/all", "/a/{b}/c", "/a/stream"]).unwrap();
        for (path, template) in [
            ("/", Some("/")),
            ("/items/1", Some("/items/{id}")),
            ("/items/all", Some("/items/all")),
            ("/items/%2F", Some("/items/{id}")),
            ("/a/1/c", Some("/a/{b}/c")),
            ("/items/", None),
            ("/items", None),
            ("/items/1/", None),
            ("/items/1/x", None),
            ("//items/1", None),
            ("", None),
            ("*", None),
        ] {
            let found = routes.find(path).map(|(template, _)| template);
            assert_eq!(found, template, "{path}");
        }
        assert_eq!(routes.find("/a/stream"), Some(("/a/stream", true)));
        assert_eq!(routes.find("/"), Some(("/", false)));
    }

    #[test]
    fn what_is_not_a_template_is_refused() {
        for template in [
            "", "items", "/{}", "/a{b}", "/{a}{b}", "/a b", "/{a", "/\u{e4}", "/\"", "/{*rest}",
        ] {
            let expected = InvalidRoute::NotATemplate(template.to_owned());
            assert_eq!(routes(&[template]).unwrap_err(), expected);
        }
        let many = (0..=MAX_ROUTES).map(|number| route(&format!("/{number}")));
        assert_eq!(Routes::new(many).unwrap_err(), InvalidRoute::TooMany);
    }

    #[test]
    fn templates_that_match_the_same_paths_are_refused() {
        for (one, other) in [("/a", "/a"), ("/{a}", "/{b}")] {
            let expected = InvalidRoute::Conflict {
                template: other.to_owned(),
                other: one.to_owned(),
            };
            assert_eq!(routes(&[one, other]).unwrap_err(), expected);
        }
    }
}
