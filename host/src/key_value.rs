//! `fermyon:spin/key-value@2.0.0`: one store with the label `default`, in a SQLite file or in memory.

mod memory;
mod sqlite;

use crate::bindings::fermyon::spin::key_value::{Error, Host, HostStore};
use crate::telemetry::{Call, Calls};
use memory::Memory;
use sqlite::Sqlite;
use std::path::Path;
use wasmtime::component::{HasData, Resource, ResourceTable};

pub use sqlite::OpenError;

/// The only label there is: the one that needs no configuration on Spin either.
const LABEL: &str = "default";

/// How many stores a component may hold open at a time.
const MAX_OPEN_STORES: usize = 256;

/// How much memory one list of keys may take.
const MAX_KEYS_BYTES: usize = 64 * 1024 * 1024;

/// A place where keys and values live. Clones share it.
#[derive(Clone)]
pub struct KeyValue(Backend);

#[derive(Clone)]
enum Backend {
    Memory(Memory),
    Sqlite(Sqlite),
}

impl KeyValue {
    /// Keeps everything in memory: it is gone when the process ends.
    pub fn memory() -> Self {
        Self(Backend::Memory(Memory::default()))
    }

    /// Keeps everything in the SQLite file at `path`, which is made if it does not exist. It has the form
    /// that Spin gives its own key-value files.
    ///
    /// # Errors
    /// If the file cannot be opened or is no such database.
    pub fn sqlite(path: &Path) -> Result<Self, OpenError> {
        Ok(Self(Backend::Sqlite(Sqlite::open(path)?)))
    }

    /// The same store for another thread, so that reading threads do not wait for one another.
    pub(crate) fn for_another_thread(&self) -> Result<Self, OpenError> {
        Ok(Self(match &self.0 {
            Backend::Memory(memory) => Backend::Memory(memory.clone()),
            Backend::Sqlite(sqlite) => Backend::Sqlite(sqlite.for_another_thread()?),
        }))
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        match &self.0 {
            Backend::Memory(memory) => Ok(memory.get(key)),
            Backend::Sqlite(sqlite) => sqlite.get(key),
        }
    }

    async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        match &self.0 {
            Backend::Memory(memory) => {
                memory.set(key, value);
                Ok(())
            }
            Backend::Sqlite(sqlite) => sqlite.set(key, value).await,
        }
    }

    async fn delete(&self, key: String) -> Result<(), Error> {
        match &self.0 {
            Backend::Memory(memory) => {
                memory.delete(&key);
                Ok(())
            }
            Backend::Sqlite(sqlite) => sqlite.delete(key).await,
        }
    }

    fn keys(&self) -> Result<Vec<String>, Error> {
        match &self.0 {
            Backend::Memory(memory) => memory.keys(),
            Backend::Sqlite(sqlite) => sqlite.keys(),
        }
    }
}

/// A list of keys on its way to a component, bounded because the host holds all of it.
#[derive(Default)]
struct Keys {
    keys: Vec<String>,
    bytes: usize,
}

impl Keys {
    fn push(&mut self, key: String) -> Result<(), Error> {
        self.bytes += size_of::<String>() + key.len();
        if self.bytes > MAX_KEYS_BYTES {
            return Err(Error::Other(format!(
                "the keys take more than {MAX_KEYS_BYTES} bytes"
            )));
        }
        self.keys.push(key);
        Ok(())
    }

    fn into_inner(self) -> Vec<String> {
        self.keys
    }
}

/// An open store in the hands of a component: there is only one that it can be.
pub struct Store;

/// What the functions of the interface work on.
pub(crate) struct KeyValueView<'a> {
    pub key_value: &'a KeyValue,
    pub calls: Calls<'a>,
    pub open_stores: &'a mut usize,
    pub table: &'a mut ResourceTable,
}

/// Where the linker finds the host's side of this interface.
pub(crate) struct HasKeyValue;

impl HasData for HasKeyValue {
    type Data<'a> = KeyValueView<'a>;
}

impl<'a> KeyValueView<'a> {
    fn begin(&self, operation: &'static str) -> Call<'a> {
        self.calls.begin("key_value", operation, None)
    }

    /// What `store` stands for; it traps if it is not open.
    fn open_store(&self, store: &Resource<Store>) -> wasmtime::Result<&'a KeyValue> {
        self.table.get(store)?;
        Ok(self.key_value)
    }
}

fn end<T>(call: Call<'_>, result: Result<T, Error>) -> Result<T, Error> {
    call.end(result.as_ref().err().map(|error| match error {
        Error::StoreTableFull => "store_table_full",
        Error::NoSuchStore => "no_such_store",
        Error::AccessDenied => "access_denied",
        Error::Other(_) => "other",
    }));
    result
}

impl Host for KeyValueView<'_> {}

impl HostStore for KeyValueView<'_> {
    fn open(&mut self, label: String) -> wasmtime::Result<Result<Resource<Store>, Error>> {
        if label != LABEL {
            return Ok(Err(Error::NoSuchStore));
        }
        if *self.open_stores == MAX_OPEN_STORES {
            return Ok(Err(Error::StoreTableFull));
        }
        *self.open_stores += 1;
        Ok(Ok(self.table.push(Store)?))
    }

    fn get(
        &mut self,
        store: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let call = self.begin("get");
        let result = self.open_store(&store)?.get(&key);
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
        let result = self.open_store(&store)?.get(&key);
        Ok(end(call, result.map(|value| value.is_some())))
    }

    async fn get_keys(
        &mut self,
        store: Resource<Store>,
    ) -> wasmtime::Result<Result<Vec<String>, Error>> {
        let call = self.begin("get_keys");
        let result = self.open_store(&store)?.keys();
        Ok(end(call, result))
    }

    async fn drop(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        *self.open_stores -= 1;
        Ok(())
    }
}
