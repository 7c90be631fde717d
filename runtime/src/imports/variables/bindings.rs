//! The bindings of `fermyon:spin/variables@2.0.0`, made from `wit/` at build time.

wasmtime::component::bindgen!({
    inline: "
        package host:variables;
        world imports {
            import fermyon:spin/variables@2.0.0;
        }
    ",
    path: "../wit",
    world: "host:variables/imports",
    imports: { default: trappable },
});
