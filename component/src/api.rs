//! The routes of the contract, and the answer of each.

use crate::bindings::http::{IncomingRequest, Method};
use crate::body;
use crate::error::Error;
use crate::export;
use crate::files::{self, Asset};
use crate::lines;
use crate::populate;
use crate::response::Response;
use crate::settings::Settings;
use crate::store::Store;
use crate::username;
use birthday_rule::{DateOfBirth, message};
use serde::Serialize;
use std::time::SystemTime;
use subtle::ConstantTimeEq;

/// The answer to any `request`.
pub fn answer(request: &IncomingRequest, now: SystemTime) -> Response {
    route(request, now).unwrap_or_else(Response::from)
}

fn route(request: &IncomingRequest, now: SystemTime) -> Result<Response, Error> {
    use Method::{Delete, Get, Head, Post, Put};

    let path_with_query = request.path_with_query().unwrap_or_default();
    let path = path_with_query.split('?').next().unwrap_or_default();
    let path = path.strip_prefix('/').ok_or(Error::NotFound)?;
    let mut segments = path.split('/');
    let segments = [segments.next(), segments.next(), segments.next()];
    match (request.method(), segments) {
        (_, [Some("hello"), Some(""), None]) => Err(Error::NotFound),
        (Get | Head, [Some("hello"), Some(username), None]) => get_hello(request, username, now),
        (Put, [Some("hello"), Some(username), None]) => put_hello(request, username, now),
        (_, [Some("hello"), Some(_), None]) => Err(Error::MethodNotAllowed("GET, HEAD, PUT")),
        (Get | Head, [Some("health"), None, _]) => get_health(),
        (Get | Head, [Some(""), None, _]) => Ok(files::index(request)),
        (Get | Head, [Some("docs"), None, _]) => Ok(files::docs(request)),
        (Get | Head, [Some("openapi.json"), None, _]) => Ok(files::openapi(request)),
        (_, [Some("" | "health" | "docs" | "openapi.json"), None, _]) => {
            Err(Error::MethodNotAllowed("GET, HEAD"))
        }
        (method, [Some("assets"), Some(name), None]) => {
            let asset = Asset::find(name)?;
            match method {
                Get | Head => Ok(asset.answer(request)),
                _ => Err(Error::MethodNotAllowed("GET, HEAD")),
            }
        }
        (Post, [Some("populate"), None, _]) => populate(request, now),
        (Get | Head, [Some("export"), None, _]) => export(request),
        (Delete, [Some("delete"), None, _]) => delete(request),
        (_, [Some("populate"), None, _]) => Err(other_method("POST")),
        (_, [Some("export"), None, _]) => Err(other_method("GET, HEAD")),
        (_, [Some("delete"), None, _]) => Err(other_method("DELETE")),
        _ => Err(Error::NotFound),
    }
}

fn get_hello(
    request: &IncomingRequest,
    username: &str,
    now: SystemTime,
) -> Result<Response, Error> {
    let settings = Settings::get()?;
    authorize(request, settings)?;
    let username = username::from_segment(username)?;
    let today = settings.today(now)?;
    let born =
        Store::with(&settings.store, |store| store.get(&username))?.ok_or(Error::UnknownUser)?;
    let days = born.days_until(today, settings.leap_day);
    // By hand, because nearly every request gets this answer. Nothing in a message has to be escaped.
    let hello = ["{\"message\":\"", &message(&username, days), "\"}"].concat();
    Ok(Response::new(200, "application/json", hello))
}

fn put_hello(
    request: &IncomingRequest,
    username: &str,
    now: SystemTime,
) -> Result<Response, Error> {
    let settings = Settings::get()?;
    authorize(request, settings)?;
    let username = username::from_segment(username)?;
    let date_of_birth = body::date_of_birth(&body::read(request)?)?;
    let born = DateOfBirth::parse(&date_of_birth, settings.today(now)?)?;
    Store::with(&settings.store, |store| store.put(&username, born))?;
    Ok(Response::no_content())
}

fn get_health() -> Result<Response, Error> {
    #[derive(Serialize)]
    struct Health {
        status: &'static str,
    }

    let settings = Settings::get()?;
    Store::with(&settings.store, Store::check)?;
    Ok(
        Response::json(200, "application/json", &Health { status: "ok" })
            .with_header("cache-control", "no-store"),
    )
}

/// Stores the people of the body, or those that the source has.
fn populate(request: &IncomingRequest, now: SystemTime) -> Result<Response, Error> {
    let settings = operator(request)?;
    let today = settings.today(now)?;
    let counts = if is_ndjson(request) {
        Store::with(&settings.store, |store| {
            populate::from_body(request, store, today)
        })?
    } else if body::stream(request)?
        .next()?
        .is_some_and(|body| !body.is_empty())
    {
        return Err(Error::UnsupportedMediaType);
    } else {
        let source = settings.populate.as_ref().ok_or(Error::NoSource)?;
        Store::with(&settings.store, |store| {
            populate::from_source(source, store, today)
        })?
    };
    let answer = Response::json(200, "application/json", &counts);
    Ok(answer.with_header("cache-control", "no-store"))
}

fn is_ndjson(request: &IncomingRequest) -> bool {
    let types = request.headers().get("content-type");
    let [content_type] = types.as_slice() else {
        return false;
    };
    // What follows are parameters, such as a charset.
    let media_type = content_type.split(|byte| *byte == b';').next();
    media_type.is_some_and(|media_type| {
        media_type
            .trim_ascii()
            .eq_ignore_ascii_case(lines::MEDIA_TYPE.as_bytes())
    })
}

fn export(request: &IncomingRequest) -> Result<Response, Error> {
    let settings = operator(request)?;
    let chunks = export::chunks(&settings.store);
    Ok(Response::stream(200, lines::MEDIA_TYPE, None, chunks)
        .with_header("cache-control", "no-store"))
}

fn delete(request: &IncomingRequest) -> Result<Response, Error> {
    let settings = operator(request)?;
    Store::with(&settings.store, Store::delete_all)?;
    Ok(Response::no_content())
}

/// What reads or changes everybody is there only for those who have a token.
fn operator(request: &IncomingRequest) -> Result<&'static Settings, Error> {
    let settings = Settings::get()?;
    if settings.api_token.is_none() {
        return Err(Error::NotFound);
    }
    authorize(request, settings)?;
    Ok(settings)
}

/// A method that a path of the operator does not have.
fn other_method(allow: &'static str) -> Error {
    match Settings::get() {
        Ok(settings) if settings.api_token.is_some() => Error::MethodNotAllowed(allow),
        Ok(_) => Error::NotFound,
        Err(error) => error,
    }
}

/// If a token is configured, the request must carry it (RFC 6750, 2.1).
fn authorize(request: &IncomingRequest, settings: &Settings) -> Result<(), Error> {
    let Some(token) = &settings.api_token else {
        return Ok(());
    };
    let sent = request.headers().get("authorization");
    let [credentials] = sent.as_slice() else {
        return Err(Error::Unauthorized);
    };
    match credentials.split_at_checked("Bearer ".len()) {
        Some((scheme, sent))
            if scheme.eq_ignore_ascii_case(b"Bearer ") && sent.ct_eq(token.as_bytes()).into() =>
        {
            Ok(())
        }
        _ => Err(Error::Unauthorized),
    }
}
