//! The bindings of `spin:postgres@4.0.0`, made from `wit/` at build time.

wasmtime::component::bindgen!({
    inline: "
        package host:postgres;
        world imports {
            import spin:postgres/postgres@4.0.0;
        }
    ",
    path: "../wit",
    world: "host:postgres/imports",
    imports: { default: async | trappable },
    with: { "spin:postgres/postgres.connection": super::resource::Connection },
});
