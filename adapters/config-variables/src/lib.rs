//! Gives a component `fermyon:spin/variables@2.0.0` by `wasi:config/store@0.2.0-rc.1`: a variable is the value of the same name.

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
            package adapter:config-variables;
            world config-variables {
                import wasi:config/store@0.2.0-rc.1;
                export fermyon:spin/variables@2.0.0;
            }
        ",
        path: ["../../wit", "../wit/config-0.2.0-rc.1"],
        world: "adapter:config-variables/config-variables",
        generate_all,
    });
    // Only for wasm: a linker for this machine does not accept the names of exports.
    #[cfg(target_family = "wasm")]
    export!(Adapter);
    #[cfg(target_family = "wasm")]
    use super::Adapter;

    pub use exports::fermyon::spin::variables::{Error, Guest};
    pub use wasi::config::store;
}

use bindings::store::{self, Error as StoreError};
use bindings::{Error, Guest};

/// The component.
struct Adapter;

impl Guest for Adapter {
    fn get(name: String) -> Result<String, Error> {
        match store::get(&name) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(Error::Undefined(name)),
            Err(StoreError::Upstream(reason) | StoreError::Io(reason)) => {
                Err(Error::Provider(reason))
            }
        }
    }
}
