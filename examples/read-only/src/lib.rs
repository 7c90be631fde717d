//! A middleware: a component that stands in front of another one, and passes on only the requests that read.

#[cfg_attr(
    target_family = "wasm",
    expect(
        unsafe_code,
        reason = "wit-bindgen generates the calls across the boundary of the component"
    )
)]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package example:read-only;
            world middleware {
                /// The component behind this one.
                import wasi:http/incoming-handler@0.2.0;
                export wasi:http/incoming-handler@0.2.0;
            }
        ",
        path: "../../wit",
        world: "example:read-only/middleware",
        generate_all,
    });
    // Only for wasm: a linker for this machine does not accept the names of exports.
    #[cfg(target_family = "wasm")]
    export!(Middleware);
    #[cfg(target_family = "wasm")]
    use super::Middleware;

    pub use exports::wasi::http0_2_0::incoming_handler::Guest;
    pub use wasi::http0_2_0::{incoming_handler as next, types as http};
}

use bindings::http::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use bindings::{Guest, next};

/// What those are answered that would change something (RFC 9457).
const REFUSAL: &[u8] = br#"{"type":"/problems/read-only","title":"The service is read-only","status":503,"detail":"Nothing can be changed at the moment."}"#;

struct Middleware;

impl Guest for Middleware {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        match request.method() {
            Method::Get | Method::Head | Method::Options => next::handle(request, out),
            _ => refuse(out),
        }
    }
}

fn refuse(out: ResponseOutparam) {
    let length = REFUSAL.len().to_string();
    let headers = [
        ("content-type", "application/problem+json"),
        ("content-length", &length),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    let headers = Fields::from_list(&headers).expect("they are valid");
    let response = OutgoingResponse::new(headers);
    response
        .set_status_code(503)
        .expect("it is a status of HTTP");
    let body = response.body().expect("it was not taken before");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("it was not taken before");
    // If the client has gone away, nobody reads it.
    let _ = stream.blocking_write_and_flush(REFUSAL);
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}
