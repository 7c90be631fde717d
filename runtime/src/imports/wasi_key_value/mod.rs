//! `store` and `batch` of `wasi:keyvalue@0.2.0-draft2`, which Spin offers, too: many keys at a time, in the same store as
//! `fermyon:spin/key-value`.

mod bindings;
mod host;

pub(crate) use host::{WasiKeyValueCtx, add_to_linker};
