//! `spin:postgres@4.0.0` by the sockets of WASI 0.2: a component that is composed with one that imports the interface, for
//! runtimes that do not offer it.
//!
//! The driver is `tokio-postgres`, as in our host, over a stream of this crate. There are no threads and no runtime:
//! `executor` runs one call of the interface to its end, or to its time limit.
//!
//! | module | answers |
//! |---|---|
//! | `interface` | what do the functions of the interface do, and what are its values and errors? |
//! | `connect` | which of the hosts of an address is connected to? |
//! | `server`, `wire` | how is a session opened, and what carries its messages until it ends? |
//! | `session`, `steps` | how does a statement run, and how many types may it have? |
//! | `tcp`, `lookup` | what are a stream of bytes and the addresses of a name, by WASI? |
//! | `tls` | how is a stream encrypted, and is it the right server? |
//! | `executor` | how is a future run to its end? |
//!
//! The rest is the source of our host, so that both understand addresses, values and errors alike: of `postgres/` what an
//! address, an answer, a message and an error are, of `runtime/` (in `interface`) the values.
#![cfg(target_family = "wasm")]

/// What the files of our host call their client library is this crate here.
extern crate self as pipelined_postgres;

#[expect(
    dead_code,
    reason = "our host asks also which servers an address names"
)]
#[path = "../../../postgres/src/address/mod.rs"]
mod address;
#[path = "../../../postgres/src/answer.rs"]
mod answer;
#[path = "../../../postgres/src/any_certificate.rs"]
mod any_certificate;
#[path = "../../../postgres/src/attributes.rs"]
mod attributes;
mod connect;
#[expect(dead_code, reason = "our host has more that can go wrong")]
#[path = "../../../postgres/src/error.rs"]
mod error;
mod executor;
#[path = "../../../postgres/src/inbound.rs"]
mod inbound;
mod interface;
mod lookup;
#[path = "../../../postgres/src/own_certificate.rs"]
mod own_certificate;
#[expect(
    dead_code,
    reason = "what a component may connect to, its runtime says"
)]
#[path = "../../../postgres/src/permit.rs"]
mod permit;
#[path = "../../../postgres/src/rows.rs"]
mod rows;
mod server;
mod session;
mod steps;
mod tcp;
mod tls;
mod wire;

pub use answer::Answer;
pub use error::Error;
pub use session::Parameter;

/// The bindings made from `wit/` at build time.
#[expect(
    unsafe_code,
    reason = "wit-bindgen generates the calls across the boundary of the component"
)]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package adapter:postgres;
            world adapter {
                import wasi:clocks/monotonic-clock@0.2.0;
                import wasi:io/poll@0.2.0;
                import wasi:io/streams@0.2.0;
                import wasi:sockets/instance-network@0.2.0;
                import wasi:sockets/ip-name-lookup@0.2.0;
                import wasi:sockets/network@0.2.0;
                import wasi:sockets/tcp-create-socket@0.2.0;
                import wasi:sockets/tcp@0.2.0;
                export spin:postgres/postgres@4.0.0;
            }
        ",
        path: "../../wit",
        world: "adapter:postgres/adapter",
        generate_all,
    });
    export!(Component with_types_in self);
    use crate::interface::Component;

    pub use exports::spin::postgres::postgres;
    // The WIT of Spin names two versions of WASI, so the generated paths contain the version.
    pub use wasi::clocks0_2_0::monotonic_clock;
    pub use wasi::io0_2_0::{poll, streams};
    pub use wasi::sockets0_2_0::{
        instance_network, ip_name_lookup, network, tcp, tcp_create_socket,
    };
}
