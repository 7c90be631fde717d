//! Gives a component `fermyon:spin/key-value@2.0.0` and `wasi:keyvalue@0.2.0-draft2` by `wasi:keyvalue@0.2.0-draft`, which is what
//! wasmtime and others have.

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
            package adapter:key-value;
            world key-value {
                import wasi:keyvalue/store@0.2.0-draft;
                import wasi:keyvalue/batch@0.2.0-draft;
                export fermyon:spin/key-value@2.0.0;
                export wasi:keyvalue/store@0.2.0-draft2;
                export wasi:keyvalue/batch@0.2.0-draft2;
            }
        ",
        path: ["../../wit", "../wit/keyvalue-0.2.0-draft"],
        world: "adapter:key-value/key-value",
        generate_all,
    });
    // Only for wasm: a linker for this machine does not accept the names of exports.
    #[cfg(target_family = "wasm")]
    export!(Adapter);
    #[cfg(target_family = "wasm")]
    use super::Adapter;

    pub use exports::fermyon::spin::key_value as spin;
    pub use exports::wasi::keyvalue0_2_0_draft2 as draft2;
    pub use wasi::keyvalue0_2_0_draft as draft;
}

mod draft2;
mod spin;

use bindings::draft::store::{self, Bucket, Error};

/// What Spin calls the store that needs no configuration.
const DEFAULT: &str = "default";

/// The component.
struct Adapter;

/// A bucket of the host that is open.
struct Open(Bucket);

impl Open {
    /// Opens the bucket `name`. Where the host has no `default`, it is the one without a name: that is what wasmtime has.
    ///
    /// # Errors
    /// Those of the host.
    fn new(name: &str) -> Result<Self, Error> {
        match store::open(name) {
            Err(Error::NoSuchStore) if name == DEFAULT => store::open("").map(Self),
            opened => opened.map(Self),
        }
    }
}
