//! The configuration of wasmtime, in one place: a precompiled component only loads into an engine that is
//! configured like the one that made it.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, thread};
use wasmtime::component::Component;
use wasmtime::{Config, Engine, Precompiled};

/// How often a guest that computes is interrupted, so that others get their turn on its thread.
const TICK: Duration = Duration::from_millis(5);

/// Why a component cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error("not a component: {0}")]
    Invalid(String),
    #[error("{0} is a component, and this host was built without a compiler: precompile it")]
    NoCompiler(String),
    #[error("it wants what this host does not offer: {0}")]
    Imports(String),
    #[error("it does not handle HTTP requests (wasi:http/incoming-handler): {0}")]
    Exports(String),
    #[error("wasmtime does not work here: {0}")]
    Engine(String),
}

/// An engine that components of this host are compiled for and run in. Its clock ticks until it is
/// dropped.
///
/// # Errors
/// If the machine is not one that wasmtime runs on.
pub fn engine() -> Result<Engine, ComponentError> {
    let engine_error = |error: wasmtime::Error| ComponentError::Engine(one_line(&error));
    let mut config = Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config).map_err(engine_error)?;
    let weak = engine.weak();
    thread::Builder::new()
        .name("epoch".to_owned())
        .spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        })
        .map_err(|error| ComponentError::Engine(error.to_string()))?;
    Ok(engine)
}

/// Loads a component (`.wasm`) or a precompiled one (`.cwasm`).
///
/// # Errors
/// If `bytes` is neither, or was precompiled by another version or configuration of this host.
pub fn load(engine: &Engine, bytes: &[u8]) -> Result<Component, ComponentError> {
    let invalid = |error: wasmtime::Error| ComponentError::Invalid(one_line(&error));
    if Engine::detect_precompiled(bytes) == Some(Precompiled::Component) {
        #[expect(
            unsafe_code,
            reason = "machine code is only as safe as where it comes from: it is named by whoever starts \
                      this program, like the program itself; wasmtime refuses that of another version \
                      or configuration"
        )]
        // SAFETY: see the reason above.
        return unsafe { Component::deserialize(engine, bytes) }.map_err(invalid);
    }
    compile_component(engine, bytes)
}

/// The component in the file at `path`.
///
/// # Errors
/// If there is no such file, and as [`load`].
pub fn load_file(engine: &Engine, path: &Path) -> Result<Component, ComponentError> {
    load(engine, &read(path)?)
}

/// The bytes of the file at `path`.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, ComponentError> {
    fs::read(path).map_err(|cause| ComponentError::Unreadable {
        path: path.to_owned(),
        cause,
    })
}

#[cfg(feature = "compiler")]
fn compile_component(engine: &Engine, bytes: &[u8]) -> Result<Component, ComponentError> {
    Component::new(engine, bytes).map_err(|error| ComponentError::Invalid(one_line(&error)))
}

#[cfg(not(feature = "compiler"))]
fn compile_component(_: &Engine, bytes: &[u8]) -> Result<Component, ComponentError> {
    let name = format!("a file of {} bytes", bytes.len());
    Err(ComponentError::NoCompiler(name))
}

/// Compiles the component in `bytes` to machine code for this machine, in the form that [`load`] takes.
///
/// # Errors
/// If `bytes` is no component.
#[cfg(feature = "compiler")]
pub fn precompile(engine: &Engine, bytes: &[u8]) -> Result<Vec<u8>, ComponentError> {
    engine
        .precompile_component(bytes)
        .map_err(|error| ComponentError::Invalid(one_line(&error)))
}

pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}
