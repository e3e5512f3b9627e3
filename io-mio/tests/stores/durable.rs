//! What a store in a file promises: it is there after a crash.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aire_mio::store::{ClaimError, DurableStore, OperationKey, ResumeStore, StoreError};

use super::{
    ALICE, BOB, LEASE, NO_TIME, NOW, Store, Suite, TTL, after, appended, failure, issued, numbers,
    opened, opened_with, record, record_with,
};

/// A path in a folder of this test's own.
struct TempFile(PathBuf);

impl TempFile {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("aire-stores-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder.join("store"))
    }

    fn open(&self) -> Result<DurableStore, StoreError> {
        DurableStore::open(&self.0, 100)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(self.0.parent().expect("a folder"));
    }
}

pub(super) fn in_a_file(suite: Suite) {
    let file = TempFile::new();
    let store: Store = Arc::new(file.open().expect("a new file"));
    suite(&store, &store);
}

#[test]
fn a_full_file_says_so_until_something_is_forgotten() {
    let file = TempFile::new();
    let store: Store = Arc::new(DurableStore::open(&file.0, 2).unwrap());
    super::a_full_store_says_so_until_something_is_forgotten(&store);
    drop(store);
    // What made room is gone from the file too.
    assert!(file.open().is_ok());
}

#[test]
fn a_file_that_is_opened_again_has_all_it_had() {
    let file = TempFile::new();
    let (running, ended, spent, forgotten, tokens);
    {
        let store: Store = Arc::new(file.open().unwrap());
        running = opened_with(&store, &record_with(1000, 2));
        appended(&store, &running, &[b"1", b"2", b"3"]);
        ended = opened(&store);
        appended(&store, &ended, &[b"1"]);
        store.finish(&ended, &failure()).unwrap();
        forgotten = opened(&store);
        appended(&store, &forgotten, &[b"1"]);
        store.forget(&forgotten).unwrap();
        spent = issued(&store, &ended);
        store.claim(&spent, None, 0, NOW).unwrap();
        tokens = [issued(&store, &ended), issued(&store, &running)];
    }
    let store = file.open().unwrap();
    let gone = store.read(&running, 1, NO_TIME);
    assert_eq!(gone, Err(StoreError::Evicted { oldest: 2 }));
    let batch = store.read(&running, 2, NO_TIME).unwrap();
    assert_eq!(numbers(&batch), [2, 3]);
    assert_eq!(batch.terminal, None);
    // Nobody works on it: who did was in the process that ended.
    assert!(batch.worked_until < NOW);
    let batch = store.read(&ended, 1, NO_TIME).unwrap();
    assert_eq!(numbers(&batch), [1]);
    assert_eq!(batch.terminal, Some(failure()));
    let unknown = store.read(&forgotten, 1, NO_TIME);
    assert_eq!(unknown, Err(StoreError::Unknown));
    let again = store.claim(&spent, None, 0, NOW);
    assert_eq!(again, Err(ClaimError::Invalid));
    store.sweep(NOW).unwrap();
    let stolen = store.claim(&tokens[0], Some(BOB), 0, NOW);
    assert_eq!(stolen, Err(ClaimError::Invalid));
    let claimed = store.claim(&tokens[0], Some(ALICE), 1, NOW).unwrap();
    assert_eq!(claimed.record, record());
    let late = store.claim(&tokens[1], None, 3, after(NOW, TTL * 2));
    assert_eq!(late, Err(ClaimError::Expired));
}

#[test]
fn a_file_has_one_store_at_a_time() {
    let file = TempFile::new();
    let store = file.open().unwrap();
    assert!(matches!(file.open(), Err(StoreError::Failed(_))));
    drop(store);
    assert!(file.open().is_ok());
}

#[test]
fn a_file_that_is_no_store_is_an_error_and_left_alone() {
    let text = b"dear diary, ".repeat(10_000);
    for content in [&text[..], b"x", &[0; 8192]] {
        let file = TempFile::new();
        std::fs::write(&file.0, content).unwrap();
        let refused = file.open().err().expect("it is no store");
        let StoreError::Content(what) = refused else {
            panic!("{refused:?}");
        };
        assert!(what.contains(file.0.to_str().unwrap()), "{what}");
        assert!(std::fs::read(&file.0).unwrap() == content, "it was changed");
    }
    let nowhere = TempFile::new();
    let path = nowhere.0.join("in/no/folder");
    let refused = DurableStore::open(path, 1).err();
    assert!(matches!(refused, Some(StoreError::Failed(_))));
}

#[test]
fn a_damaged_file_is_an_error() {
    let file = TempFile::new();
    {
        let store: Store = Arc::new(file.open().unwrap());
        let key = opened(&store);
        appended(&store, &key, &[&[0xa5; 3000][..]; 20]);
    }
    let mut bytes = std::fs::read(&file.0).unwrap();
    let frame = bytes.windows(64).position(|at| at == [0xa5; 64]);
    bytes[frame.expect("a frame is in the file")] ^= 1;
    std::fs::write(&file.0, &bytes).unwrap();
    let refused = file.open().err();
    assert!(
        matches!(refused, Some(StoreError::Content(_))),
        "{refused:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_new_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let file = TempFile::new();
    let _store = file.open().unwrap();
    let mode = std::fs::metadata(&file.0).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
}

/// The file that [`a_process_that_appends_until_it_is_killed`] writes to.
const CHILD_FILE: &str = "AIRE_STORES_CHILD_FILE";
const CHILD_KEY: OperationKey = OperationKey::from_bytes([7; 16]);

fn child_payload(seq: u64) -> Vec<u8> {
    seq.to_be_bytes().repeat(1 + (seq % 100) as usize)
}

#[test]
#[ignore = "the other half of a_killed_process_loses_no_acknowledged_frame"]
fn a_process_that_appends_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD_FILE) else {
        return;
    };
    let store = DurableStore::open(path, 1).unwrap();
    let record = record_with(1 << 30, usize::MAX);
    store.open(&CHILD_KEY, &record, LEASE, NOW).unwrap();
    for seq in 1.. {
        store.append(&CHILD_KEY, seq, &child_payload(seq)).unwrap();
        println!("\nkept {seq}");
    }
}

#[test]
fn a_killed_process_loses_no_acknowledged_frame() {
    for enough in [1, 40, 200] {
        let file = TempFile::new();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "durable::a_process_that_appends_until_it_is_killed",
            ])
            .args(["--ignored", "--nocapture"])
            .env(CHILD_FILE, &file.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let kept = lines.filter_map(|line| line.ok()?.strip_prefix("kept ")?.parse::<u64>().ok());
        let mut acknowledged = 0;
        for seq in kept {
            acknowledged = seq;
            if seq == enough {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged >= enough, "the child ended early");

        let store = file.open().unwrap();
        let mut next = 1;
        loop {
            let batch = store.read(&CHILD_KEY, next, NO_TIME).unwrap();
            if batch.frames.is_empty() {
                break;
            }
            for (seq, payload) in batch.frames {
                assert_eq!(seq, next);
                assert_eq!(payload, child_payload(seq));
                next += 1;
            }
        }
        assert!(
            next > acknowledged,
            "{acknowledged} was kept, {next} is not there"
        );
    }
}
