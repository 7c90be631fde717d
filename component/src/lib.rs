//! The birthday API as a WebAssembly component (`wit/world.wit`).
//!
//! A request goes through the modules in this order: `lib.rs` (here: read the clock, hand the request
//! over) → `api` (the routes) → `username`, `birthday`, `body` (parse what the caller sent) → `store`
//! (keep it) → `response` or `error` (say what happened). `settings` are the variables of the runtime.

mod api;
mod birthday;
mod body;
mod error;
mod response;
mod settings;
mod store;
mod username;

/// The bindings made from `wit/world.wit` at build time.
#[cfg_attr(
    target_family = "wasm",
    expect(
        unsafe_code,
        reason = "what wit-bindgen generates crosses the border of the component"
    )
)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "birthday",
        generate_all,
        // What is passed to the runtime need not be copied for it.
        ownership: Borrowing { duplicate_if_necessary: false },
    });
    // The names of exports are none that a linker for this machine takes, as for the unit tests.
    #[cfg(target_family = "wasm")]
    export!(Component with_types_in self);
    #[cfg(target_family = "wasm")]
    use super::Component;

    // Spin's WIT names two versions of WASI, so the generated paths have the version in them.
    pub use self::spin::postgres::postgres;
    pub use exports::wasi::http0_2_0::incoming_handler::Guest;
    pub use fermyon::spin::{key_value, variables};
    pub use wasi::http0_2_0::types as http;
    pub use wasi::io0_2_0::streams;
}

use bindings::Guest;
use bindings::http::{IncomingRequest, ResponseOutparam};
use std::time::SystemTime;

struct Component;

impl Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one clock read: everything else takes the time as an argument"
        )]
        let now = SystemTime::now();
        response::send(out, api::answer(&request, now));
    }
}
