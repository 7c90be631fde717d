//! Another application, written with the toolkit of Spin. It uses everything that a host of this world offers, and
//! misbehaves on request. The tests of the host serve it.
#![cfg(target_family = "wasm")]
#![expect(
    unsafe_code,
    reason = "what the toolkit's macro generates crosses the border of the component"
)]
#![expect(
    clippy::unwrap_used,
    reason = "in a test, what is not there is a failure"
)]

mod key_value;
mod postgres;

use futures::SinkExt;
use spin_sdk::http::{self, Fields, IncomingRequest, OutgoingResponse, ResponseOutparam};
use spin_sdk::wit::wasi::http0_2_0::outgoing_handler;
use spin_sdk::wit::wasi::http0_2_0::types::{OutgoingRequest, Scheme};
use spin_sdk::{http_component, variables};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// The problems that were found; empty if there are none.
type Outcome = Result<String, String>;

#[http_component]
async fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let path = request.path_with_query().unwrap_or_default();
    let outcome = match path.as_str() {
        "/count" => Ok(count()),
        "/body" => request
            .into_body()
            .await
            .map(|body| body.len().to_string())
            .map_err(debug),
        "/panic" => panic!("the guest panics on request"),
        "/loop" => compute_forever(),
        "/allocate" => allocate_forever(),
        "/sleep" => {
            sleep(Duration::from_secs(3600));
            Ok(String::new())
        }
        "/silent" => return,
        "/answer-and-panic" => {
            answer(out, 200, "too early".to_owned()).await;
            panic!("the guest panics after its answer");
        }
        "/too-short" => return answer_as_long_as(10, out, "short".to_owned()).await,
        "/too-long" => return answer_as_long_as(10, out, "longer than it says".to_owned()).await,
        "/no-content" => return answer(out, 204, "content".to_owned()).await,
        "/not-modified" => return answer(out, 304, "content".to_owned()).await,
        "/unfinished" => return leave_unfinished(out).await,
        "/stream" => return stream(out, Ending::Finish).await,
        "/stream-and-panic" => return stream(out, Ending::Panic).await,
        "/stream-and-loop" => return stream(out, Ending::Loop).await,
        "/large" => Ok("x".repeat(3 * 1024 * 1024)),
        "/log" => {
            // In several writes.
            let name = black_box("the guest");
            eprintln!("one line from {name}");
            println!("and one to standard output");
            Ok(String::new())
        }
        "/log-much" => {
            for _ in 0..1024 {
                println!("{}", "x".repeat(1023));
            }
            Ok(String::new())
        }
        "/variables" => check_variables(),
        "/key-value" => key_value::check(),
        path if path.starts_with("/postgres") => postgres::handle(path, address),
        "/fetch-many" => count_refused(300),
        path if let Some(url) = path.strip_prefix("/fetch?") => fetch(url.to_owned()).await,
        path if let Some(url) = path.strip_prefix("/follow?") => follow(url.to_owned()).await,
        _ => Err(format!("no such path: {path}")),
    };
    let (status, text) = match outcome {
        Ok(text) => (200, text),
        Err(text) => (500, text),
    };
    answer(out, status, text).await;
}

async fn answer(out: ResponseOutparam, status: u16, text: String) {
    let response = response_as_long_as(text.len());
    response.set_status_code(status).unwrap();
    // The client may have gone.
    let _ = out.set_with_body(response, text.into_bytes()).await;
}

/// Says that the answer has `length` bytes, and sends `text`.
async fn answer_as_long_as(length: usize, out: ResponseOutparam, text: String) {
    let _ = out
        .set_with_body(response_as_long_as(length), text.into_bytes())
        .await;
}

fn response_as_long_as(length: usize) -> OutgoingResponse {
    let length = length.to_string().into_bytes();
    OutgoingResponse::new(Fields::from_list(&[("content-length".to_owned(), length)]).unwrap())
}

fn count() -> String {
    static REQUESTS: AtomicU64 = AtomicU64::new(0);
    REQUESTS.fetch_add(1, Ordering::Relaxed).to_string()
}

fn compute_forever() -> Outcome {
    loop {
        black_box(());
    }
}

fn allocate_forever() -> Outcome {
    let mut hoard = Vec::new();
    loop {
        hoard.push(vec![1_u8; 1024 * 1024]);
        black_box(&hoard);
    }
}

enum Ending {
    Finish,
    Panic,
    Loop,
}

/// Sends the head first and then the body, piece by piece, without its length.
async fn stream(out: ResponseOutparam, ending: Ending) {
    let response = OutgoingResponse::new(Fields::new());
    response.set_status_code(200).unwrap();
    let mut body = response.take_body();
    out.set(response);
    for number in 0..3 {
        if body
            .send(format!("piece {number}\n").into_bytes())
            .await
            .is_err()
        {
            return;
        }
        sleep(Duration::from_millis(20));
    }
    match ending {
        Ending::Finish => {}
        Ending::Panic => panic!("the guest panics in the middle of the body"),
        Ending::Loop => drop(compute_forever()),
    }
}

/// Sends a head and a piece of the body, and returns without finishing the body, but keeps it.
async fn leave_unfinished(out: ResponseOutparam) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().unwrap();
    out.set(response);
    body.write()
        .unwrap()
        .blocking_write_and_flush(b"a piece")
        .unwrap();
    // By then the head has been sent.
    sleep(Duration::from_millis(20));
    std::mem::forget(body);
}

fn check_variables() -> Outcome {
    let greeting = variables::get("greeting");
    let unknown = variables::get("unknown");
    let invalid = variables::get("In-Valid");
    match (&greeting, &unknown, &invalid) {
        (
            Ok(greeting),
            Err(variables::Error::Undefined(_)),
            Err(variables::Error::InvalidName(_)),
        ) => Ok(greeting.clone()),
        _ => Err(format!("{greeting:?}, {unknown:?}, {invalid:?}")),
    }
}

fn address() -> Outcome {
    variables::get("database_url").map_err(debug)
}

/// Sends a request to another server; returns the status of the answer and the length of its body.
async fn fetch(url: String) -> Outcome {
    let response = get(&url).await?;
    Ok(format!("{} {}", response.status(), response.body().len()))
}

/// The same, and follows one redirection.
async fn follow(url: String) -> Outcome {
    let response = get(&url).await?;
    match response.header("location").and_then(|value| value.as_str()) {
        Some(location) => fetch(location.to_owned()).await,
        None => Err("there is no redirection".to_owned()),
    }
}

async fn get(url: &str) -> Result<http::Response, String> {
    let request = http::Request::get(url);
    http::send(request).await.map_err(debug)
}

/// Sends `count` requests to the server of `upstream` at the same time, and returns how many were refused.
fn count_refused(count: usize) -> Outcome {
    let upstream = variables::get("upstream").map_err(debug)?;
    let send = |_| {
        let request = OutgoingRequest::new(Fields::new());
        request.set_scheme(Some(&Scheme::Http)).unwrap();
        request.set_authority(Some(&upstream)).unwrap();
        request.set_path_with_query(Some("/")).unwrap();
        outgoing_handler::handle(request, None).map_err(debug)
    };
    let sent: Vec<_> = (0..count).map(send).collect::<Result<_, _>>()?;
    // The last one is refused if any is, and after the others.
    if let Some(last) = sent.last() {
        last.subscribe().block();
    }
    let refused = sent.iter().filter(|response| {
        response.subscribe().ready() && matches!(response.get(), Some(Ok(Err(_))))
    });
    Ok(refused.count().to_string())
}

fn debug(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

/// `Ok` if both are the same.
fn same<T: std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    let (found, expected) = (debug(found), debug(expected));
    if found == expected {
        Ok(())
    } else {
        Err(format!(
            "{what}: found {found} where {expected} was expected"
        ))
    }
}
