//! The contract as one table: requests, and the answers of every runtime and every store.

use crate::client::{self, Answer};
use crate::files;
use crate::upstream::KEY;
use libtest_mimic::{Failed, Trial};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use time::{Date, Duration, OffsetDateTime};

/// The variables that a service of the suite is started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Only those of the store.
    Plain,
    /// `api_token` is [`TOKEN`].
    Token,
    /// `api_token` is [`TOKEN`], and people are fetched from a server of the suite, which the variable `populate_url` names.
    Operator,
    /// `timezone` is not a time zone.
    Nonsense,
}

/// A token with all characters that an HTTP header may contain.
pub const TOKEN: &str = "s3cret/+~:%20=";

impl Setup {
    pub fn variables(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Plain => &[],
            Self::Token => &[("api_token", TOKEN)],
            Self::Operator => &[("api_token", TOKEN), ("populate_key", KEY)],
            Self::Nonsense => &[("timezone", "Mars/Olympus")],
        }
    }
}

/// One row. In requests and bodies `{bob}` is a username that was never used before, and `{yesterday}`,
/// `{today}`, `{tomorrow}` are dates in UTC.
struct Case {
    /// The claim: true if the row passes.
    claim: &'static str,
    /// The date of birth that is stored for `{bob}` before. If the request is refused, it must still be stored.
    stored: Option<&'static str>,
    /// Method and path.
    request: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: String,
    status: u16,
    answer: Expected,
}

enum Expected {
    /// No body at all.
    Nothing,
    /// This JSON object.
    Json(&'static str),
    /// A problem document of this type.
    Problem(&'static str),
    /// A problem document of this type, and a header with this value.
    ProblemWith(&'static str, (&'static str, &'static str)),
    /// This JSON object, and a header with this value.
    JsonWith(&'static str, (&'static str, &'static str)),
    /// A description of the API (OpenAPI 3.1) with these paths.
    Openapi(&'static [&'static str]),
    /// No body, and the headers of this JSON object.
    HeadOf(&'static str),
    /// A file of this type, with these headers, in a coding that the request takes.
    File(&'static str, &'static [(&'static str, &'static str)]),
    /// No body, and these headers beside an entity tag.
    NotModified(&'static [(&'static str, &'static str)]),
}

use Expected::{File, HeadOf, Json, JsonWith, NotModified};
use Expected::{Nothing, Openapi, Problem, ProblemWith};

fn case(
    claim: &'static str,
    stored: Option<&'static str>,
    request: &'static str,
    body: impl Into<String>,
    status: u16,
    answer: Expected,
) -> Case {
    Case {
        claim,
        stored,
        request,
        headers: &[],
        body: body.into(),
        status,
        answer,
    }
}

const BORN: &str = r#"{"dateOfBirth":"1988-02-29"}"#;
const ONE_DAY: &str = r#"{"message":"Hello, {bob}! Your birthday is in 1 day(s)"}"#;
const HAPPY: &str = r#"{"message":"Hello, {bob}! Happy birthday!"}"#;
const OK: &str = r#"{"status":"ok"}"#;
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
/// What the current browsers send for a page.
const BROWSER: &str =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
const REVALIDATE: (&str, &str) = ("cache-control", "no-cache");
const VARY_INDEX: (&str, &str) = ("vary", "accept, accept-encoding");
const VARY: (&str, &str) = ("vary", "accept-encoding");
/// Was born on the day after today, in a leap year, so that the day exists.
const TOMORROW: Option<&str> = Some("1988-{tomorrow-md}");
const POLICY: (&str, &str) = (
    "content-security-policy",
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const REFERRER: (&str, &str) = ("referrer-policy", "no-referrer");
const HELLO_ALLOW: (&str, &str) = ("allow", "GET, HEAD, PUT");
const READ_ALLOW: (&str, &str) = ("allow", "GET, HEAD");

#[rustfmt::skip] // A row is a line.
fn plain() -> Vec<Case> {
    let mut cases = vec![
        // PUT and GET.
        case("a birthday can be stored", None, "PUT /hello/{bob}", BORN, 204, Nothing),
        case("a birthday can be replaced", TOMORROW, "PUT /hello/{bob}", BORN, 204, Nothing),
        case("days are counted to the next birthday", TOMORROW, "GET /hello/{bob}", "", 200, Json(ONE_DAY)),
        case("a birthday today is congratulated", Some("1988-{today-md}"), "GET /hello/{bob}", "", 200, Json(HAPPY)),
        case("a query changes nothing", TOMORROW, "GET /hello/{bob}?x=/y", "", 200, Json(ONE_DAY)),
        case("HEAD answers like GET without a body", TOMORROW, "HEAD /hello/{bob}", "", 200, HeadOf(ONE_DAY)),
        case("HEAD of an unknown user is 404", None, "HEAD /hello/{bob}", "", 404, HeadOf("")),
        case("an unknown user is 404", None, "GET /hello/{bob}", "", 404, Problem("unknown-user")),
        case("case matters", TOMORROW, "GET /hello/{BOB}", "", 404, Problem("unknown-user")),
        case("a percent-encoded letter is the letter", TOMORROW, "GET /hello/{%bob}", "", 200, Json(ONE_DAY)),
        case("a percent-encoded name can be stored", None, "PUT /hello/{%bob}", BORN, 204, Nothing),
        // Usernames.
        case("64 letters are a username", None, "GET /hello/{64}", "", 404, Problem("unknown-user")),
        case("64 letters can be stored", None, "PUT /hello/{64}", BORN, 204, Nothing),
        // Dates.
        case("yesterday is in the past", None, "PUT /hello/{bob}", r#"{"dateOfBirth":"{yesterday}"}"#, 204, Nothing),
        case("the first day of the calendar is a date", None, "PUT /hello/{bob}", r#"{"dateOfBirth":"0001-01-01"}"#, 204, Nothing),
        case("today is not past", TOMORROW, "PUT /hello/{bob}", r#"{"dateOfBirth":"{today}"}"#, 400, Problem("date-not-past")),
        case("tomorrow is not past", TOMORROW, "PUT /hello/{bob}", r#"{"dateOfBirth":"{tomorrow}"}"#, 400, Problem("date-not-past")),
        case("the last day of the calendar is not past", TOMORROW, "PUT /hello/{bob}", r#"{"dateOfBirth":"9999-12-31"}"#, 400, Problem("date-not-past")),
        // Bodies.
        case("unknown fields are ignored", None, "PUT /hello/{bob}", r#" {"a":{"dateOfBirth":1},"dateOfBirth":"1988-02-29","b":[null]} "#, 204, Nothing),
        case("an escaped date is the date", None, "PUT /hello/{bob}", r#"{"dateOf\u0042irth":"1988\u002d02-29"}"#, 204, Nothing),
        case("4 KiB are not too large", None, "PUT /hello/{bob}", padded(4096), 204, Nothing),
        case("more than 4 KiB are too large", TOMORROW, "PUT /hello/{bob}", padded(4097), 413, Problem("body-too-large")),
        case("much more is too large", TOMORROW, "PUT /hello/{bob}", padded(500_000), 413, Problem("body-too-large")),
        case("no JSON and too large is too large", TOMORROW, "PUT /hello/{bob}", "x".repeat(5000), 413, Problem("body-too-large")),
        // Health.
        case("a store that answers is healthy", None, "GET /health", "", 200, JsonWith(OK, ("cache-control", "no-store"))),
        case("HEAD of the health is like GET", None, "HEAD /health", "", 200, HeadOf(OK)),
        // Description.
        case("the API is described", None, "GET /openapi.json", "", 200, Openapi(&["/", "/assets/{asset}", "/delete", "/docs", "/export", "/health", "/hello/{username}", "/openapi.json", "/populate"])),
        case("HEAD of the description has no body", None, "HEAD /openapi.json", "", 200, HeadOf("")),
        case("the description is revalidated", None, "GET /openapi.json", "", 200, File(JSON, &[REVALIDATE, VARY])),
        // Pages.
        case("HEAD of the index has no body", None, "HEAD /", "", 200, HeadOf("")),
        case("a query does not change the index", None, "GET /?username=bob", "", 200, File(JSON, &[REVALIDATE, VARY_INDEX])),
        case("Swagger UI is a page", None, "GET /docs", "", 200, File(HTML, &[REVALIDATE, VARY, POLICY, REFERRER])),
        case("HEAD of Swagger UI has no body", None, "HEAD /docs", "", 200, HeadOf("")),
    ];
    for (claim, accept) in [
        ("a browser", BROWSER),
        ("a client that takes only pages", "text/html"),
        ("a client that prefers pages", "application/json;q=0.5, text/*;q=0.6"),
        ("a client that names the charset", "text/html;charset=utf-8"),
    ] {
        let claim = format!("{claim} gets the page").leak();
        let headers: &[(&str, &str)] = vec![("accept", accept)].leak();
        let page = File(HTML, &[REVALIDATE, VARY_INDEX, POLICY, REFERRER]);
        cases.push(Case { headers, ..case(claim, None, "GET /", "", 200, page) });
    }
    for (claim, accept) in [
        ("a client that takes everything", "*/*"),
        ("a client that takes JSON", "application/json"),
        ("a client that takes both", "text/html, application/json"),
        ("a client that takes neither", "image/png"),
        ("a client that refuses pages", "text/html;q=0, */*;q=0.1"),
        ("a client that takes nothing", ""),
        ("a weight over 1", "text/html;q=2"),
        ("a weight with four decimals", "text/html;q=0.1234"),
        ("a weight that is no number", "text/html;q=x"),
        ("half a media type", "text"),
        ("a wildcard in the wrong place", "*/html"),
        ("a quote that does not end", "text/html;charset=\"utf-8"),
        ("a word among media types", "text/html nonsense"),
    ] {
        let claim = format!("{claim} gets the index as JSON").leak();
        let headers: &[(&str, &str)] = vec![("accept", accept)].leak();
        cases.push(Case { headers, ..case(claim, None, "GET /", "", 200, File(JSON, &[REVALIDATE, VARY_INDEX])) });
    }
    for (path, accept, vary) in [("/", "*/*", VARY_INDEX), ("/", "text/html", VARY_INDEX), ("/docs", "*/*", VARY), ("/openapi.json", "*/*", VARY)] {
        let claim = format!("who has {path} ({accept}) is not sent it again").leak();
        let request = format!("GET {path}").leak();
        let headers: &[(&str, &str)] = vec![("accept", accept), ("if-none-match", "*")].leak();
        let not_modified = NotModified(vec![REVALIDATE, vary].leak());
        cases.push(Case { headers, ..case(claim, None, request, "", 304, not_modified) });
    }
    for (claim, segment) in [
        ("a digit", "bob1"),
        ("an underscore", "bo_b"),
        ("a hyphen", "bo-b"),
        ("a dot", "b.b"),
        ("a plus", "bo+b"),
        ("an encoded space", "bo%20b"),
        ("an encoded umlaut", "M%C3%BCller"),
        ("an encoded Cyrillic letter", "%D0%B0nna"),
        ("an encoded slash", "a%2Fb"),
        ("an encoded zero byte", "bob%00"),
        ("an encoded percent sign", "%2562ob"),
        ("a lone percent sign", "bob%"),
        ("half an escape", "bob%6"),
        ("an escape that is none", "%zzbob"),
        ("bytes that are no UTF-8", "%ff%fe"),
        ("65 letters", "{65}"),
    ] {
        for (method, body) in [("GET", ""), ("PUT", BORN)] {
            let claim = format!("{claim} in a username is refused for {method}").leak();
            let request = format!("{method} /hello/{segment}").leak();
            cases.push(case(claim, None, request, body, 400, Problem("invalid-username")));
        }
    }
    for (claim, date) in [
        ("29 February of a common year", "2001-02-29"),
        ("29 February 1900", "1900-02-29"),
        ("a month of one digit", "2000-1-01"),
        ("a timestamp", "2000-10-01T00:00:00Z"),
        ("a leading space", " 2000-10-01"),
        ("a trailing space", "2000-10-01 "),
        ("full-width digits", "２０００-１０-０１"),
        ("Arabic digits", "٢٠٠٠-١٠-٠١"),
        ("the year 0", "0000-01-01"),
        ("a year of five digits", "12000-01-01"),
        ("a negative year", "-200-01-01"),
        ("month 13", "2000-13-01"),
        ("month 0", "2000-00-01"),
        ("day 0", "2000-01-00"),
        ("31 April", "2000-04-31"),
        ("slashes", "2000/10/01"),
        ("day before month", "01-10-2000"),
        ("nothing", ""),
        ("a word", "yesterday!"),
    ] {
        let claim = format!("{claim} is no date").leak();
        let body = format!(r#"{{"dateOfBirth":"{date}"}}"#);
        cases.push(case(claim, TOMORROW, "PUT /hello/{bob}", body, 400, Problem("invalid-date")));
    }
    for (claim, body) in [
        ("nothing", ""),
        ("a word", "hello"),
        ("half an object", r#"{"dateOfBirth":"1988-02-29""#),
        ("two objects", r#"{"dateOfBirth":"1988-02-29"}{}"#),
        ("a comma too many", r#"{"dateOfBirth":"1988-02-29",}"#),
        ("single quotes", "{'dateOfBirth':'1988-02-29'}"),
        ("a string", r#""1988-02-29""#),
        ("an array of a date", r#"["1988-02-29"]"#),
        ("an array of an object", r#"[{"dateOfBirth":"1988-02-29"}]"#),
        ("null", "null"),
        ("a form", "dateOfBirth=1988-02-29"),
        ("an empty object", "{}"),
        ("an object without the field", r#"{"dateofbirth":"1988-02-29"}"#),
        ("a date that is null", r#"{"dateOfBirth":null}"#),
        ("a date that is a number", r#"{"dateOfBirth":19880229}"#),
        ("a date that is an array", r#"{"dateOfBirth":["1988-02-29"]}"#),
        ("a date given twice", r#"{"dateOfBirth":"1988-02-29","dateOfBirth":"1988-02-29"}"#),
        ("a lone surrogate", r#"{"dateOfBirth":"\ud800988-02-29"}"#),
    ] {
        let claim = format!("{claim} is no valid body").leak();
        cases.push(case(claim, TOMORROW, "PUT /hello/{bob}", body, 400, Problem("invalid-body")));
    }
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(1900), "]".repeat(1900));
    cases.push(case("an object too deep to read is no valid body", TOMORROW, "PUT /hello/{bob}", deep, 400, Problem("invalid-body")));
    for content_type in ["application/json", "text/plain", "application/x-www-form-urlencoded"] {
        let claim = format!("{content_type} is taken for JSON").leak();
        let headers: &[(&str, &str)] = vec![("content-type", content_type)].leak();
        cases.push(Case { headers, ..case(claim, None, "PUT /hello/{bob}", BORN, 204, Nothing) });
    }
    for (claim, header, status, answer) in [
        ("a body that is not compressed, and says so, is taken", ("content-encoding", "identity"), 204, Nothing),
        ("a compressed body is not supported", ("content-encoding", "gzip"), 415, ProblemWith("unsupported-encoding", ("accept-encoding", "identity"))),
        ("a part of a body is no valid body", ("content-range", "bytes 0-27/28"), 400, Problem("invalid-body")),
    ] {
        let headers: &[(&str, &str)] = vec![header].leak();
        cases.push(Case { headers, ..case(claim, TOMORROW, "PUT /hello/{bob}", BORN, status, answer) });
    }
    for path in ["/hello", "/hello/", "/hello/{bob}/", "/hello/{bob}/x", "//hello/{bob}", "/Hello/{bob}", "/health/", "/healthz", "/docs/", "/assets", "/assets/", "/assets/index.css", "/assets/index.0123456789abcdef.css", "/assets/../docs", "/favicon.ico", "/populate", "/export", "/delete", "/nothing"] {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let claim = format!("{method} {path} is an unknown path").leak();
            let request = format!("{method} {path}").leak();
            cases.push(case(claim, None, request, "", 404, Problem("not-found")));
        }
    }
    for method in ["POST", "DELETE", "PATCH", "OPTIONS"] {
        let claim = format!("{method} of a user is no method").leak();
        let request = format!("{method} /hello/{{bob}}").leak();
        cases.push(case(claim, TOMORROW, request, "", 405, ProblemWith("method-not-allowed", HELLO_ALLOW)));
    }
    for path in ["/", "/health", "/docs", "/openapi.json"] {
        for method in ["PUT", "POST", "DELETE", "OPTIONS"] {
            let claim = format!("{method} of {path} is no method").leak();
            let request = format!("{method} {path}").leak();
            cases.push(case(claim, None, request, "", 405, ProblemWith("method-not-allowed", READ_ALLOW)));
        }
    }
    cases
}

#[rustfmt::skip] // A row is a line.
fn token() -> Vec<Case> {
    const RIGHT: &str = "Bearer s3cret/+~:%20=";
    const CHALLENGE: Expected = ProblemWith("unauthorized", ("www-authenticate", "Bearer"));
    let with = |value: &'static str, case: Case| -> Case {
        let headers = vec![("authorization", value)].leak();
        Case { headers, ..case }
    };
    let mut cases = vec![
        with(RIGHT, case("the token lets store", None, "PUT /hello/{bob}", BORN, 204, Nothing)),
        with(RIGHT, case("the token lets read", None, "GET /hello/{bob}", "", 404, Problem("unknown-user"))),
        with("bearer s3cret/+~:%20=", case("the scheme is not case-sensitive", None, "GET /hello/{bob}", "", 404, Problem("unknown-user"))),
        case("without a token nothing is read", None, "GET /hello/{bob}", "", 401, CHALLENGE),
        case("without a token nothing is stored", None, "PUT /hello/{bob}", BORN, 401, CHALLENGE),
        case("without a token not even a bad name is told", None, "GET /hello/b0b", "", 401, CHALLENGE),
        case("the health needs no token", None, "GET /health", "", 200, Json(OK)),
        case("the index needs no token", None, "GET /", "", 200, File(JSON, &[VARY_INDEX])),
        case("Swagger UI needs no token", None, "GET /docs", "", 200, File(HTML, &[VARY])),
        case("the description needs no token", None, "GET /openapi.json", "", 200, File(JSON, &[VARY])),
        case("an unknown path needs no token", None, "GET /nothing", "", 404, Problem("not-found")),
    ];
    for wrong in ["Bearer", "Bearer ", "Bearer s3cret", "Bearer s3cret/+~:%20=x", "Bearer x3cret/+~:%20=", "s3cret/+~:%20=", "Basic s3cret/+~:%20=", "Bearer  s3cret/+~:%20="] {
        let claim = format!("{wrong:?} is not the token").leak();
        cases.push(with(wrong, case(claim, None, "PUT /hello/{bob}", BORN, 401, CHALLENGE)));
    }
    cases
}

#[rustfmt::skip] // A row is a line.
fn nonsense() -> Vec<Case> {
    let misconfigured = || ProblemWith("misconfigured", ("cache-control", "no-store"));
    vec![
        case("an invalid setting is not healthy", None, "GET /health", "", 503, misconfigured()),
        case("an invalid setting reads nothing", None, "GET /hello/{bob}", "", 503, misconfigured()),
        case("an invalid setting stores nothing", None, "PUT /hello/{bob}", BORN, 503, misconfigured()),
        case("Swagger UI is there all the same", None, "GET /docs", "", 200, File(HTML, &[VARY])),
        case("an unknown path is unknown all the same", None, "GET /nothing", "", 404, Problem("not-found")),
    ]
}

/// A valid body of `length` bytes.
fn padded(length: usize) -> String {
    format!("{BORN}{}", " ".repeat(length - BORN.len()))
}

/// A trial for every row for a service with `setup`, at `base_url`. `runtime` is the prefix of its name.
pub fn trials(runtime: &str, setup: Setup, base_url: &str) -> Vec<Trial> {
    let base_url = base_url.trim_end_matches('/');
    let cases = match setup {
        Setup::Plain => plain(),
        Setup::Token => token(),
        // See the module `operator`.
        Setup::Operator => Vec::new(),
        Setup::Nonsense => nonsense(),
    };
    let mut trials: Vec<_> = cases
        .into_iter()
        .map(|case| {
            let base_url = base_url.to_owned();
            Trial::test(format!("{runtime}: {}", case.claim), move || {
                case.check(&base_url)
            })
        })
        .collect();
    if setup == Setup::Plain {
        let name = format!("{runtime}: an answer does not wait for an acknowledgement");
        let base_url = base_url.to_owned();
        trials.extend(files::trials(runtime, &base_url));
        trials.push(Trial::test(name, move || check_latency(&base_url)));
    }
    trials
}

/// An answer in two segments waits for the acknowledgement of the first, which clients delay by 40 ms. The answer is compared
/// to one that is too large for that, on the same connection. What waits does so each time; a store that is busy with other
/// trials is slow only for a while.
fn check_latency(base_url: &str) -> Result<(), Failed> {
    const ATTEMPTS: usize = 10;
    let greeting = format!("{base_url}/hello/{}", new_username());
    client::send("PUT", &greeting, &[], BORN.as_bytes())?;
    let description = format!("{base_url}/openapi.json");
    let mut failed = String::new();
    for _ in 0..ATTEMPTS {
        let compared = median_latency(&description)?.max(Duration::MILLISECOND);
        let latency = median_latency(&greeting)?;
        if latency <= 10 * compared {
            return Ok(());
        }
        failed = format!("{latency} for a greeting, {compared} for a description");
    }
    Err(failed.into())
}

fn median_latency(url: &str) -> Result<Duration, Failed> {
    let mut latencies = Vec::new();
    for _ in 0..21 {
        let began = Instant::now();
        client::get(url)?;
        latencies.push(began.elapsed().try_into()?);
    }
    latencies.sort_unstable();
    Ok(latencies[latencies.len() / 2])
}

impl Case {
    fn check(&self, base_url: &str) -> Result<(), Failed> {
        loop {
            let today = OffsetDateTime::now_utc().date();
            let result = self.check_on(today, base_url);
            // At midnight the placeholders change, so the row runs once more.
            if today == OffsetDateTime::now_utc().date() {
                return result;
            }
        }
    }

    fn check_on(&self, today: Date, base_url: &str) -> Result<(), Failed> {
        let fill = Placeholders::new(today);
        if let Some(stored) = self.stored {
            let body = fill.fill_in(&format!(r#"{{"dateOfBirth":"{stored}"}}"#));
            let url = fill.fill_in(&format!("{base_url}/hello/{{bob}}"));
            let answer = client::send("PUT", &url, &[], body.as_bytes())?;
            if answer.status != 204 {
                return Err(format!("storing {body} first: {answer:?}").into());
            }
        }
        let (method, path) = self.request.split_once(' ').ok_or("a method and a path")?;
        let url = fill.fill_in(&format!("{base_url}{path}"));
        let body = fill.fill_in(&self.body);
        let answer = client::send(method, &url, self.headers, body.as_bytes())?;
        if answer.status != self.status {
            return Err(format!("{} was expected: {answer:?}", self.status).into());
        }
        self.check_answer(&fill, &answer)?;
        if self.status >= 400 && self.stored == TOMORROW {
            let url = fill.fill_in(&format!("{base_url}/hello/{{bob}}"));
            let after = client::get(&url)?;
            if after.body != fill.fill_in(ONE_DAY) {
                return Err(format!("the refused request changed something: {after:?}").into());
            }
        }
        Ok(())
    }

    fn check_answer(&self, fill: &Placeholders, answer: &Answer) -> Result<(), Failed> {
        let is_json = |expected: &str| {
            answer.body == fill.fill_in(expected)
                && answer.header("content-type") == Some("application/json")
                && answer.header("content-length") == Some(&answer.body.len().to_string())
        };
        let has = |(name, value): (&str, &str)| answer.header(name) == Some(value);
        let right = match self.answer {
            Nothing => answer.body.is_empty() && answer.header("content-length").is_none(),
            Json(expected) => is_json(expected),
            JsonWith(expected, header) => is_json(expected) && has(header),
            Problem(name) => answer.problem().as_deref() == Some(name),
            ProblemWith(name, header) => answer.problem().as_deref() == Some(name) && has(header),
            Openapi(paths) => {
                let document: serde_json::Value = serde_json::from_str(&answer.body)?;
                let described = document["paths"].as_object().map(|paths| paths.keys());
                answer.header("content-type") == Some("application/json")
                    && document["openapi"] == "3.1.0"
                    && described.is_some_and(|described| described.eq(paths))
            }
            File(content_type, headers) => {
                let mut all = headers
                    .iter()
                    .chain(&[("x-content-type-options", "nosniff")]);
                !answer.body.is_empty()
                    && answer.header("content-type") == Some(content_type)
                    && answer.header("etag").is_some_and(client::is_strong_tag)
                    && all.all(|header| has(*header))
            }
            NotModified(headers) => {
                answer.body.is_empty()
                    && answer.header("content-length").is_none()
                    && answer.header("etag").is_some_and(client::is_strong_tag)
                    && headers.iter().all(|header| has(*header))
            }
            HeadOf("") => answer.body.is_empty(),
            HeadOf(expected) => {
                let length = fill.fill_in(expected).len().to_string();
                answer.body.is_empty()
                    && answer.header("content-type") == Some("application/json")
                    && answer
                        .header("content-length")
                        .is_none_or(|sent| sent == length)
            }
        };
        if right {
            Ok(())
        } else {
            Err(format!("not the answer of the contract: {answer:?}").into())
        }
    }
}

/// The values of the placeholders in a row.
struct Placeholders {
    bob: String,
    today: Date,
}

impl Placeholders {
    fn new(today: Date) -> Self {
        Self {
            bob: new_username(),
            today,
        }
    }

    fn fill_in(&self, text: &str) -> String {
        // `Date` is written as the contract has dates: YYYY-MM-DD.
        let day = |offset: i64| (self.today + Duration::days(offset)).to_string();
        let encoded: String = self
            .bob
            .bytes()
            .map(|letter| format!("%{letter:02x}"))
            .collect();
        let filled_up = |length: usize| format!("{:z<length$}", self.bob);
        text.replace("{bob}", &self.bob)
            .replace("{BOB}", &self.bob.to_uppercase())
            .replace("{%bob}", &encoded)
            .replace("{64}", &filled_up(64))
            .replace("{65}", &filled_up(65))
            .replace("{yesterday}", &day(-1))
            .replace("{today}", &day(0))
            .replace("{tomorrow}", &day(1))
            .replace("{today-md}", &day(0)[5..])
            .replace("{tomorrow-md}", &day(1)[5..])
    }
}

/// A username that no run has used before, in lower case.
pub fn new_username() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is after 1970");
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let letters = |mut number: u128| {
        let mut letters = String::new();
        while number > 0 {
            letters.push(char::from(b'a' + (number % 26) as u8));
            number /= 26;
        }
        letters
    };
    format!(
        "bob{}z{}",
        letters(since.as_nanos()),
        letters(u128::from(number) + 1)
    )
}
