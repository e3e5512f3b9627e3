//! What only SQLite does: files.

use std::path::{Path, PathBuf};

use airc_core::store::Position;
use airc_registry::store::{Access, Connection, OpenError, sqlite::Sqlite};
use rusqlite::Connection as Raw;

use crate::records::{handle, message};

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let path = scratch.path().join("airc.db");
    (scratch, path)
}

fn write(path: &Path) -> Sqlite {
    Sqlite::open(path, Access::Write).expect("it opens")
}

#[test]
fn what_was_written_is_there_when_the_file_is_opened_again() {
    let (_scratch, path) = scratch();
    let mut store = write(&path);
    let deliver = |store: &mut Sqlite, id| {
        let work = &mut |store: &mut dyn airc_core::store::Store| {
            store.deliver(&message("a", "me", id, 1)).map(drop)
        };
        store.write(work).unwrap();
    };
    deliver(&mut store, "m1");
    drop(store);
    deliver(&mut write(&path), "m2");
    let mut reader = Sqlite::open(&path, Access::Read).unwrap();
    let mut found = Vec::new();
    reader
        .read(&mut |store| {
            let page = store.inbox(&handle("me"), Position(0), 9)?;
            found = page.messages.into_iter().map(|(_, it)| it.id).collect();
            Ok(())
        })
        .unwrap();
    assert_eq!(found, ["m1", "m2"]);
}

#[test]
fn a_file_of_another_program_is_refused_and_left_alone() {
    let (_scratch, path) = scratch();
    let other = Raw::open(&path).unwrap();
    other
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
        .unwrap();
    drop(other);
    let before = std::fs::read(&path).unwrap();
    let refused = Sqlite::open(&path, Access::Write).unwrap_err();
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let (_scratch, path) = scratch();
    let text = "not a database, and longer than the header of one ".repeat(40);
    std::fs::write(&path, &text).unwrap();
    let refused = Sqlite::open(&path, Access::Write).unwrap_err();
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_file_of_a_newer_registry_is_refused() {
    let (_scratch, path) = scratch();
    drop(write(&path));
    let raw = Raw::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let refused = Sqlite::open(&path, Access::Write).unwrap_err();
    assert!(
        matches!(
            refused,
            OpenError::Newer {
                found: 99,
                known: 1,
                ..
            }
        ),
        "{refused}"
    );
    assert!(refused.to_string().contains("newer registry"));
}

#[test]
fn a_missing_directory_is_said_and_a_missing_file_is_not_made_for_a_reader() {
    let (_scratch, path) = scratch();
    let nowhere = path.join("no/such/directory");
    let refused = Sqlite::open(&nowhere, Access::Write).unwrap_err();
    assert!(matches!(refused, OpenError::Failed { .. }), "{refused}");
    Sqlite::open(&path, Access::Read).unwrap_err();
    assert!(!path.exists());
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_file_or_its_log() {
    use std::os::unix::fs::PermissionsExt;
    let (scratch, path) = scratch();
    let _open = write(&path);
    let files: Vec<_> = std::fs::read_dir(scratch.path())
        .unwrap()
        .flatten()
        .collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o077,
            0,
            "{file:?}"
        );
    }
}

#[test]
fn a_reader_cannot_write() {
    let (_scratch, path) = scratch();
    let mut writer = write(&path);
    let mut reader = Sqlite::open(&path, Access::Read).unwrap();
    let refused = reader.read(&mut |store| store.deliver(&message("a", "me", "m1", 1)).map(drop));
    assert!(!refused.unwrap_err().transient);
    let mut found = 9;
    writer
        .read(&mut |store| {
            found = store.inbox(&handle("me"), Position(0), 9)?.messages.len();
            Ok(())
        })
        .unwrap();
    assert_eq!(found, 0);
}

#[test]
fn many_may_open_a_new_file_at_once() {
    let (_scratch, path) = scratch();
    std::thread::scope(|scope| {
        let opening: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| Sqlite::open(&path, Access::Write)))
            .collect();
        for opened in opening {
            opened.join().unwrap().unwrap();
        }
    });
}
