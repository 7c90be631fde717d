//! Everything that a component may import.

use super::state::State;
use crate::imports::{Imports, key_value, postgres, variables, wasi_key_value};
use wasmtime::Engine;
use wasmtime::component::Linker;

/// A linker with WASI 0.2, outgoing HTTP, and an entry for each package of `imports`.
pub(crate) fn linker(engine: &Engine, imports: &Imports) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    variables::add_to_linker(&mut linker, |state: &mut State| {
        &mut state.imports.variables
    })?;
    key_value::add_to_linker(
        &mut linker,
        |state: &mut State| {
            let (imports, calls, table) = state.parts();
            imports.key_value.view(calls, table)
        },
        imports.key_value.waits(),
    )?;
    wasi_key_value::add_to_linker(&mut linker, |state: &mut State| {
        let (imports, calls, table) = state.parts();
        imports.wasi_key_value.view(calls, table)
    })?;
    postgres::add_to_linker(&mut linker, |state: &mut State| {
        let (imports, calls, table) = state.parts();
        imports.postgres.view(calls, table)
    })?;
    Ok(linker)
}
