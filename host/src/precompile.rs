//! `birthday-host compile`: precompiles a component.

use crate::command_line::bad_option;
use crate::component::EMBEDDED;
use anyhow::Context;
use http_component_runtime::engine::{self, Compiler};
use std::path::Path;

/// Compiles `component`, or else the embedded one, for `target`, or else for this machine, into the file `output`.
///
/// # Errors
/// If there is no compiler for `target`, `component` cannot be compiled, or `output` cannot be written.
pub fn compile(
    component: Option<&Path>,
    target: Option<&str>,
    output: &Path,
) -> anyhow::Result<()> {
    let compiler = match target {
        Some(target) => Compiler::for_baseline(target),
        None => Compiler::for_this_machine(),
    };
    let compiler = compiler.map_err(|error| bad_option("--target", error))?;
    let compiled = match component {
        Some(path) => engine::read(path).and_then(|bytes| compiler.compile(&bytes)),
        None => compiler.compile(EMBEDDED),
    };
    let compiled = compiled.map_err(|error| bad_option("COMPONENT", error))?;
    std::fs::write(output, compiled)
        .with_context(|| format!("--output: cannot write {}", output.display()))
}
