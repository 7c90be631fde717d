//! A request, as it is handed to the component.

use super::outcome::Outcome;
use super::request_body::RequestBody;
use crate::limits::Limits;
use crate::problem::Problem;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Uri, Version};

/// The request as the component gets it: in absolute form, with a body within its limits. In a box, because it is large, and
/// handed on by one future to the next.
pub(crate) fn prepare<B>(
    request: Request<B>,
    limits: &Limits,
    outcome: &Outcome,
) -> Result<Box<Request<RequestBody<B>>>, Problem>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    let (mut parts, body) = request.into_parts();
    let expects_continue = parts.headers.contains_key(EXPECT);
    // Made before the request may be refused: when it is dropped, it receives the body for a while.
    let body = RequestBody::new(body, limits, expects_continue, outcome.clone());
    if declared_length(&parts.headers).is_some_and(|length| length > limits.max_body) {
        return Err(Problem::BodyTooLarge);
    }
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    if !codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(Problem::UnsupportedTransferCoding);
    }
    if parts.uri.authority().is_none() {
        let authority = authority(&parts.headers, parts.version)?;
        parts.uri = with_authority(parts.uri, authority);
    }
    Ok(Box::new(Request::from_parts(parts, body)))
}

/// The length of a body in bytes, if its head says it.
pub(crate) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The host that a request without an absolute URI is for (RFC 9112, 3.2).
fn authority(headers: &HeaderMap, version: Version) -> Result<Authority, Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        // Sent where the target has no authority (RFC 9112, 3.2).
        (Some(host), None) if host.is_empty() => Ok(Authority::from_static("localhost")),
        (Some(host), None) => Authority::try_from(host.as_bytes()).map_err(|_| Problem::BadRequest),
        // Before HTTP/1.1 there was no Host.
        (None, _) if version < Version::HTTP_11 => Ok(Authority::from_static("localhost")),
        _ => Err(Problem::BadRequest),
    }
}

/// `uri` in absolute form.
pub(crate) fn with_authority(uri: Uri, authority: Authority) -> Uri {
    let mut parts = uri.into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    if parts.path_and_query.is_none() {
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
    }
    Uri::from_parts(parts).expect("scheme, authority and path make a URI")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: Version, hosts: &[&'static str], expected: Result<&str, Problem>) {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, http::HeaderValue::from_static(host));
        }
        let found = authority(&headers, version);
        let found = found
            .as_ref()
            .map(Authority::as_str)
            .map_err(|problem| *problem);
        assert_eq!(found, expected, "{hosts:?}");
    }

    #[test]
    fn a_request_names_one_host() {
        check(Version::HTTP_11, &["example.com"], Ok("example.com"));
        check(Version::HTTP_11, &["[::1]:80"], Ok("[::1]:80"));
        check(Version::HTTP_10, &[], Ok("localhost"));
        check(Version::HTTP_11, &[""], Ok("localhost"));
        for hosts in [&[][..], &["a", "b"], &["a b"]] {
            check(Version::HTTP_11, hosts, Err(Problem::BadRequest));
        }
    }

    #[test]
    fn the_uri_of_a_guest_is_absolute() {
        let authority = || Authority::from_static("a:1");
        let uri = with_authority("/x?y".parse().unwrap(), authority());
        assert_eq!(uri.to_string(), "http://a:1/x?y");
        let uri = with_authority("http://b".parse().unwrap(), authority());
        assert_eq!(uri.to_string(), "http://a:1/");
    }
}
