//! Stands in for `fermyon:spin/key-value@2.0.0` and `wasi:keyvalue@0.2.0-draft2` in hosts that have no key-value store. A component
//! that never opens one runs there, too; one that does is told.

#[cfg_attr(
    target_family = "wasm",
    expect(
        unsafe_code,
        reason = "wit-bindgen generates the calls across the boundary of the component"
    )
)]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package adapter:no-key-value;
            world no-key-value {
                export fermyon:spin/key-value@2.0.0;
                export wasi:keyvalue/store@0.2.0-draft2;
                export wasi:keyvalue/batch@0.2.0-draft2;
            }
        ",
        path: "../../wit",
        world: "adapter:no-key-value/no-key-value",
        generate_all,
    });
    // Only for wasm: a linker for this machine does not accept the names of exports.
    #[cfg(target_family = "wasm")]
    export!(Adapter);
    #[cfg(target_family = "wasm")]
    use super::Adapter;

    pub use exports::fermyon::spin::key_value as spin;
    pub use exports::wasi::keyvalue as wasi;
}

use bindings::spin;
use bindings::wasi::batch;
use bindings::wasi::store::{self, BucketBorrow};

/// What a component is told that opens a store.
const REASON: &str = "this composition has no key-value store";

/// The component.
struct Adapter;

/// A store that is open: there is none.
enum Open {}

impl spin::Guest for Adapter {
    type Store = Open;
}

impl spin::GuestStore for Open {
    fn open(_: String) -> Result<spin::Store, spin::Error> {
        Err(spin::Error::Other(REASON.to_owned()))
    }

    fn get(&self, _: String) -> Result<Option<Vec<u8>>, spin::Error> {
        match *self {}
    }

    fn set(&self, _: String, _: Vec<u8>) -> Result<(), spin::Error> {
        match *self {}
    }

    fn delete(&self, _: String) -> Result<(), spin::Error> {
        match *self {}
    }

    fn exists(&self, _: String) -> Result<bool, spin::Error> {
        match *self {}
    }

    fn get_keys(&self) -> Result<Vec<String>, spin::Error> {
        match *self {}
    }
}

impl store::Guest for Adapter {
    type Bucket = Open;

    fn open(_: String) -> Result<store::Bucket, store::Error> {
        Err(store::Error::Other(REASON.to_owned()))
    }
}

impl store::GuestBucket for Open {
    fn get(&self, _: String) -> Result<Option<Vec<u8>>, store::Error> {
        match *self {}
    }

    fn set(&self, _: String, _: Vec<u8>) -> Result<(), store::Error> {
        match *self {}
    }

    fn delete(&self, _: String) -> Result<(), store::Error> {
        match *self {}
    }

    fn exists(&self, _: String) -> Result<bool, store::Error> {
        match *self {}
    }

    fn list_keys(&self, _: Option<String>) -> Result<store::KeyResponse, store::Error> {
        match *self {}
    }
}

impl batch::Guest for Adapter {
    fn get_many(
        bucket: BucketBorrow<'_>,
        _: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, store::Error> {
        match *bucket.get::<Open>() {}
    }

    fn set_many(bucket: BucketBorrow<'_>, _: Vec<(String, Vec<u8>)>) -> Result<(), store::Error> {
        match *bucket.get::<Open>() {}
    }

    fn delete_many(bucket: BucketBorrow<'_>, _: Vec<String>) -> Result<(), store::Error> {
        match *bucket.get::<Open>() {}
    }
}
