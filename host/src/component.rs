//! The birthday component, as the build script has built it. A host without the compiler could not run it, and does not
//! have it.

use http_component_runtime::{ComponentError, engine};
use std::path::Path;
use wasmtime::Engine;
use wasmtime::component::Component;

#[cfg(feature = "compiler")]
pub const EMBEDDED: &[u8] = include_bytes!(env!("EMBEDDED_COMPONENT"));

/// The component in `file`, or else the embedded one.
///
/// # Errors
/// If it cannot be loaded, or there is none.
pub fn load(engine: &Engine, file: Option<&Path>) -> Result<Component, ComponentError> {
    match file {
        Some(path) => engine::load_file(engine, path),
        None => load_embedded(engine),
    }
}

#[cfg(feature = "compiler")]
fn load_embedded(engine: &Engine) -> Result<Component, ComponentError> {
    engine::load(engine, EMBEDDED)
}

#[cfg(not(feature = "compiler"))]
fn load_embedded(_: &Engine) -> Result<Component, ComponentError> {
    Err(ComponentError::NoComponent)
}

#[cfg(all(test, feature = "compiler"))]
mod tests {
    use super::*;

    #[test]
    fn the_host_embeds_the_component_that_spin_gets() {
        let built = std::fs::read(birthday_tests::service::component("birthday.wasm")).unwrap();
        assert!(built == EMBEDDED, "the two builds differ");
        // A third of it is Swagger UI.
        const MAX_BYTES: usize = 2_000_000;
        assert!(built.len() <= MAX_BYTES, "{} bytes", built.len());
    }
}
