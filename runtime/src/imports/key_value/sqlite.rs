//! Keys and values in one SQLite file.
//!
//! Each thread reads over its own connection, while it serves: the write-ahead log lets reads go on during a write.
//! Writes go to one thread, which commits all that wait as a group, so that many share the cost of one `fsync`. A write
//! is answered when it is durable.

use super::bindings::fermyon::spin::key_value::Error;
use super::file::File;
use super::keys::Keys;
use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The store's name in the file. Spin keeps several stores in one.
const STORE: &str = "default";

/// A store that is always empty. After a write has failed, writing there shows whether writes succeed again.
const TRIAL_STORE: &str = "host/trial";

/// The table is that of Spin's own key-value files, so that either can go on with the other's.
const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS spin_key_value (\
    store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key))";
const GET: &str = "SELECT value FROM spin_key_value WHERE store = ?1 AND key = ?2";
const SET: &str = "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3) \
    ON CONFLICT (store, key) DO UPDATE SET value = excluded.value";
const DELETE: &str = "DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2";
const KEYS_AFTER: &str =
    "SELECT key FROM spin_key_value WHERE store = ?1 AND key > ?2 ORDER BY key LIMIT ?3";
const KEYS: &str = "SELECT key FROM spin_key_value WHERE store = ?1 ORDER BY key";

/// How long to wait for another process that has locked the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of the file each reading thread caches, in KiB. With SQLite's default of 2 MB, reads among 100,000 keys went
/// to the file, which took 4 % of the CPU of a request.
const READ_CACHE_KIB: i32 = 16 * 1024;

/// With so many changes in a group no more writes are added, which bounds how long the first of them waits for the last.
const MAX_GROUP: usize = 512;

/// The most changes that are written together because they came together.
const MAX_BATCH: usize = 4096;

/// The most writes that wait for the writing thread; more are refused.
const MAX_WAITING: usize = 4096;

/// How often a reading thread makes sure that the file is still at its path; before a write it is done each time.
const FILE_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Why a SQLite file cannot be the store.
///
/// ```
/// # use http_component_runtime::{KeyValue, OpenError};
/// let opened: Result<KeyValue, OpenError> = KeyValue::sqlite("/nowhere/data.db".as_ref());
/// let text = opened.err().map(|error| error.to_string());
/// assert!(text.is_some_and(|text| text.starts_with("cannot open /nowhere/data.db: ")));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("cannot open {}: {cause}", path.display())]
pub struct OpenError {
    path: PathBuf,
    cause: rusqlite::Error,
}

/// Why the write-ahead log could not be emptied.
///
/// ```
/// # use http_component_runtime::{CheckpointError, KeyValue};
/// # fn example(store: KeyValue) {
/// match store.checkpoint() {
///     Err(CheckpointError::Busy) => println!("stop the other process first"),
///     Err(error) => println!("{error}"),
///     Ok(()) => {}
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Another process uses the file.
    #[error("another process uses the file")]
    Busy,
    /// SQLite cannot write it.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

#[derive(Clone)]
pub struct Sqlite {
    file: File,
    reader: Arc<Mutex<Reader>>,
    writes: mpsc::SyncSender<Write>,
}

struct Reader {
    connection: Connection,
    /// When the file was last seen in its place.
    seen: Option<Instant>,
}

impl Reader {
    fn open(path: &Path) -> Result<Mutex<Self>, OpenError> {
        Ok(Mutex::new(Self {
            connection: open_reader(path)?,
            seen: None,
        }))
    }

    /// The connection, if the file is still in its place.
    fn connection(&mut self, file: &File) -> Result<&Connection, Error> {
        let now = Instant::now();
        let is_fresh = |seen| now.duration_since(seen) < FILE_CHECK_INTERVAL;
        if !self.seen.is_some_and(is_fresh) {
            self.seen = file.is_in_place().then_some(now);
        }
        self.seen.map(|_| &self.connection).ok_or_else(displaced)
    }
}

/// What is written together: all of it, or nothing.
struct Write {
    changes: Changes,
    done: oneshot::Sender<Result<(), Error>>,
}

/// One change is by far the most frequent, and takes no list.
enum Changes {
    One(Change),
    Many(Vec<Change>),
}

impl Changes {
    fn as_slice(&self) -> &[Change] {
        match self {
            Self::One(change) => std::slice::from_ref(change),
            Self::Many(changes) => changes,
        }
    }
}

/// A key, and its new value; `None` deletes the key.
type Change = (String, Option<Vec<u8>>);

impl Sqlite {
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = open_connection(path)?;
        let prepare = |connection: &Connection| {
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.execute_batch(CREATE_TABLE)
        };
        prepare(&connection).map_err(|cause| open_error(path, cause))?;
        let reader = Reader::open(path)?;
        let file = File::at(path).map_err(|cause| opening_failed(path, cause))?;
        let writer = Writer {
            connection,
            file: file.clone(),
            is_failing: false,
        };
        let (writes, waiting) = mpsc::sync_channel(MAX_WAITING);
        thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || writer.run(&waiting))
            .map_err(|cause| opening_failed(path, cause))?;
        Ok(Self {
            file,
            reader: Arc::new(reader),
            writes,
        })
    }

    pub fn for_another_thread(&self) -> Result<Self, OpenError> {
        Ok(Self {
            reader: Arc::new(Reader::open(self.file.path())?),
            ..self.clone()
        })
    }

    /// Moves the write-ahead log into the file, and empties it.
    pub fn checkpoint(&self) -> Result<(), CheckpointError> {
        truncate_log(&self.reader.lock().connection)
    }

    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.reader
            .lock()
            .connection(&self.file)?
            .prepare_cached(GET)
            .and_then(|mut get| {
                get.query_row(params![STORE, key], |row| row.get(0))
                    .optional()
            })
            .map_err(|error| failed(&error))
    }

    pub fn keys(&self) -> Result<Vec<String>, Error> {
        let mut reader = self.reader.lock();
        let mut statement = reader
            .connection(&self.file)?
            .prepare_cached(KEYS)
            .map_err(|error| failed(&error))?;
        let found = statement.query_map([STORE], |row| row.get(0));
        let mut keys = Keys::default();
        for key in found.map_err(|error| failed(&error))? {
            keys.push(key.map_err(|error| failed(&error))?)?;
        }
        Ok(keys.into_inner())
    }

    /// Up to `count` keys behind the key `after`, in order.
    pub fn keys_after(&self, after: &str, count: u32) -> Result<Vec<String>, Error> {
        let mut reader = self.reader.lock();
        let found = reader
            .connection(&self.file)?
            .prepare_cached(KEYS_AFTER)
            .and_then(|mut statement| {
                let keys = statement.query_map(params![STORE, after, count], |row| row.get(0))?;
                keys.collect()
            });
        found.map_err(|error| failed(&error))
    }

    pub async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        self.write(Changes::One((key, Some(value)))).await
    }

    pub async fn delete(&self, key: String) -> Result<(), Error> {
        self.write(Changes::One((key, None))).await
    }

    /// Sets or deletes many keys, up to [`MAX_BATCH`] of them together: all, or none.
    pub async fn change_many(&self, mut changes: Vec<Change>) -> Result<(), Error> {
        while changes.len() > MAX_BATCH {
            let rest = changes.split_off(MAX_BATCH);
            self.write(Changes::Many(changes)).await?;
            changes = rest;
        }
        match changes.is_empty() {
            true => Ok(()),
            false => self.write(Changes::Many(changes)).await,
        }
    }

    async fn write(&self, changes: Changes) -> Result<(), Error> {
        let (done, outcome) = oneshot::channel();
        let write = Write { changes, done };
        self.writes.try_send(write).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => Error::Other("too many writes wait".to_owned()),
            mpsc::TrySendError::Disconnected(_) => stopped(),
        })?;
        outcome.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn open_connection(path: &Path) -> Result<Connection, OpenError> {
    let open = || {
        // Without SQLITE_OPEN_URI: the path is taken as it is.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // With the write-ahead log, FULL is what makes a commit survive the loss of power.
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(connection)
    };
    open().map_err(|cause| open_error(path, cause))
}

fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let reader = open_connection(path)?;
    reader
        // A negative number is in KiB, a positive one in pages.
        .pragma_update(None, "cache_size", -READ_CACHE_KIB)
        .map_err(|cause| open_error(path, cause))?;
    Ok(reader)
}

fn open_error(path: &Path, cause: rusqlite::Error) -> OpenError {
    OpenError {
        path: path.to_owned(),
        cause,
    }
}

/// Writes what comes over a channel.
struct Writer {
    connection: Connection,
    file: File,
    /// The last group could not be written.
    is_failing: bool,
}

impl Writer {
    /// Writes until every sender is gone.
    fn run(mut self, waiting: &mpsc::Receiver<Write>) {
        while let Ok(first) = waiting.recv() {
            let mut changes = first.changes.as_slice().len();
            let mut group = vec![first];
            while changes < MAX_GROUP
                && let Ok(next) = waiting.try_recv()
            {
                changes += next.changes.as_slice().len();
                group.push(next);
            }
            let outcome = match self.file.is_in_place() {
                true => self.commit(&group).map_err(|error| failed(&error)),
                false => Err(displaced()),
            };
            for write in group {
                // The request may have been given up.
                let _ = write.done.send(outcome.clone());
            }
        }
    }

    fn commit(&mut self, group: &[Write]) -> rusqlite::Result<()> {
        let mut result = self.write_group(group);
        if result.as_ref().is_err_and(has_no_space) {
            // On a small disk the write-ahead log may be all that fills it.
            let _ = truncate_log(&self.connection);
            result = self.write_group(group);
        }
        self.is_failing = result.is_err();
        result
    }

    /// Commits `group` as one transaction: when this returns, all of it is durable, or nothing.
    fn write_group(&mut self, group: &[Write]) -> rusqlite::Result<()> {
        let transaction = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let set = |store, key: &str, value: &[u8]| {
            let mut statement = transaction.prepare_cached(SET)?;
            statement.execute(params![store, key, value])
        };
        let delete = |store, key: &str| {
            let mut statement = transaction.prepare_cached(DELETE)?;
            statement.execute(params![store, key])
        };
        for (key, value) in group.iter().flat_map(|write| write.changes.as_slice()) {
            match value {
                Some(value) => set(STORE, key, value)?,
                None => delete(STORE, key)?,
            };
        }
        if self.is_failing {
            // Deleting a key that is not there would succeed on a full disk.
            set(TRIAL_STORE, "", b"")?;
            delete(TRIAL_STORE, "")?;
        }
        transaction.commit()
    }
}

/// Moves the write-ahead log into the file, and empties it.
fn truncate_log(connection: &Connection) -> Result<(), CheckpointError> {
    let is_busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    match is_busy {
        true => Err(CheckpointError::Busy),
        false => Ok(()),
    }
}

/// Whether the disk, or what this process may write of it (`RLIMIT_FSIZE`), is full.
fn has_no_space(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DiskFull | rusqlite::ErrorCode::SystemIoFailure)
    )
}

fn opening_failed(path: &Path, cause: io::Error) -> OpenError {
    open_error(
        path,
        rusqlite::Error::ToSqlConversionFailure(Box::new(cause)),
    )
}

fn displaced() -> Error {
    Error::Other("sqlite: the file was deleted, renamed or replaced".to_owned())
}

fn failed(error: &rusqlite::Error) -> Error {
    Error::Other(format!("sqlite: {error}"))
}

fn stopped() -> Error {
    Error::Other("sqlite: the writing thread has ended".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    }

    #[test]
    fn what_is_set_is_read_by_every_thread_until_it_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&folder.path().join("test.db")).unwrap();
        let other = store.for_another_thread().unwrap();
        runtime().block_on(async {
            store.set("b".to_owned(), b"2".to_vec()).await.unwrap();
            store.set("a".to_owned(), b"0".to_vec()).await.unwrap();
            store.set("a".to_owned(), b"1".to_vec()).await.unwrap();
            assert_eq!(other.get("a").unwrap(), Some(b"1".to_vec()));
            assert_eq!(other.keys().unwrap(), ["a", "b"]);
            other.delete("a".to_owned()).await.unwrap();
            other.delete("never".to_owned()).await.unwrap();
            assert_eq!(store.get("a").unwrap(), None);
        });
    }

    #[test]
    fn many_keys_are_set_listed_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&folder.path().join("test.db")).unwrap();
        let key = |number: usize| format!("{number:05}");
        let count = 2 * MAX_BATCH + 1;
        let set = (0..count).map(|number| (key(number), Some(b"1".to_vec())));
        runtime()
            .block_on(store.change_many(set.collect()))
            .unwrap();
        assert_eq!(store.keys().unwrap().len(), count);
        assert_eq!(store.keys_after(&key(41), 2).unwrap(), [key(42), key(43)]);
        assert!(store.keys_after(&key(count), 2).unwrap().is_empty());
        let delete = (1..count).map(|number| (key(number), None));
        runtime()
            .block_on(store.change_many(delete.collect()))
            .unwrap();
        assert_eq!(store.keys().unwrap(), [key(0)]);
    }

    #[test]
    fn a_file_that_is_no_longer_in_its_place_is_neither_written_nor_read() {
        let folder = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (
            folder.path().join("test.db"),
            folder.path().join("moved.db"),
        );
        let store = Sqlite::open(&path).unwrap();
        let set = || runtime().block_on(store.set("a".to_owned(), b"1".to_vec()));
        let is_read = || {
            thread::sleep(FILE_CHECK_INTERVAL);
            store.get("a").is_ok() && store.keys().is_ok()
        };
        assert!(set().is_ok() && is_read());
        fs::rename(&path, &elsewhere).unwrap();
        assert!(set().is_err() && !is_read());
        fs::write(&path, b"").unwrap();
        assert!(set().is_err() && !is_read(), "another file is there");
        fs::rename(&elsewhere, &path).unwrap();
        assert!(set().is_ok() && is_read());
        fs::remove_file(&path).unwrap();
        assert!(set().is_err() && !is_read());
    }

    #[test]
    fn a_folder_is_no_store() {
        let error = Sqlite::open(&std::env::temp_dir()).err().unwrap();
        assert!(error.to_string().starts_with("cannot open"), "{error}");
    }
}
