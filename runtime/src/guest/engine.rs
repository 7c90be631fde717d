//! The configuration of wasmtime, in one place: a precompiled component loads only into an engine that is configured like
//! the one that compiled it.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, thread};
use wasmtime::component::Component;
use wasmtime::{Config, Engine, Precompiled};

/// How often a guest that computes is interrupted, so that the other requests of its thread are served.
const TICK: Duration = Duration::from_millis(5);

/// Why a component cannot be served. The texts are for people, in one line.
///
/// ```
/// use http_component_runtime::{ComponentError, engine};
///
/// let engine = engine::engine()?;
/// match engine::load_file(&engine, "nowhere.wasm".as_ref()) {
///     Err(ComponentError::Unreadable { path, cause }) => println!("{}: {cause}", path.display()),
///     Err(error) => return Err(error),
///     Ok(component) => println!("{}", component.component_type().exports(&engine).len()),
/// }
/// # Ok::<(), ComponentError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// The file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file that was named.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It is no component: a module of WebAssembly, or no WebAssembly at all. The text says where it ends to be one.
    #[error("not a component: {0}")]
    Invalid(String),
    /// Another version of wasmtime has precompiled it, or one that is configured in another way.
    #[error("precompiled, but not for this host: {0}")]
    Foreign(String),
    /// It is not precompiled, and the feature `compiler` is off. The text says what was given.
    #[error("{0} is a component, and this host was built without a compiler: precompile it")]
    NoCompiler(String),
    /// A host without the feature `compiler` was given no component.
    #[error(
        "this host was built without a compiler and has no component inside: name a precompiled one (.cwasm)"
    )]
    NoComponent,
    /// There is no compiler for the target.
    #[error("cannot compile for {target}: {cause}")]
    Target {
        /// What was asked for.
        target: String,
        /// What the compiler says.
        cause: String,
    },
    /// It imports an interface, or a function, that there is none of. The text names it.
    #[error("it imports what this host does not offer: {0}")]
    Imports(String),
    /// It exports no `wasi:http/incoming-handler`. The text says which part is missing.
    #[error("it does not handle HTTP requests (wasi:http/incoming-handler): {0}")]
    Exports(String),
    /// wasmtime does not run on this machine.
    #[error("wasmtime does not work here: {0}")]
    Engine(String),
}

/// An engine that components of this host are compiled for and run in. Its clock ticks until it is
/// dropped.
///
/// # Errors
/// If the machine is not one that wasmtime runs on.
///
/// ```
/// # use http_component_runtime::engine;
/// let engine = engine::engine()?;
/// # Ok::<(), http_component_runtime::ComponentError>(())
/// ```
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
///
/// ```
/// # use http_component_runtime::{ComponentError, engine};
/// let engine = engine::engine()?;
/// let error = engine::load(&engine, b"no WebAssembly").unwrap_err();
/// # #[cfg(feature = "compiler")]
/// assert!(matches!(error, ComponentError::Invalid(_)));
/// # Ok::<(), ComponentError>(())
/// ```
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
///
/// ```no_run
/// # use http_component_runtime::{ComponentError, engine};
/// let engine = engine::engine()?;
/// let component = engine::load_file(&engine, "component.cwasm".as_ref())?;
/// # Ok::<(), ComponentError>(())
/// ```
pub fn load_file(engine: &Engine, path: &Path) -> Result<Component, ComponentError> {
    load(engine, &read(path)?)
}

/// The bytes of the file at `path`.
///
/// # Errors
/// If it cannot be read.
///
/// ```
/// # use http_component_runtime::{ComponentError, engine};
/// let error = engine::read("nowhere.wasm".as_ref()).unwrap_err();
/// assert!(matches!(error, ComponentError::Unreadable { .. }));
/// ```
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
///
/// ```
/// # use http_component_runtime::{ComponentError, engine};
/// let compiler = engine::Compiler::for_this_machine()?;
/// // The smallest component there is, in the binary format.
/// let machine_code = compiler.compile(b"\0asm\x0d\0\x01\0")?;
/// let component = engine::load(&engine::engine()?, &machine_code)?;
/// # Ok::<(), ComponentError>(())
/// ```
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

    /// The machine code of the component in `bytes`.
    ///
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
