//! The files that pages load: their URLs and entity tags are known only from the service itself.

use crate::client::{self, Answer, is_strong_tag};
use libtest_mimic::{Failed, Trial};
use std::collections::BTreeSet;

const KEEP: &str = "public, max-age=31536000, immutable";

/// What each file must do.
type Claim = (&'static str, fn(&str) -> Result<(), Failed>);

const CLAIMS: [Claim; 5] = [
    (
        "gzip goes only to those who take it",
        gzip_goes_to_those_who_take_it,
    ),
    (
        "entity tags revalidate one coding each",
        entity_tags_revalidate,
    ),
    ("HEAD of it is like GET", head_is_like_get),
    ("it cannot be changed", has_no_other_method),
    ("its type is told and not guessed", has_a_type),
];

/// A trial for every claim about the files of the service at `base_url`.
pub fn trials(runtime: &str, base_url: &str) -> Vec<Trial> {
    let trial = |(claim, check): Claim| {
        let base_url = base_url.to_owned();
        Trial::test(format!("{runtime}: every file: {claim}"), move || {
            let urls = urls(&base_url)?;
            urls.iter().try_for_each(|url| {
                check(url).map_err(|error| format!("{url}: {}", error.message().unwrap_or("")))
            })?;
            Ok(())
        })
    };
    CLAIMS.into_iter().map(trial).collect()
}

/// The URLs of the pages, and of what they load.
fn urls(base_url: &str) -> Result<BTreeSet<String>, Failed> {
    let index = client::send(
        "GET",
        &format!("{base_url}/"),
        &[("accept", "text/html")],
        b"",
    )?;
    let docs = client::get(&format!("{base_url}/docs"))?;
    let pages = [index.body, docs.body].concat();
    let assets = pages.split("\"assets/").skip(1);
    let assets = assets.filter_map(|rest| rest.split('"').next());
    let mut urls: BTreeSet<_> = assets
        .map(|name| format!("{base_url}/assets/{name}"))
        .collect();
    if urls.len() != 8 {
        return Err(format!("these assets are loaded: {urls:?}").into());
    }
    urls.extend(["", "docs", "openapi.json"].map(|path| format!("{base_url}/{path}")));
    Ok(urls)
}

fn get(url: &str, headers: &[(&str, &str)]) -> Result<Answer, Failed> {
    Ok(client::send("GET", url, headers, b"")?)
}

fn check(right: bool, answer: &Answer) -> Result<(), Failed> {
    if right {
        return Ok(());
    }
    let Answer {
        status, headers, ..
    } = answer;
    Err(format!("not the answer of the contract: {status} {headers:?}").into())
}

fn gzip_goes_to_those_who_take_it(url: &str) -> Result<(), Failed> {
    let plain = get(url, &[])?;
    let is_whole = |answer: &Answer| {
        answer.status == 200
            && answer.body == plain.body
            && answer.header("content-length") == Some(&answer.sent.to_string())
            && answer
                .header("vary")
                .is_some_and(|vary| vary.ends_with("accept-encoding"))
    };
    let mut tags = BTreeSet::new();
    for (accept_encoding, coding) in [
        ("identity", None),
        ("br", None),
        ("gzip;q=0", None),
        ("gzip;q=0, *", None),
        ("gzip;q=0.5, identity", None),
        ("gzip;q=7", None),
        ("gzip", Some("gzip")),
        ("gzip, deflate, br, zstd", Some("gzip")),
        ("gzip;q=0.1", Some("gzip")),
        ("*", Some("gzip")),
    ] {
        let answer = get(url, &[("accept-encoding", accept_encoding)])?;
        let has_coding = answer.header("content-encoding") == coding;
        check(is_whole(&answer) && has_coding, &answer)?;
        tags.insert(answer.header("etag").map(str::to_owned));
    }
    check(is_whole(&plain) && tags.len() == 2, &plain)
}

fn entity_tags_revalidate(url: &str) -> Result<(), Failed> {
    let codings = ["identity", "gzip"];
    let mut tags = Vec::new();
    for coding in codings {
        let answer = get(url, &[("accept-encoding", coding)])?;
        let tag = answer.header("etag").unwrap_or_default().to_owned();
        check(is_strong_tag(&tag), &answer)?;
        tags.push(tag);
    }
    let [plain, gzip] = tags.as_slice() else {
        return Err("two codings have two tags".into());
    };
    for (coding, own, other) in [(codings[0], plain, gzip), (codings[1], gzip, plain)] {
        for known in [
            own.clone(),
            format!("W/{own}"),
            format!("\"other\", {own}"),
            format!("{other},{own}"),
            "*".to_owned(),
        ] {
            let headers = [("accept-encoding", coding), ("if-none-match", &known)];
            let answer = get(url, &headers)?;
            let right = answer.status == 304
                && answer.sent == 0
                && answer.header("etag") == Some(own)
                && answer.header("cache-control").is_some()
                && answer.header("vary").is_some()
                && answer.header("content-length").is_none();
            check(right, &answer)?;
        }
        for unknown in [other.as_str(), "\"other\"", "", own.trim_matches('"')] {
            let headers = [("accept-encoding", coding), ("if-none-match", unknown)];
            let answer = get(url, &headers)?;
            check(answer.status == 200 && answer.sent > 0, &answer)?;
        }
    }
    Ok(())
}

fn head_is_like_get(url: &str) -> Result<(), Failed> {
    for coding in ["identity", "gzip"] {
        let headers = [("accept-encoding", coding)];
        let get = get(url, &headers)?;
        let head = client::send("HEAD", url, &headers, b"")?;
        let is_same = |name| head.header(name) == get.header(name);
        let same = [
            "content-type",
            "content-encoding",
            "etag",
            "cache-control",
            "vary",
        ];
        let right = head.status == 200 && head.sent == 0 && same.into_iter().all(is_same);
        check(right, &head)?;
    }
    Ok(())
}

fn has_no_other_method(url: &str) -> Result<(), Failed> {
    for method in ["PUT", "POST", "DELETE", "OPTIONS"] {
        let answer = client::send(method, url, &[], b"")?;
        let right = answer.problem().as_deref() == Some("method-not-allowed")
            && answer.header("allow") == Some("GET, HEAD");
        check(right, &answer)?;
    }
    Ok(())
}

fn has_a_type(url: &str) -> Result<(), Failed> {
    let answer = get(url, &[])?;
    let (_, name) = url.rsplit_once('/').unwrap_or_default();
    let is_asset = url.contains("/assets/");
    let content_type = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        Some((_, "txt")) => "text/plain; charset=utf-8",
        None if name == "docs" => "text/html; charset=utf-8",
        _ => "application/json",
    };
    let cache_control = if is_asset { KEEP } else { "no-cache" };
    let right = answer.header("content-type") == Some(content_type)
        && answer.header("cache-control") == Some(cache_control)
        && answer.header("x-content-type-options") == Some("nosniff");
    check(right, &answer)
}
