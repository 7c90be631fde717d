//! Every function of `fermyon:spin/key-value@2.0.0`.

use crate::{Outcome, debug, same};
use spin_sdk::key_value::{Error, Store};

pub fn check() -> Outcome {
    let store = Store::open_default().map_err(debug)?;
    for key in store.get_keys().map_err(debug)? {
        store.delete(&key).map_err(debug)?;
    }
    same("an unknown key", store.get("a").map_err(debug)?, None)?;
    same("its existence", store.exists("a").map_err(debug)?, false)?;
    store.delete("a").map_err(debug)?;

    let bytes: Vec<u8> = (0..=255).collect();
    store.set("b/ü", &bytes).map_err(debug)?;
    store.set("a", b"1").map_err(debug)?;
    store.set("a", b"").map_err(debug)?;
    same("bytes", store.get("b/ü").map_err(debug)?, Some(bytes))?;
    same(
        "an empty value",
        store.get("a").map_err(debug)?,
        Some(Vec::new()),
    )?;
    same("existence", store.exists("a").map_err(debug)?, true)?;

    // A second handle sees the same store.
    let other = Store::open("default").map_err(debug)?;
    let mut keys = other.get_keys().map_err(debug)?;
    keys.sort();
    same("keys", keys, vec!["a".to_owned(), "b/ü".to_owned()])?;
    other.delete("a").map_err(debug)?;
    same("a deleted key", store.exists("a").map_err(debug)?, false)?;

    match Store::open("another") {
        Err(Error::NoSuchStore) => {}
        other => return Err(format!("another store: {other:?}")),
    }
    let mut open = Vec::new();
    let full = loop {
        match Store::open_default() {
            Ok(store) if open.len() < 10_000 => open.push(store),
            Ok(_) => return Err("stores can be opened without end".to_owned()),
            Err(error) => break error,
        }
    };
    same("one store too many", full, Error::StoreTableFull)?;
    drop(open);
    Store::open_default().map_err(debug)?;
    Ok("ok".to_owned())
}
