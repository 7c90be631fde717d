//! A middleware: it answers the preflights of browsers, and passes on every other request to the component behind it.
//!
//! Other origins are allowed by headers of each response, which `headers.wat` adds to those of this component, too.

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
            package example:preflight;
            world preflight {
                /// The component behind this one.
                import wasi:http/incoming-handler@0.2.0;
                export wasi:http/incoming-handler@0.2.0;
            }
        ",
        path: "../../wit",
        world: "example:preflight/preflight",
        generate_all,
    });
    // Only for wasm: a linker for this machine does not accept the names of exports.
    #[cfg(target_family = "wasm")]
    export!(Preflight);
    #[cfg(target_family = "wasm")]
    use super::Preflight;

    pub use exports::wasi::http0_2_0::incoming_handler::Guest;
    pub use wasi::http0_2_0::{incoming_handler as next, types as http};
}

use bindings::http::{Fields, IncomingRequest, Method, OutgoingResponse, ResponseOutparam};
use bindings::{Guest, next};

/// What scripts of other origins may do: all that the API has.
const ALLOWED: [(&str, &str); 3] = [
    (
        "access-control-allow-methods",
        "GET, HEAD, PUT, POST, DELETE",
    ),
    (
        "access-control-allow-headers",
        "authorization, content-type",
    ),
    // How many seconds a browser may remember it. Chromium takes no more than two hours.
    ("access-control-max-age", "7200"),
];

struct Preflight;

impl Guest for Preflight {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        if is_preflight(&request) {
            ResponseOutparam::set(out, Ok(allowed()));
        } else {
            next::handle(request, out);
        }
    }
}

/// Any other `OPTIONS` is a request like others.
fn is_preflight(request: &IncomingRequest) -> bool {
    let headers = request.headers();
    matches!(request.method(), Method::Options)
        && headers.has("origin")
        && headers.has("access-control-request-method")
}

fn allowed() -> OutgoingResponse {
    let headers = ALLOWED.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    let headers = Fields::from_list(&headers).expect("these headers are valid");
    let response = OutgoingResponse::new(headers);
    response
        .set_status_code(204)
        .expect("204 is a status of HTTP");
    response
}
