//! Route templates: which of the few known paths a request means, so that what is counted by path stays few.

/// How many templates there may be.
const MAX_ROUTES: usize = 64;

/// What counts as the route of a path that no template matches.
pub const UNMATCHED: &str = "unmatched";

/// The paths of an application as templates of OpenAPI, such as `/hello/{username}`.
#[derive(Clone, Debug, Default)]
pub struct Routes(Vec<Route>);

#[derive(Clone, Debug)]
struct Route {
    template: &'static str,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(&'static str),
    Parameter,
}

/// Why something is no list of templates.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidRoute {
    #[error("{0:?} is no template: expected one such as /hello/{{username}}")]
    NoTemplate(String),
    #[error("more than {MAX_ROUTES} routes")]
    TooMany,
}

impl Routes {
    /// Reads `templates`. They live as long as the process: an application has few, and has them once.
    ///
    /// # Errors
    /// If one of them does not begin with a slash, has a parameter that is not a whole segment, or has
    /// characters that no URI has; or if there are too many.
    pub fn new(templates: impl IntoIterator<Item = String>) -> Result<Self, InvalidRoute> {
        let mut routes = Vec::new();
        for template in templates {
            if routes.len() == MAX_ROUTES {
                return Err(InvalidRoute::TooMany);
            }
            // What a URI has nowhere, and quoting in logs and metrics would have to escape.
            let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
            if !template.bytes().all(is_plain) || !template.starts_with('/') {
                return Err(InvalidRoute::NoTemplate(template));
            }
            let template: &'static str = template.leak();
            let segments = template.split('/').map(Segment::parse);
            let Some(segments) = segments.collect() else {
                return Err(InvalidRoute::NoTemplate(template.to_owned()));
            };
            routes.push(Route { template, segments });
        }
        // A literal is closer to what was asked for than a parameter.
        routes.sort_by_key(|route| {
            let parameters = route.segments.iter();
            parameters
                .filter(|segment| **segment == Segment::Parameter)
                .count()
        });
        Ok(Self(routes))
    }

    /// The template that `path` is of. Parameters are never empty.
    pub fn find(&self, path: &str) -> Option<&'static str> {
        self.0
            .iter()
            .find(|route| {
                let mut segments = route.segments.iter();
                let is_match = path.split('/').all(|text| match segments.next() {
                    Some(Segment::Literal(literal)) => text == *literal,
                    Some(Segment::Parameter) => !text.is_empty(),
                    None => false,
                });
                is_match && segments.next().is_none()
            })
            .map(|route| route.template)
    }
}

impl Segment {
    fn parse(text: &'static str) -> Option<Self> {
        match text
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(name) if !name.is_empty() && !name.contains(['{', '}']) => Some(Self::Parameter),
            None if !text.contains(['{', '}']) => Some(Self::Literal(text)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(templates: &[&str]) -> Result<Routes, InvalidRoute> {
        Routes::new(templates.iter().map(|template| (*template).to_owned()))
    }

    #[test]
    fn a_path_is_of_the_template_with_the_most_literals() {
        let routes = routes(&["/", "/hello/{username}", "/hello/everybody", "/a/{b}/c"]).unwrap();
        for (path, template) in [
            ("/", Some("/")),
            ("/hello/bob", Some("/hello/{username}")),
            ("/hello/everybody", Some("/hello/everybody")),
            ("/hello/%2F", Some("/hello/{username}")),
            ("/a/1/c", Some("/a/{b}/c")),
            ("/hello/", None),
            ("/hello", None),
            ("/hello/bob/", None),
            ("/hello/bob/x", None),
            ("//hello/bob", None),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(routes.find(path), template, "{path}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for template in [
            "", "hello", "/{}", "/a{b}", "/{a}{b}", "/a b", "/{a", "/\u{e4}", "/\"",
        ] {
            let expected = InvalidRoute::NoTemplate(template.to_owned());
            assert_eq!(routes(&[template]).unwrap_err(), expected);
        }
        let many = (0..=MAX_ROUTES).map(|number| format!("/{number}"));
        assert_eq!(Routes::new(many).unwrap_err(), InvalidRoute::TooMany);
    }
}
