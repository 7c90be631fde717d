//! What a client accepts (RFC 9110, 12.4 and 12.5): fields of a request as text, decisions as booleans.
//!
//! A field that is malformed counts as absent.

/// A media type that the service has for a page: type, subtype and parameters.
type Media = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const HTML: Media = ("text", "html", &[("charset", "utf-8")]);
const JSON: Media = ("application", "json", &[]);

/// A weight (`q`) in thousandths. None is less than not acceptable.
type Weight = u16;

const MOST: Weight = 1000;

/// Whether a client with this `Accept` prefers HTML to JSON. A browser does. If both are as good, or neither is
/// acceptable, JSON is the answer, because a program may not have asked for anything.
pub fn prefers_html(accept: Option<&str>) -> bool {
    let Some(ranges) = accept.and_then(media_ranges) else {
        return false;
    };
    weight_of(HTML, &ranges) > weight_of(JSON, &ranges)
}

/// Whether gzip is acceptable to a client with this `Accept-Encoding`, and not worse than no coding.
pub fn takes_gzip(accept_encoding: Option<&str>) -> bool {
    let Some(codings) = accept_encoding.and_then(codings) else {
        return false;
    };
    let weight_of = |names: &[&str]| {
        let named = codings
            .iter()
            .filter(|(coding, _)| names.iter().any(|name| coding.eq_ignore_ascii_case(name)));
        named.map(|(_, weight)| *weight).max()
    };
    let any = weight_of(&["*"]);
    // A recipient takes x-gzip for gzip (RFC 9110, 8.4.1.3).
    let gzip = weight_of(&["gzip", "x-gzip"]).or(any).unwrap_or(0);
    // It is acceptable even if it is not named.
    let identity = weight_of(&["identity"]).or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity
}

/// One media range with its weight.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    parameters: Vec<(&'a str, String)>,
    weight: Weight,
}

impl<'a> Range<'a> {
    fn parse(element: &'a str) -> Option<Self> {
        let mut parts = split(element, ';')?.into_iter();
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let is_range = is_token(kind) && is_token(subtype) && (kind != "*" || subtype == "*");
        let (parameters, weight) = parameters_and_weight(parts)?;
        is_range.then_some(Self {
            kind,
            subtype,
            parameters,
            weight,
        })
    }

    /// How exactly the range names `media`: more is more exact. `None` if it does not.
    fn precision(&self, (kind, subtype, parameters): Media) -> Option<usize> {
        let named = self.parameters.iter().all(|(name, value)| {
            parameters.iter().any(|(known, expected)| {
                name.eq_ignore_ascii_case(known) && value.eq_ignore_ascii_case(expected)
            })
        });
        let exact = match (self.kind, self.subtype) {
            ("*", "*") => 0,
            (named, "*") if named.eq_ignore_ascii_case(kind) => 1,
            (named, sub)
                if named.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype) =>
            {
                2
            }
            _ => return None,
        };
        named.then(|| exact + self.parameters.len())
    }
}

/// The weight of the range that names `media` most exactly.
fn weight_of(media: Media, ranges: &[Range<'_>]) -> Weight {
    let named = ranges.iter().filter_map(|range| {
        let precision = range.precision(media)?;
        Some((precision, range.weight))
    });
    named.max().map_or(0, |(_, weight)| weight)
}

fn media_ranges(accept: &str) -> Option<Vec<Range<'_>>> {
    elements(accept)?.into_iter().map(Range::parse).collect()
}

/// The codings of `Accept-Encoding` with their weights.
fn codings(accept_encoding: &str) -> Option<Vec<(&str, Weight)>> {
    let parse = |element| {
        let mut parts = split(element, ';')?.into_iter();
        let coding = parts.next().filter(|coding| is_token(coding))?;
        let (parameters, weight) = parameters_and_weight(parts)?;
        parameters.is_empty().then_some((coding, weight))
    };
    elements(accept_encoding)?.into_iter().map(parse).collect()
}

/// The elements of a list. Empty ones are ignored (RFC 9110, 5.6.1.2).
fn elements(list: &str) -> Option<Vec<&str>> {
    let mut elements = split(list, ',')?;
    elements.retain(|element| !element.is_empty());
    Some(elements)
}

/// `q` among the parameters is the weight, wherever it stands.
fn parameters_and_weight<'a>(
    parts: impl Iterator<Item = &'a str>,
) -> Option<(Vec<(&'a str, String)>, Weight)> {
    let mut parameters = Vec::new();
    let mut weight = None;
    // A semicolon too many is no parameter (RFC 9110, 5.6.6).
    for part in parts.filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').filter(|(name, _)| is_token(name))?;
        if name.eq_ignore_ascii_case("q") {
            let is_first = weight.replace(parse_weight(value)?).is_none();
            is_first.then_some(())?;
        } else {
            parameters.push((name, parse_value(value)?));
        }
    }
    Some((parameters, weight.unwrap_or(MOST)))
}

/// `0` to `1` with at most three decimals.
fn parse_weight(text: &str) -> Option<Weight> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_number = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" if is_number => Some(thousandths),
        "1" if is_number && thousandths == 0 => Some(MOST),
        _ => None,
    }
}

/// The value of a parameter: a token or a quoted string.
fn parse_value(text: &str) -> Option<String> {
    let Some(quoted) = text.strip_prefix('"') else {
        return is_token(text).then(|| text.to_owned());
    };
    let mut characters = quoted.chars();
    let mut value = String::new();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(value),
            '\\' => value.push(characters.next()?),
            character => value.push(character),
        }
    }
}

/// The parts of `text` between separators outside quoted strings, without white space around them. `None` if a quoted
/// string does not end.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = text.split(|character| {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => return character == separator && !is_quoted,
        }
        false
    });
    let parts = parts.map(|part| part.trim_matches([' ', '\t'])).collect();
    (!is_quoted).then_some(parts)
}

/// RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_html(accept: &str, expected: bool) {
        assert_eq!(prefers_html(Some(accept)), expected, "{accept:?}");
    }

    #[test]
    fn a_browser_gets_html() {
        for accept in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html, */*;q=0.5",
            "text/html",
            "text/*",
            "TEXT/HTML",
            "text/html;charset=UTF-8",
            "text/html; charset=\"utf-8\"",
            "text/html; charset=\"ut\\f-8\"",
            "application/json;q=0.5, text/html;q=0.501",
            "application/json;q=0, */*",
            ",, text/html ,",
            "text/html;",
        ] {
            check_html(accept, true);
        }
    }

    #[test]
    fn a_program_gets_json() {
        assert!(!prefers_html(None));
        for accept in [
            "*/*",
            "application/json",
            "application/*",
            "application/json, text/html",
            "application/json, text/html;q=0.9",
            "text/html;q=0.5, */*",
            "text/html;q=0, */*;q=0.1",
            "image/png",
            "",
            "text/html;level=1",
            "text/html;q=0",
            "text/html;q=0.0, application/json;q=0",
        ] {
            check_html(accept, false);
        }
    }

    #[test]
    fn the_most_exact_range_has_the_weight() {
        check_html("text/*, text/html;q=0.1, application/json;q=0.5", false);
        check_html("text/*;q=0.1, text/html, application/json;q=0.5", true);
        check_html(
            "text/html;q=0.1, text/html;charset=utf-8, application/json;q=0.5",
            true,
        );
        check_html("*/*;q=0.1, application/*;q=0.2, text/*;q=0.3", true);
    }

    #[test]
    fn a_malformed_field_counts_as_absent() {
        for accept in [
            "text",
            "text/",
            "/html",
            "*/html",
            "text/html;q=2",
            "text/html;q=1.001",
            "text/html;q=0.1234",
            "text/html;q=.5",
            "text/html;q=-1",
            "text/html;q=",
            "text/html;q=1;q=1",
            "text/html;charset",
            "text/html;charset=\"utf-8",
            "text/html;charset=\"utf-8\"x",
            "text/html text/plain",
            "text/html, nonsense",
            "text/h(tml",
            "téxt/html",
        ] {
            check_html(accept, false);
        }
    }

    #[test]
    fn separators_in_quotes_separate_nothing() {
        check_html("text/plain;x=\"a,b;c\\\"\", text/html", true);
        check_html("application/json;x=\",text/html,\"", false);
    }

    #[track_caller]
    fn check_gzip(accept_encoding: &str, expected: bool) {
        assert_eq!(
            takes_gzip(Some(accept_encoding)),
            expected,
            "{accept_encoding:?}"
        );
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for accept_encoding in [
            "gzip",
            "GZIP",
            "x-gzip",
            "gzip, deflate, br, zstd",
            "br;q=1.0, gzip;q=0.8, *;q=0.1",
            "*",
            "*;q=0.001",
            "gzip;q=0.5, *;q=0",
            "gzip, identity",
            "gzip; q=0.5, identity; q=0.5",
            "identity;q=0, gzip;q=0.001",
        ] {
            check_gzip(accept_encoding, true);
        }
        assert!(!takes_gzip(None));
        for accept_encoding in [
            "",
            "identity",
            "br",
            "gzip;q=0",
            "gzip;q=0, *",
            "*;q=0",
            "gzip;q=0.5, identity",
            "gzip;q=0.5, *",
            "gzip;q=1.5",
            "gzip;level=9",
            "gzip br",
        ] {
            check_gzip(accept_encoding, false);
        }
    }
}
