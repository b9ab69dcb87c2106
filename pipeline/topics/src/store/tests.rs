//! What survives, what is refused, and who may hold a data directory.

use super::*;

fn position(segment: u64, offset: u64) -> LogPosition {
    LogPosition { segment, offset }
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(dir.path()).unwrap();
    let refused = Store::open(dir.path()).err().unwrap();
    assert!(matches!(refused, StoreError::Locked { .. }));
    let message = refused.to_string();
    assert!(
        message.contains(dir.path().to_str().unwrap()) && message.contains("another process"),
        "{message}"
    );
    drop(first);
    assert!(Store::open(dir.path()).is_ok());
}

#[test]
fn cursors_survive() {
    let dir = tempfile::tempdir().unwrap();
    let cursor = Cursor { position: position(3, 77), state: b"length".to_vec() };
    {
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.cursor("file").unwrap(), None);
        store.set_cursor("file", &Cursor { position: position(1, 8), state: Vec::new() }).unwrap();
        store.set_cursor("file", &cursor).unwrap();
    }
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.cursor("file").unwrap(), Some(cursor));
    assert_eq!(store.cursor("other").unwrap(), None);
}

#[test]
fn checkpoints_are_visible_at_once_and_durable_with_the_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let set = |store: &Store, stream: &str, value: &[u8]| {
        store.apply(vec![(Arc::from(stream), value.to_vec())]);
    };
    {
        let store = Store::open(dir.path()).unwrap();
        set(&store, "s3/a", b"1");
        set(&store, "s3/b", b"2");
        set(&store, "file/a", b"3");
        store.snapshot(position(1, 100), &[]).unwrap();
        set(&store, "s3/a", b"");
        store.snapshot(position(1, 200), &[]).unwrap();
        set(&store, "file/a", b"4");
        assert_eq!(store.checkpoint("file/a"), Some(b"4".to_vec()));
        assert_eq!(store.checkpoint("s3/a"), None);
    }
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.snapshot_position().unwrap(), Some(position(1, 200)));
    assert_eq!(store.checkpoint("file/a"), Some(b"3".to_vec()));
    assert_eq!(store.checkpoints("s3/"), [(String::from("s3/b"), b"2".to_vec())]);
    assert_eq!(store.checkpoints("").len(), 2);
}

#[test]
fn a_failed_transaction_leaves_a_store_that_works() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let cursor = |offset| Cursor { position: position(1, offset), state: Vec::new() };
    store.set_cursor("file", &cursor(1)).unwrap();
    let failed = store.write(|txn| {
        txn.open_table(CURSORS)?.insert("file", [].as_slice())?;
        Err(redb::Error::PreviousIo)
    });
    assert!(matches!(failed, Err(StoreError::Database { .. })));
    assert_eq!(store.cursor("file").unwrap(), Some(cursor(1)));
    store.set_cursor("file", &cursor(2)).unwrap();
    assert_eq!(store.cursor("file").unwrap(), Some(cursor(2)));
}

#[test]
fn state_of_a_newer_release_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = Store::open(dir.path()).unwrap();
        store
            .write(|txn| {
                txn.open_table(META)?.insert(FORMAT, [9].as_slice())?;
                Ok(())
            })
            .unwrap();
    }
    let message = Store::open(dir.path()).err().unwrap().to_string();
    assert!(message.contains("version 9"), "{message}");
}

#[test]
fn a_store_in_memory_keeps_what_it_is_given_and_no_directory() {
    let (first, second) = (Store::in_memory().unwrap(), Store::in_memory().unwrap());
    first.replace([("a/file/1".into(), b"1".to_vec())]);
    first.apply(vec![("a/file/2".into(), b"2".to_vec()), ("a/file/1".into(), Vec::new())]);
    assert_eq!(first.checkpoints("a/file/"), [("a/file/2".to_owned(), b"2".to_vec())]);
    assert_eq!(second.checkpoints(""), []);
    first.set_cursor("s", &Cursor { position: position(1, 8), state: Vec::new() }).unwrap();
    assert_eq!(first.cursor("s").unwrap().unwrap().position, position(1, 8));
}
