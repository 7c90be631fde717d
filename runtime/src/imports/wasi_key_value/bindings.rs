//! The bindings of `store` and `batch` of `wasi:keyvalue@0.2.0-draft2`, made from `wit/` at build time.

wasmtime::component::bindgen!({
    inline: "
        package host:wasi-key-value;
        world imports {
            import wasi:keyvalue/store@0.2.0-draft2;
            import wasi:keyvalue/batch@0.2.0-draft2;
        }
    ",
    path: "../wit",
    world: "host:wasi-key-value/imports",
    imports: { default: async | trappable },
    with: { "wasi:keyvalue/store.bucket": super::host::Bucket },
});
