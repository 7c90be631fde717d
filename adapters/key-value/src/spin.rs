//! `fermyon:spin/key-value@2.0.0`.

use crate::bindings::draft::store::{Error as HostError, KeyResponse};
use crate::bindings::spin::{Error, Guest, GuestStore, Store};
use crate::{Adapter, Open};

impl Guest for Adapter {
    type Store = Open;
}

impl GuestStore for Open {
    fn open(label: String) -> Result<Store, Error> {
        Ok(Store::new(Self::new(&label)?))
    }

    fn get(&self, key: String) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(&key)?)
    }

    fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        Ok(self.0.set(&key, &value)?)
    }

    fn delete(&self, key: String) -> Result<(), Error> {
        Ok(self.0.delete(&key)?)
    }

    fn exists(&self, key: String) -> Result<bool, Error> {
        Ok(self.0.exists(&key)?)
    }

    /// All keys, which have to fit into the memory of the component. A host whose cursor does not move on is not asked again.
    fn get_keys(&self) -> Result<Vec<String>, Error> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let KeyResponse { keys, cursor } = self.0.list_keys(after)?;
            all.extend(keys);
            if cursor.is_none() {
                return Ok(all);
            }
            if cursor == after {
                return Err(Error::Other(
                    "the host lists the same keys again".to_owned(),
                ));
            }
            after = cursor;
        }
    }
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Self {
        match error {
            HostError::NoSuchStore => Self::NoSuchStore,
            HostError::AccessDenied => Self::AccessDenied,
            HostError::Other(reason) => Self::Other(reason),
        }
    }
}
