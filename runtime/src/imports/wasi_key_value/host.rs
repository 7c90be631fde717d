//! The functions of the interfaces.

use super::bindings::wasi::keyvalue::batch::{self, add_to_linker as add_batch};
use super::bindings::wasi::keyvalue::store::{
    Error, Host, HostBucket, KeyResponse, add_to_linker as add_store,
};
use crate::imports::key_value::{Error as StoreError, KeyValue, error_type};
use crate::limits::{Slot, Slots};
use crate::telemetry::{Call, Calls, Store as StoreName};
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

/// The only identifier there is: the one that needs no configuration on Spin, too.
const IDENTIFIER: &str = "default";

/// The most buckets that one instance may have open at a time.
const MAX_OPEN_BUCKETS: usize = 256;

/// So many keys are asked for in one answer.
const KEYS_PER_PAGE: u32 = 10_000;

/// An open bucket. All of them are the store `default`.
pub struct Bucket {
    _slot: Slot,
}

/// The context of one instance.
pub(crate) struct WasiKeyValueCtx {
    key_value: KeyValue,
    slots: Slots,
}

impl WasiKeyValueCtx {
    pub fn new(key_value: KeyValue) -> Self {
        let slots = Slots::new(MAX_OPEN_BUCKETS);
        Self { key_value, slots }
    }

    pub fn view<'a>(
        &'a self,
        calls: Calls<'a>,
        table: &'a mut ResourceTable,
    ) -> WasiKeyValueView<'a> {
        WasiKeyValueView {
            ctx: self,
            calls,
            table,
        }
    }
}

/// Adds the interfaces to `linker`; `view` finds what their functions work on in the data of a store.
///
/// # Errors
/// If they are there already.
pub(crate) fn add_to_linker<T: Send>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> WasiKeyValueView<'_>,
) -> wasmtime::Result<()> {
    add_store::<T, HasWasiKeyValue>(linker, view)?;
    add_batch::<T, HasWasiKeyValue>(linker, view)
}

struct HasWasiKeyValue;

impl HasData for HasWasiKeyValue {
    type Data<'a> = WasiKeyValueView<'a>;
}

/// What the functions of the interfaces work on.
pub(crate) struct WasiKeyValueView<'a> {
    ctx: &'a WasiKeyValueCtx,
    calls: Calls<'a>,
    table: &'a mut ResourceTable,
}

impl<'a> WasiKeyValueView<'a> {
    fn begin(&self, operation: &'static str) -> Call<'a> {
        self.calls.begin(StoreName::KeyValue, operation, None)
    }

    /// What `bucket` stands for. Traps if it is not open.
    fn open_bucket(&self, bucket: &Resource<Bucket>) -> wasmtime::Result<&'a KeyValue> {
        self.table.get(bucket)?;
        Ok(&self.ctx.key_value)
    }
}

fn end<T>(call: Call<'_>, result: Result<T, StoreError>) -> Result<T, Error> {
    call.end(result.as_ref().err().map(error_type));
    result.map_err(|error| match error {
        StoreError::StoreTableFull => Error::Other("the store is full".to_owned()),
        StoreError::NoSuchStore => Error::NoSuchStore,
        StoreError::AccessDenied => Error::AccessDenied,
        StoreError::Other(reason) => Error::Other(reason),
    })
}

impl Host for WasiKeyValueView<'_> {
    async fn open(
        &mut self,
        identifier: String,
    ) -> wasmtime::Result<Result<Resource<Bucket>, Error>> {
        if identifier != IDENTIFIER {
            return Ok(Err(Error::NoSuchStore));
        }
        let Some(slot) = self.ctx.slots.take() else {
            let reason = format!("more than {MAX_OPEN_BUCKETS} buckets at a time");
            return Ok(Err(Error::Other(reason)));
        };
        Ok(Ok(self.table.push(Bucket { _slot: slot })?))
    }
}

impl HostBucket for WasiKeyValueView<'_> {
    async fn get(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let call = self.begin("get");
        let found = self.open_bucket(&bucket)?.get(&key).await;
        Ok(end(call, found))
    }

    async fn set(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let call = self.begin("set");
        Ok(end(call, self.open_bucket(&bucket)?.set(key, value).await))
    }

    async fn delete(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let call = self.begin("delete");
        Ok(end(call, self.open_bucket(&bucket)?.delete(key).await))
    }

    async fn exists(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let call = self.begin("exists");
        let found = self.open_bucket(&bucket)?.get(&key).await;
        Ok(end(call, found.map(|value| value.is_some())))
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<KeyResponse, Error>> {
        let call = self.begin("list_keys");
        let bucket = self.open_bucket(&bucket)?;
        let page = bucket.list_keys(cursor.as_deref(), KEYS_PER_PAGE).await;
        Ok(end(call, page).map(|page| KeyResponse {
            keys: page.keys,
            cursor: page.cursor,
        }))
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl batch::Host for WasiKeyValueView<'_> {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<(String, Option<Vec<u8>>)>, Error>> {
        let call = self.begin("get_many");
        let store = self.open_bucket(&bucket)?;
        Ok(end(call, store.get_many(keys).await))
    }

    async fn set_many(
        &mut self,
        bucket: Resource<Bucket>,
        pairs: Vec<(String, Vec<u8>)>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let call = self.begin("set_many");
        let set = self.open_bucket(&bucket)?.set_many(pairs).await;
        Ok(end(call, set))
    }

    async fn delete_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let call = self.begin("delete_many");
        let deleted = self.open_bucket(&bucket)?.delete_many(keys).await;
        Ok(end(call, deleted))
    }
}
