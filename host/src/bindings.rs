//! The bindings made from `wit/world.wit` at build time, for the interfaces that wasmtime does not bring.

wasmtime::component::bindgen!({
    inline: "
        package birthday:host;
        world host {
            import fermyon:spin/key-value@2.0.0;
            import fermyon:spin/variables@2.0.0;
            import spin:postgres/postgres@4.0.0;
        }
    ",
    path: "../wit",
    world: "birthday:host/host",
    imports: {
        "fermyon:spin/key-value@2.0.0.[static]store.open": trappable,
        "fermyon:spin/key-value@2.0.0.[method]store.get": trappable,
        "fermyon:spin/variables@2.0.0": trappable,
        default: async | trappable,
    },
    with: {
        "fermyon:spin/key-value.store": crate::key_value::Store,
        "spin:postgres/postgres.connection": crate::postgres::Connection,
    },
});
