//! Gives a component `fermyon:spin/variables@2.0.0` by its environment (`wasi:cli/environment@0.2.0`): the variable `leap_day` is
//! `SPIN_VARIABLE_LEAP_DAY`, as in Spin.

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
            package adapter:environment-variables;
            world environment-variables {
                import wasi:cli/environment@0.2.0;
                export fermyon:spin/variables@2.0.0;
            }
        ",
        path: "../../wit",
        world: "adapter:environment-variables/environment-variables",
        generate_all,
    });
    // Only for wasm: a linker for this machine does not accept the names of exports.
    #[cfg(target_family = "wasm")]
    export!(Adapter);
    #[cfg(target_family = "wasm")]
    use super::Adapter;

    pub use exports::fermyon::spin::variables::{Error, Guest};
    pub use wasi::cli0_2_0::environment::get_environment;
}

use bindings::{Error, Guest, get_environment};

/// What the name of a variable has before it in the environment.
const PREFIX: &str = "SPIN_VARIABLE_";

/// The component.
struct Adapter;

impl Guest for Adapter {
    /// An empty value counts as not set.
    fn get(name: String) -> Result<String, Error> {
        let wanted = format!("{PREFIX}{}", name.to_ascii_uppercase());
        let found = get_environment()
            .into_iter()
            .find(|(name, _)| *name == wanted);
        match found {
            Some((_, value)) if !value.is_empty() => Ok(value),
            _ => Err(Error::Undefined(name)),
        }
    }
}
