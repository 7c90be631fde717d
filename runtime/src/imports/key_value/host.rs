//! The functions of the interface.

use super::bindings::fermyon::spin::key_value::{
    Error, Host, HostStore, add_to_linker as add_interface,
};
use super::error::LOGGED;
use super::resource::Store;
use super::store::KeyValue;
use crate::limits::Slots;
use crate::telemetry::{Call, Calls, Store as StoreName};
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

/// The interface as a component imports it.
const INTERFACE: &str = "fermyon:spin/key-value@2.0.0";

/// The only label there is: the one that needs no configuration on Spin, too.
const LABEL: &str = "default";

/// The most stores that one instance may have open at a time.
const MAX_OPEN_STORES: usize = 256;

/// The context of one instance.
pub(crate) struct KeyValueCtx {
    key_value: KeyValue,
    slots: Slots,
}

impl KeyValueCtx {
    pub fn new(key_value: KeyValue) -> Self {
        let slots = Slots::new(MAX_OPEN_STORES);
        Self { key_value, slots }
    }

    pub fn view<'a>(&'a self, calls: Calls<'a>, table: &'a mut ResourceTable) -> KeyValueView<'a> {
        KeyValueView {
            ctx: self,
            calls,
            table,
        }
    }
}

/// Adds the interface to `linker`; `view` finds what its functions work on in the data of a store. A `get` is awaited only if
/// the store `waits`: it costs less if it is not.
///
/// # Errors
/// If it is there already.
pub(crate) fn add_to_linker<T: Send>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> KeyValueView<'_>,
    waits: bool,
) -> wasmtime::Result<()> {
    add_interface::<T, HasKeyValue>(linker, view)?;
    if waits {
        linker.allow_shadowing(true);
        linker.instance(INTERFACE)?.func_wrap_async(
            "[method]store.get",
            move |mut caller, (store, key): (Resource<Store>, String)| {
                Box::new(
                    async move { Ok((view(caller.data_mut()).get_awaited(store, key).await?,)) },
                )
            },
        )?;
        linker.allow_shadowing(false);
    }
    Ok(())
}

struct HasKeyValue;

impl HasData for HasKeyValue {
    type Data<'a> = KeyValueView<'a>;
}

/// What the functions of the interface work on.
pub(crate) struct KeyValueView<'a> {
    ctx: &'a KeyValueCtx,
    calls: Calls<'a>,
    table: &'a mut ResourceTable,
}

impl<'a> KeyValueView<'a> {
    fn begin(&self, operation: &'static str) -> Call<'a> {
        self.calls.begin(StoreName::KeyValue, operation, None)
    }

    /// What `store` stands for. Traps if it is not open.
    fn open_store(&self, store: &Resource<Store>) -> wasmtime::Result<&'a KeyValue> {
        self.table.get(store)?;
        Ok(&self.ctx.key_value)
    }
}

impl KeyValueView<'_> {
    /// `get`, of a store that waits.
    async fn get_awaited(
        &mut self,
        store: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let call = self.begin("get");
        let result = self.open_store(&store)?.get(&key).await;
        Ok(end(call, result))
    }
}

fn end<T>(call: Call<'_>, result: Result<T, Error>) -> Result<T, Error> {
    call.end(result.as_ref().err().map(error_type));
    result
}

/// The kind of `error`, for metrics and traces.
pub(crate) fn error_type(error: &Error) -> &'static str {
    match error {
        Error::StoreTableFull => "store_table_full",
        Error::NoSuchStore => "no_such_store",
        Error::AccessDenied => "access_denied",
        Error::Other(reason) if reason.starts_with(LOGGED) => "unavailable",
        Error::Other(_) => "other",
    }
}

impl Host for KeyValueView<'_> {}

impl HostStore for KeyValueView<'_> {
    fn open(&mut self, label: String) -> wasmtime::Result<Result<Resource<Store>, Error>> {
        if label != LABEL {
            return Ok(Err(Error::NoSuchStore));
        }
        let Some(slot) = self.ctx.slots.take() else {
            return Ok(Err(Error::StoreTableFull));
        };
        Ok(Ok(self.table.push(Store::new(slot))?))
    }

    fn get(
        &mut self,
        store: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let call = self.begin("get");
        let result = self.open_store(&store)?.get_now(&key);
        Ok(end(call, result))
    }

    async fn set(
        &mut self,
        store: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let call = self.begin("set");
        let result = self.open_store(&store)?.set(key, value).await;
        Ok(end(call, result))
    }

    async fn delete(
        &mut self,
        store: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let call = self.begin("delete");
        let result = self.open_store(&store)?.delete(key).await;
        Ok(end(call, result))
    }

    async fn exists(
        &mut self,
        store: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let call = self.begin("exists");
        let result = self.open_store(&store)?.get(&key).await;
        Ok(end(call, result.map(|value| value.is_some())))
    }

    async fn get_keys(
        &mut self,
        store: Resource<Store>,
    ) -> wasmtime::Result<Result<Vec<String>, Error>> {
        let call = self.begin("get_keys");
        let result = self.open_store(&store)?.keys().await;
        Ok(end(call, result))
    }

    async fn drop(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}
