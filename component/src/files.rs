//! The files that the service has: the pages, their assets, and the description of the API. `build.rs` packs them.
//!
//! They are kept as gzip. For a client that does not take it, a file is inflated while it is sent.

use crate::accept;
use crate::bindings::http::{Fields, IncomingRequest};
use crate::error::Error;
use crate::response::Response;
use flate2::bufread::GzDecoder;
use std::io::Read;
use std::iter;

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// How much is inflated at a time. With the decoder's window it is what an answer needs of the memory of its instance.
const CHUNK_BYTES: usize = 16 * 1024;

/// A cache has to ask whether it still has the newest: the URL stays, the content changes.
const REVALIDATE: &str = "no-cache";
/// A cache may keep it: another content has another URL.
const KEEP: &str = "public, max-age=31536000, immutable";

/// What a page may load and do: only what the service itself has, and no code or style inside the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file, with an entity tag (RFC 9110, 8.8.3) for each coding.
pub struct File {
    content_type: &'static str,
    /// Bytes before they were compressed.
    length: usize,
    gzip: &'static [u8],
    tag: &'static str,
    gzip_tag: &'static str,
}

/// The page for a browser; for a program, what the service is, and its links.
pub fn index(request: &IncomingRequest) -> Response {
    let accept = field(&request.headers(), "accept");
    let is_page = accept::prefers_html(accept.as_deref());
    let file = if is_page { &INDEX_HTML } else { &INDEX_JSON };
    let response = file
        .answer(request, REVALIDATE)
        .with_header("vary", "accept, accept-encoding");
    if is_page {
        with_policy(response)
    } else {
        response
    }
}

/// Swagger UI.
pub fn docs(request: &IncomingRequest) -> Response {
    let response = DOCS_HTML.answer(request, REVALIDATE);
    with_policy(response.with_header("vary", "accept-encoding"))
}

/// The description of the API. The host reads the route templates by which it counts requests from it.
pub fn openapi(request: &IncomingRequest) -> Response {
    let response = OPENAPI_JSON.answer(request, REVALIDATE);
    response.with_header("vary", "accept-encoding")
}

/// A part of a page.
#[derive(Clone, Copy)]
pub struct Asset(&'static File);

impl Asset {
    /// The asset with this name, which has a hash of its content in it.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for the name of an earlier content.
    pub fn find(name: &str) -> Result<Self, Error> {
        let asset = ASSETS.iter().find(|(known, _)| *known == name);
        asset.map(|(_, file)| Self(file)).ok_or(Error::NotFound)
    }

    pub fn answer(self, request: &IncomingRequest) -> Response {
        let response = self.0.answer(request, KEEP);
        response.with_header("vary", "accept-encoding")
    }
}

impl File {
    /// The file in a coding that the client takes, or `304` if the client has it. Every answer needs a `Vary`.
    fn answer(&'static self, request: &IncomingRequest, cache_control: &'static str) -> Response {
        let headers = request.headers();
        let is_gzip = accept::takes_gzip(field(&headers, "accept-encoding").as_deref());
        let tag = if is_gzip { self.gzip_tag } else { self.tag };
        let known = field(&headers, "if-none-match");
        let response = match known.is_some_and(|known| has_tag(&known, tag)) {
            true => Response::not_modified(),
            false if is_gzip => Response::new(200, self.content_type, self.gzip)
                .with_header("content-encoding", "gzip"),
            false => Response::stream(200, self.content_type, Some(self.length), self.inflate()),
        };
        response
            .with_header("etag", tag)
            .with_header("cache-control", cache_control)
            .with_header("x-content-type-options", "nosniff")
    }

    /// What the file was before it was compressed, in chunks of at most [`CHUNK_BYTES`].
    fn inflate(&self) -> impl Iterator<Item = Result<Vec<u8>, Error>> + use<> {
        let mut decoder = GzDecoder::new(self.gzip);
        iter::from_fn(move || {
            let mut chunk = vec![0; CHUNK_BYTES];
            match decoder.read(&mut chunk) {
                Ok(0) => None,
                Ok(length) => {
                    chunk.truncate(length);
                    Some(Ok(chunk))
                }
                Err(_) => Some(Err(Error::Internal)),
            }
        })
    }
}

/// A page of HTML tells browsers what it may do.
fn with_policy(response: Response) -> Response {
    response
        .with_header("content-security-policy", POLICY)
        .with_header("referrer-policy", "no-referrer")
}

/// All lines of a field as one list (RFC 9110, 5.3).
fn field(headers: &Fields, name: &str) -> Option<String> {
    let lines = headers.get(name);
    (!lines.is_empty()).then(|| String::from_utf8_lossy(&lines.join(&b", "[..])).into_owned())
}

/// Whether the list of an `If-None-Match` has `tag` (RFC 9110, 13.1.2), in the weak comparison.
fn has_tag(if_none_match: &str, tag: &str) -> bool {
    let mut known = if_none_match.split(',').map(str::trim);
    if_none_match.trim() == "*"
        || known.any(|known| known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn all() -> impl Iterator<Item = &'static File> {
        let pages = [&INDEX_HTML, &INDEX_JSON, &DOCS_HTML, &OPENAPI_JSON];
        pages.into_iter().chain(ASSETS.iter().map(|(_, file)| file))
    }

    fn text(file: &File) -> String {
        let chunks: Vec<_> = file.inflate().map(Result::unwrap).collect();
        String::from_utf8(chunks.concat()).unwrap()
    }

    #[test]
    fn a_file_is_inflated_whole_and_in_small_chunks() {
        for file in all() {
            let chunks: Vec<_> = file.inflate().map(Result::unwrap).collect();
            assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_BYTES));
            assert_eq!(chunks.concat().len(), file.length);
        }
    }

    #[test]
    fn entity_tags_differ() {
        let tags: Vec<_> = all().flat_map(|file| [file.tag, file.gzip_tag]).collect();
        assert_eq!(tags.iter().collect::<HashSet<_>>().len(), tags.len());
    }

    #[test]
    fn pages_load_assets_that_exist() {
        for page in [&INDEX_HTML, &DOCS_HTML] {
            let text = text(page);
            let names = text.split("\"assets/").skip(1);
            let names: Vec<_> = names.filter_map(|rest| rest.split('"').next()).collect();
            assert!(!names.is_empty());
            for name in names {
                assert!(Asset::find(name).is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn the_descriptions_are_of_this_version() {
        let version = env!("CARGO_PKG_VERSION");
        let document: serde_json::Value = serde_json::from_str(&text(&OPENAPI_JSON)).unwrap();
        assert_eq!(document["info"]["version"], version);
        let document: serde_json::Value = serde_json::from_str(&text(&INDEX_JSON)).unwrap();
        assert_eq!(document["version"], version);
    }

    #[test]
    fn entity_tags_are_compared_weakly() {
        let check = |list: &str, expected| assert_eq!(has_tag(list, "\"a\""), expected, "{list}");
        for list in [
            "\"a\"",
            "W/\"a\"",
            "*",
            " * ",
            "\"b\",\"a\"",
            "\"b\" , W/\"a\"",
        ] {
            check(list, true);
        }
        for list in ["", "a", "\"b\"", "\"a", "\"a-gzip\"", "w/\"a\"", "\"b\", *"] {
            check(list, false);
        }
    }
}
