//! The bindings of `fermyon:spin/key-value@2.0.0`, made from `wit/` at build time.

wasmtime::component::bindgen!({
    inline: "
        package host:key-value;
        world imports {
            import fermyon:spin/key-value@2.0.0;
        }
    ",
    path: "../wit",
    world: "host:key-value/imports",
    imports: {
        "fermyon:spin/key-value@2.0.0.[static]store.open": trappable,
        "fermyon:spin/key-value@2.0.0.[method]store.get": trappable,
        default: async | trappable,
    },
    with: { "fermyon:spin/key-value.store": super::resource::Store },
});
