//! The birthday API as a WebAssembly component (`wit/world.wit`).
//!
//! A request goes through the modules in this order: `lib.rs` (reads the clock) → `api` (the routes) →
//! `username`, `body` (read the request) → `store` (reads or writes the date) → `response` or `error` (the answer).
//! What a valid username and date of birth is, the days and the message are the package `birthday-rule`.
//! `settings` has the variables of the runtime.
//!
//! `populate` and `export` store and send many people (`lines`, `person`), and `upstream` is where they may come from.
//!
//! The pages and the description of the API are `files`, in the form that `accept` reads from the request.

mod accept;
mod api;
mod body;
mod error;
mod export;
mod files;
mod lines;
mod log;
#[cfg(target_family = "wasm")]
mod metadata;
mod person;
mod populate;
mod response;
mod settings;
mod store;
mod upstream;
mod url;
mod username;

/// The bindings made from `wit/world.wit` at build time.
#[cfg_attr(
    target_family = "wasm",
    expect(
        unsafe_code,
        reason = "wit-bindgen generates the calls across the boundary of the component"
    )
)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "birthday",
        generate_all,
        // Arguments of imported functions are borrowed, so they need not be copied.
        ownership: Borrowing { duplicate_if_necessary: false },
    });
    // Only for wasm: a linker for this machine, which the unit tests need, does not accept the names of exports.
    #[cfg(target_family = "wasm")]
    export!(Component with_types_in self);
    #[cfg(target_family = "wasm")]
    use super::Component;

    // Spin's WIT names two versions of WASI, so the generated paths contain the version.
    pub use self::spin::postgres::postgres;
    pub use exports::wasi::http0_2_0::incoming_handler::Guest;
    pub use fermyon::spin::{key_value, variables};
    pub use wasi::clocks0_2_0::monotonic_clock as clocks;
    pub use wasi::http0_2_0::{outgoing_handler, types as http};
    pub use wasi::io0_2_0::{poll, streams};
    pub use wasi::keyvalue::{batch, store as buckets};
}

use bindings::Guest;
use bindings::http::{IncomingRequest, ResponseOutparam};
use std::time::SystemTime;

struct Component;

impl Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        #[expect(
            clippy::disallowed_methods,
            reason = "the only read of the clock: all other code takes the time as an argument"
        )]
        let now = SystemTime::now();
        response::send(out, api::answer(&request, now));
    }
}
