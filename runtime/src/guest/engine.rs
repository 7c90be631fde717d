//! The configuration of wasmtime, in one place: a precompiled component loads only into an engine that is configured like
//! the one that compiled it.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, thread};
use wasmtime::component::Component;
use wasmtime::{Config, Engine, Precompiled};

/// How often a guest that computes is interrupted, so that the other requests of its thread are served.
const TICK: Duration = Duration::from_millis(5);

/// Why a component cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error("not a component: {0}")]
    Invalid(String),
    #[error("precompiled, but not for this host: {0}")]
    Foreign(String),
    #[error("{0} is a component, and this host was built without a compiler: precompile it")]
    NoCompiler(String),
    #[error(
        "this host was built without a compiler and has no component inside: name a precompiled one (.cwasm)"
    )]
    NoComponent,
    #[error("cannot compile for {target}: {cause}")]
    Target { target: String, cause: String },
    #[error("it imports what this host does not offer: {0}")]
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
    let engine = Engine::new(&configuration()).map_err(engine_error)?;
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

/// What compiled code depends on: the same for the compiler and for the host that loads it.
fn configuration() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config
}

fn engine_error(error: wasmtime::Error) -> ComponentError {
    ComponentError::Engine(one_line(&error))
}

/// Loads a component (`.wasm`) or a precompiled one (`.cwasm`).
///
/// # Errors
/// If `bytes` is neither, or was precompiled by another version or configuration of this host.
pub fn load(engine: &Engine, bytes: &[u8]) -> Result<Component, ComponentError> {
    let foreign = |error: wasmtime::Error| ComponentError::Foreign(one_line(&error));
    if Engine::detect_precompiled(bytes) == Some(Precompiled::Component) {
        #[expect(
            unsafe_code,
            reason = "machine code is only as safe as where it comes from: the operator names the file, \
                      like the program itself; wasmtime refuses that of another version \
                      or configuration"
        )]
        // SAFETY: see the reason above.
        return unsafe { Component::deserialize(engine, bytes) }.map_err(foreign);
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

/// Makes machine code of components, in the form that [`load`] takes.
#[cfg(feature = "compiler")]
pub struct Compiler(Engine);

#[cfg(feature = "compiler")]
impl Compiler {
    /// For this machine, with all that its processor can do.
    ///
    /// # Errors
    /// If the machine is not one that wasmtime runs on.
    pub fn for_this_machine() -> Result<Self, ComponentError> {
        let engine = Engine::new(&configuration()).map_err(engine_error)?;
        Ok(Self(engine))
    }

    /// For every processor of the architecture in `target`, a triple such as `aarch64-unknown-linux-musl`: it uses
    /// nothing that only some have. A host loads it if its architecture and system are the same.
    ///
    /// # Errors
    /// If `target` is no triple, or of an architecture that there is no compiler for.
    pub fn for_baseline(target: &str) -> Result<Self, ComponentError> {
        let mut config = configuration();
        let engine = config.target(target).and_then(|config| Engine::new(config));
        let engine = engine.map_err(|error| ComponentError::Target {
            target: target.to_owned(),
            cause: one_line(&error),
        })?;
        Ok(Self(engine))
    }

    /// # Errors
    /// If `bytes` is no component.
    pub fn compile(&self, bytes: &[u8]) -> Result<Vec<u8>, ComponentError> {
        let compiled = self.0.precompile_component(bytes);
        compiled.map_err(|error| ComponentError::Invalid(one_line(&error)))
    }
}

pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}
