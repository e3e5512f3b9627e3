//! What every resume store does, and what each promises beyond it.

#[path = "support/redis.rs"]
mod redis;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::{Duration, Instant, SystemTime};

use aire_mio::store::{
    Batch, ClaimError, DurableStore, Limits, MemoryStore, OperationKey, Record, RedisStore,
    ResumeStore, StoreError, Terminal, Word, new_token,
};
use aire_mio::{CancelReason, ErrorCode};
use aire_proto::UnixMillis;
use aire_proto::wire::Budget;

use self::redis::RedisServer;

const ALICE: &str = "did:key:alice";
const BOB: &str = "did:key:bob";
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const TTL: Duration = Duration::from_secs(60);
const LEASE: Duration = Duration::from_secs(30);
const NO_TIME: Duration = Duration::ZERO;
/// Longer than anything takes that works.
const LONG: Duration = Duration::from_secs(30);

type Store = Arc<dyn ResumeStore>;

fn after(now: UnixMillis, time: Duration) -> UnixMillis {
    UnixMillis(now.0 + time.as_millis() as i64)
}

fn real_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixMillis(since.expect("after 1970").as_millis() as i64)
}

fn record_with(max_bytes: usize, max_frames: usize) -> Record {
    Record {
        owner: ALICE.into(),
        agent: "translator".into(),
        operation: "translate".into(),
        node: "did:key:node".into(),
        limits: Limits {
            max_bytes,
            max_frames,
        },
    }
}

fn record() -> Record {
    record_with(1 << 20, 1000)
}

fn opened_with(store: &Store, record: &Record) -> OperationKey {
    let key = OperationKey::random().expect("random bytes");
    store.open(&key, record, LEASE, NOW).expect("room");
    key
}

fn opened(store: &Store) -> OperationKey {
    opened_with(store, &record())
}

fn issued(store: &Store, key: &OperationKey) -> [u8; 32] {
    let token = new_token().expect("random bytes");
    store.issue(key, &token, TTL, NOW).expect("a token");
    token
}

fn appended(store: &Store, key: &OperationKey, frames: &[&[u8]]) {
    for (seq, frame) in (1..).zip(frames) {
        store.append(key, seq, frame).expect("room for a frame");
    }
}

fn numbers(batch: &Batch) -> Vec<u64> {
    batch.frames.iter().map(|(seq, _)| *seq).collect()
}

fn failure() -> Terminal {
    Terminal::Failed {
        code: ErrorCode::Application,
        detail: "out of words".into(),
        data: vec![0, 1, 255],
    }
}

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

/// Two handles on one store: for a shared one, those of two nodes.
type Suite = fn(&Store, &Store);

fn in_memory(suite: Suite) {
    let store: Store = Arc::new(MemoryStore::new(100));
    suite(&store, &store);
}

fn in_a_file(suite: Suite) {
    let file = TempFile::new();
    let store: Store = Arc::new(file.open().expect("a new file"));
    suite(&store, &store);
}

fn in_redis(suite: Suite) {
    let Some(server) = RedisServer::start() else {
        return;
    };
    suite(&node(&server), &node(&server));
}

fn node(server: &RedisServer) -> Store {
    Arc::new(RedisStore::connect(&server.url()).expect("a server"))
}

/// Runs each function of the suite against each store, as a test of its own.
macro_rules! conformance {
    ($($behaviour:ident,)*) => {
        mod memory {
            $(#[test] fn $behaviour() { super::in_memory(super::$behaviour); })*
        }
        mod durable {
            $(#[test] fn $behaviour() { super::in_a_file(super::$behaviour); })*
        }
        mod shared {
            $(#[test] fn $behaviour() { super::in_redis(super::$behaviour); })*
        }
    };
}

conformance! {
    frames_come_back_in_order_and_the_end_after_them,
    a_large_answer_comes_in_batches_and_the_end_with_the_last,
    past_its_frames_the_window_forgets_the_oldest,
    past_its_bytes_the_window_forgets_the_oldest,
    a_frame_larger_than_the_window_is_refused,
    frames_out_of_order_are_refused,
    nothing_comes_after_the_end,
    a_token_is_good_once,
    of_two_claims_at_once_one_wins,
    the_token_before_stays_good_until_one_of_both_is_used,
    a_token_of_somebody_else_is_invalid_and_not_spent,
    an_expired_token_is_expired_and_later_unknown,
    a_claim_from_the_future_is_invalid_and_spends_nothing,
    a_claim_below_the_window_is_unavailable_and_at_its_edge_good,
    a_token_that_cannot_be_one_is_invalid,
    a_reader_wakes_when_a_frame_comes,
    a_reader_wakes_when_the_end_comes,
    a_reader_that_waits_in_vain_gets_an_empty_batch,
    words_arrive_in_order_and_only_once_they_are_read,
    a_listener_wakes_when_a_word_comes,
    too_many_unread_words_are_refused,
    a_beat_says_until_when_somebody_works,
    what_is_past_its_time_is_forgotten,
    what_a_token_keeps_stays_after_its_lease,
    what_was_forgotten_is_unknown,
    a_name_is_taken_once,
}

fn frames_come_back_in_order_and_the_end_after_them(store: &Store, other: &Store) {
    let key = opened(store);
    appended(store, &key, &[b"one", b"", b"three"]);
    let batch = other.read(&key, 1, NO_TIME).unwrap();
    let frames = [
        (1, b"one".to_vec()),
        (2, Vec::new()),
        (3, b"three".to_vec()),
    ];
    assert_eq!(batch.frames, frames);
    assert_eq!(batch.terminal, None);
    store.finish(&key, &failure()).unwrap();
    let batch = other.read(&key, 3, NO_TIME).unwrap();
    assert_eq!(batch.frames, frames[2..]);
    assert_eq!(batch.terminal, Some(failure()));
    let batch = other.read(&key, 4, NO_TIME).unwrap();
    assert_eq!((batch.frames, batch.terminal), (vec![], Some(failure())));
}

fn a_large_answer_comes_in_batches_and_the_end_with_the_last(store: &Store, other: &Store) {
    let key = opened(store);
    let frame = vec![7; 100_000];
    appended(store, &key, &[frame.as_slice(); 5]);
    store.finish(&key, &Terminal::Finished).unwrap();
    let (mut from, mut ends) = (1, Vec::new());
    while from <= 5 {
        let batch = other.read(&key, from, NO_TIME).unwrap();
        assert!((1..=2).contains(&batch.frames.len()));
        assert!(batch.frames.iter().all(|(_, payload)| *payload == frame));
        assert_eq!(batch.frames[0].0, from);
        from += batch.frames.len() as u64;
        ends.push(batch.terminal);
    }
    assert_eq!(ends, [None, None, Some(Terminal::Finished)]);
}

fn past_its_frames_the_window_forgets_the_oldest(store: &Store, other: &Store) {
    let key = opened_with(store, &record_with(1000, 2));
    appended(store, &key, &[b"1", b"2", b"3", b"4"]);
    let gone = other.read(&key, 2, NO_TIME);
    assert_eq!(gone, Err(StoreError::Evicted { oldest: 3 }));
    assert_eq!(numbers(&other.read(&key, 3, NO_TIME).unwrap()), [3, 4]);
}

fn past_its_bytes_the_window_forgets_the_oldest(store: &Store, other: &Store) {
    let key = opened_with(store, &record_with(10, 1000));
    appended(store, &key, &[b"1234", b"567890", b"x"]);
    let gone = other.read(&key, 1, NO_TIME);
    assert_eq!(gone, Err(StoreError::Evicted { oldest: 2 }));
    assert_eq!(numbers(&other.read(&key, 2, NO_TIME).unwrap()), [2, 3]);
    store.append(&key, 4, b"0123456789").unwrap();
    assert_eq!(numbers(&other.read(&key, 4, NO_TIME).unwrap()), [4]);
    let gone = other.read(&key, 3, NO_TIME);
    assert_eq!(gone, Err(StoreError::Evicted { oldest: 4 }));
}

fn a_frame_larger_than_the_window_is_refused(store: &Store, _: &Store) {
    let key = opened_with(store, &record_with(10, 1000));
    let refused = store.append(&key, 1, &[0; 11]);
    let expected = StoreError::FrameTooLarge {
        len: 11,
        max_bytes: 10,
    };
    assert_eq!(refused, Err(expected));
    let key = opened_with(store, &record_with(10, 0));
    let refused = store.append(&key, 1, b"");
    assert!(matches!(refused, Err(StoreError::FrameTooLarge { .. })));
}

fn frames_out_of_order_are_refused(store: &Store, other: &Store) {
    let key = opened(store);
    for wrong in [0, 2, u64::MAX] {
        let refused = store.append(&key, wrong, b"early");
        assert_eq!(refused, Err(StoreError::OutOfOrder { expected: 1 }));
    }
    appended(store, &key, &[b"1", b"2"]);
    let refused = store.append(&key, 2, b"again");
    assert_eq!(refused, Err(StoreError::OutOfOrder { expected: 3 }));
    let batch = other.read(&key, 2, NO_TIME).unwrap();
    assert_eq!(batch.frames, [(2, b"2".to_vec())]);
}

fn nothing_comes_after_the_end(store: &Store, other: &Store) {
    let key = opened(store);
    store.finish(&key, &failure()).unwrap();
    assert_eq!(store.append(&key, 1, b"late"), Err(StoreError::Finished));
    let again = store.finish(&key, &Terminal::Finished);
    assert_eq!(again, Err(StoreError::Finished));
    let batch = other.read(&key, 1, NO_TIME).unwrap();
    assert_eq!((batch.frames, batch.terminal), (vec![], Some(failure())));
}

fn a_token_is_good_once(store: &Store, other: &Store) {
    let key = opened(store);
    let token = issued(store, &key);
    appended(store, &key, &[b"1"]);
    let claimed = other.claim(&token, Some(ALICE), 1, NOW).unwrap();
    assert_eq!(claimed.key, key);
    assert_eq!(claimed.record, record());
    for handle in [store, other] {
        let again = handle.claim(&token, Some(ALICE), 1, NOW);
        assert_eq!(again, Err(ClaimError::Invalid));
    }
    let fresh = issued(other, &key);
    assert!(store.claim(&fresh, Some(ALICE), 0, NOW).is_ok());
}

fn of_two_claims_at_once_one_wins(store: &Store, other: &Store) {
    for _ in 0..50 {
        let key = opened(store);
        let (first, second) = (issued(store, &key), issued(store, &key));
        let start = Barrier::new(4);
        let claim = |handle: &Store, token| {
            start.wait();
            handle.claim(token, Some(ALICE), 0, NOW).is_ok()
        };
        let won = std::thread::scope(|scope| {
            let claims = [
                (store, &first),
                (other, &first),
                (store, &second),
                (other, &second),
            ];
            let claims = claims.map(|(handle, token)| scope.spawn(move || claim(handle, token)));
            claims.map(|claim| claim.join().expect("no panic"))
        });
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
    }
}

fn the_token_before_stays_good_until_one_of_both_is_used(store: &Store, other: &Store) {
    let claim = |token| other.claim(token, Some(ALICE), 0, NOW).map(|it| it.key);
    let key = opened(store);
    let tokens = [(); 3].map(|()| issued(store, &key));
    assert_eq!(claim(&tokens[0]), Err(ClaimError::Invalid));
    assert_eq!(claim(&tokens[1]), Ok(key));
    assert_eq!(claim(&tokens[2]), Err(ClaimError::Invalid));

    let tokens = [(); 2].map(|()| issued(store, &key));
    assert_eq!(claim(&tokens[1]), Ok(key));
    assert_eq!(claim(&tokens[0]), Err(ClaimError::Invalid));
}

fn a_token_of_somebody_else_is_invalid_and_not_spent(store: &Store, other: &Store) {
    let key = opened(store);
    let token = issued(store, &key);
    for time in [NOW, after(NOW, TTL * 2)] {
        let stolen = other.claim(&token, Some(BOB), 0, time);
        assert_eq!(stolen, Err(ClaimError::Invalid));
    }
    assert!(other.claim(&token, Some(ALICE), 0, NOW).is_ok());
    let token = issued(store, &key);
    assert!(other.claim(&token, None, 0, NOW).is_ok());
}

fn an_expired_token_is_expired_and_later_unknown(store: &Store, other: &Store) {
    let key = opened(store);
    let token = issued(store, &key);
    let last = after(NOW, TTL);
    let late = UnixMillis(last.0 + 1);
    let claim = |time| other.claim(&token, Some(ALICE), 0, time);
    assert_eq!(claim(late), Err(ClaimError::Expired));
    // Once what it resumed is forgotten, it is still known for what it was.
    store.sweep(late).unwrap();
    assert_eq!(claim(late), Err(ClaimError::Expired));

    let key = opened(store);
    let token = issued(store, &key);
    assert!(other.claim(&token, Some(ALICE), 0, last).is_ok());
}

fn a_claim_from_the_future_is_invalid_and_spends_nothing(store: &Store, other: &Store) {
    let key = opened(store);
    let token = issued(store, &key);
    appended(store, &key, &[b"1", b"2"]);
    for future in [3, u64::from(u32::MAX), (1 << 62) - 1, u64::MAX] {
        let early = other.claim(&token, Some(ALICE), future, NOW);
        assert_eq!(early, Err(ClaimError::Invalid), "{future}");
    }
    assert!(other.claim(&token, Some(ALICE), 2, NOW).is_ok());
}

fn a_claim_below_the_window_is_unavailable_and_at_its_edge_good(store: &Store, other: &Store) {
    let key = opened_with(store, &record_with(1000, 2));
    let token = issued(store, &key);
    appended(store, &key, &[b"1", b"2", b"3", b"4"]);
    for gone in [0, 1] {
        let claimed = other.claim(&token, Some(ALICE), gone, NOW);
        assert_eq!(claimed, Err(ClaimError::Unavailable), "{gone}");
    }
    assert!(other.claim(&token, Some(ALICE), 2, NOW).is_ok());
    assert_eq!(numbers(&other.read(&key, 3, NO_TIME).unwrap()), [3, 4]);
}

fn a_token_that_cannot_be_one_is_invalid(store: &Store, _: &Store) {
    let key = opened(store);
    let token = issued(store, &key);
    let mut wrong = vec![Vec::new(), vec![0; 32], vec![b'*'; 1 << 20]];
    wrong.push(token[..31].to_vec());
    wrong.push([&token[..], &[0]].concat());
    for wrong in wrong {
        let claimed = store.claim(&wrong, None, 0, NOW);
        assert_eq!(claimed, Err(ClaimError::Invalid));
    }
    assert!(store.claim(&token, None, 0, NOW).is_ok());
}

/// Does `wait` on a thread, then `act` once it waits for sure; returns what `wait` did. It must
/// not have waited for its patience to end.
fn woken<T: Send>(wait: impl FnOnce() -> T + Send, act: impl FnOnce()) -> T {
    std::thread::scope(|scope| {
        let (started, start) = mpsc::channel();
        let waiter = scope.spawn(move || {
            started.send(Instant::now()).expect("the test is there");
            (wait(), Instant::now())
        });
        let began = start.recv().expect("the waiter is there");
        std::thread::sleep(Duration::from_millis(200));
        act();
        let (result, ended) = waiter.join().expect("no panic");
        assert!(ended.duration_since(began) < LONG / 2, "it slept on");
        result
    })
}

fn a_reader_wakes_when_a_frame_comes(store: &Store, other: &Store) {
    let key = opened(store);
    appended(store, &key, &[b"1"]);
    let batch = woken(
        || other.read(&key, 2, LONG).unwrap(),
        || store.append(&key, 2, b"2").unwrap(),
    );
    assert_eq!(batch.frames, [(2, b"2".to_vec())]);
}

fn a_reader_wakes_when_the_end_comes(store: &Store, other: &Store) {
    let key = opened(store);
    let batch = woken(
        || other.read(&key, 1, LONG).unwrap(),
        || store.finish(&key, &Terminal::Finished).unwrap(),
    );
    assert_eq!(batch.terminal, Some(Terminal::Finished));
}

fn a_reader_that_waits_in_vain_gets_an_empty_batch(store: &Store, _: &Store) {
    let key = opened(store);
    for patience in [NO_TIME, Duration::from_millis(50)] {
        let began = Instant::now();
        let batch = store.read(&key, 1, patience).unwrap();
        assert!(began.elapsed() >= patience);
        assert_eq!((batch.frames, batch.terminal), (vec![], None));
        assert!(store.words(&key, 0, patience).unwrap().is_empty());
    }
}

fn words_arrive_in_order_and_only_once_they_are_read(store: &Store, other: &Store) {
    let key = opened(store);
    let budget = Budget {
        tokens: Some(5),
        deadline: Some(NOW),
        ..Budget::default()
    };
    let cancel = Word::Cancel {
        reason: CancelReason::UserCancelled,
        detail: "enough".into(),
    };
    let said = [
        Word::Input(b"more".to_vec()),
        Word::Budget(budget),
        Word::InputFinished,
        cancel,
    ];
    for word in &said {
        other.tell(&key, word).unwrap();
    }
    let all: Vec<_> = (1..).zip(said).collect();
    // Until the reader says that it has them, they stay.
    assert_eq!(store.words(&key, 0, NO_TIME).unwrap(), all);
    assert_eq!(store.words(&key, 0, NO_TIME).unwrap(), all);
    assert_eq!(store.words(&key, 2, NO_TIME).unwrap(), all[2..]);
    assert_eq!(store.words(&key, 4, NO_TIME).unwrap(), []);
    other.tell(&key, &Word::InputFinished).unwrap();
    let next = store.words(&key, 4, NO_TIME).unwrap();
    assert_eq!(next, [(5, Word::InputFinished)]);
}

fn a_listener_wakes_when_a_word_comes(store: &Store, other: &Store) {
    let key = opened(store);
    let words = woken(
        || store.words(&key, 0, LONG).unwrap(),
        || other.tell(&key, &Word::InputFinished).unwrap(),
    );
    assert_eq!(words, [(1, Word::InputFinished)]);
}

fn too_many_unread_words_are_refused(store: &Store, other: &Store) {
    // By number, then by bytes.
    for word in [Word::InputFinished, Word::Input(vec![0; 100_000])] {
        let key = opened(store);
        let mut told = 0;
        while other.tell(&key, &word).is_ok() {
            told += 1;
            assert!(told < 1000, "no limit");
        }
        assert_eq!(other.tell(&key, &word), Err(StoreError::Full));
        assert_eq!(store.words(&key, 0, NO_TIME).unwrap().len(), told);
        assert_eq!(store.words(&key, told as u64, NO_TIME).unwrap(), []);
        assert_eq!(other.tell(&key, &word), Ok(()));
    }
}

fn a_beat_says_until_when_somebody_works(store: &Store, other: &Store) {
    let key = opened(store);
    let worked_until = || other.read(&key, 1, NO_TIME).unwrap().worked_until;
    assert_eq!(worked_until(), after(NOW, LEASE));
    let later = after(NOW, Duration::from_secs(5));
    store.beat(&key, LEASE, later).unwrap();
    assert_eq!(worked_until(), after(later, LEASE));
}

fn what_is_past_its_time_is_forgotten(store: &Store, other: &Store) {
    let key = OperationKey::random().unwrap();
    let short = Duration::from_millis(200);
    store.open(&key, &record(), short, real_now()).unwrap();
    let token = new_token().unwrap();
    store.issue(&key, &token, short, real_now()).unwrap();
    appended(store, &key, &[b"1"]);
    store.finish(&key, &Terminal::Finished).unwrap();
    store.sweep(real_now()).unwrap();
    let deadline = Instant::now() + LONG;
    while other.read(&key, 1, NO_TIME) != Err(StoreError::Unknown) {
        assert!(Instant::now() < deadline, "it is kept for ever");
        std::thread::sleep(Duration::from_millis(20));
        store.sweep(real_now()).unwrap();
    }
    // Expired for a while, and then it is as if it had never been.
    while other.claim(&token, None, 0, real_now()) != Err(ClaimError::Invalid) {
        assert!(Instant::now() < deadline, "its token is kept for ever");
        std::thread::sleep(Duration::from_millis(20));
        store.sweep(real_now()).unwrap();
    }
    // Nothing of it is in the way of a new one.
    store.open(&key, &record(), LEASE, real_now()).unwrap();
    let batch = other.read(&key, 1, NO_TIME).unwrap();
    assert_eq!((batch.frames, batch.terminal), (vec![], None));
}

fn what_a_token_keeps_stays_after_its_lease(store: &Store, other: &Store) {
    let key = OperationKey::random().unwrap();
    let begin = real_now();
    store
        .open(&key, &record(), Duration::from_millis(1), begin)
        .unwrap();
    let token = new_token().unwrap();
    store.issue(&key, &token, TTL, begin).unwrap();
    appended(store, &key, &[b"1"]);
    store.finish(&key, &Terminal::Finished).unwrap();
    // Past the lease, and past the slack of a server that forgets by itself.
    std::thread::sleep(Duration::from_millis(1500));
    store.sweep(real_now()).unwrap();
    assert!(other.claim(&token, Some(ALICE), 0, real_now()).is_ok());
    assert_eq!(numbers(&other.read(&key, 1, NO_TIME).unwrap()), [1]);
}

fn what_was_forgotten_is_unknown(store: &Store, other: &Store) {
    let key = opened(store);
    let token = issued(store, &key);
    appended(store, &key, &[b"1"]);
    let waited = woken(
        || other.read(&key, 2, LONG),
        || store.forget(&key).unwrap(),
    );
    assert_eq!(waited, Err(StoreError::Unknown));
    let claimed = other.claim(&token, Some(ALICE), 0, NOW);
    assert_eq!(claimed, Err(ClaimError::Invalid));
    assert_eq!(store.append(&key, 2, b"2"), Err(StoreError::Unknown));
    assert_eq!(store.finish(&key, &failure()), Err(StoreError::Unknown));
    let told = other.tell(&key, &Word::InputFinished);
    assert_eq!(told, Err(StoreError::Unknown));
    assert_eq!(store.words(&key, 0, LONG), Err(StoreError::Unknown));
    assert_eq!(store.beat(&key, LEASE, NOW), Err(StoreError::Unknown));
    let issued = store.issue(&key, &token, TTL, NOW);
    assert_eq!(issued, Err(StoreError::Unknown));
    assert_eq!(store.forget(&key), Ok(()));
}

fn a_name_is_taken_once(store: &Store, other: &Store) {
    let key = opened(store);
    appended(store, &key, &[b"1"]);
    let taken = other.open(&key, &record(), LEASE, NOW);
    assert_eq!(taken, Err(StoreError::Exists));
    assert_eq!(numbers(&other.read(&key, 1, NO_TIME).unwrap()), [1]);
}

#[test]
fn a_bounded_store_that_is_full_says_so_until_something_is_forgotten() {
    let file = TempFile::new();
    let durable = DurableStore::open(&file.0, 2).unwrap();
    for store in [Arc::new(MemoryStore::new(2)) as Store, Arc::new(durable)] {
        let first = opened(&store);
        issued(&store, &first);
        opened(&store);
        let key = OperationKey::random().unwrap();
        let full = store.open(&key, &record(), LEASE, NOW);
        assert_eq!(full, Err(StoreError::Full));
        // That a token is expired is worth less than a new operation.
        store.sweep(after(NOW, TTL + LEASE)).unwrap();
        store.open(&key, &record(), LEASE, NOW).unwrap();
    }
}

#[test]
fn two_tokens_have_nothing_in_common() {
    let (one, other) = (new_token().unwrap(), new_token().unwrap());
    let same = one.iter().zip(&other).filter(|(a, b)| a == b).count();
    assert!(same < 8, "{same} bytes of 32 are the same");
}

#[test]
fn a_claim_that_fails_has_its_code_on_the_wire() {
    let unavailable = ClaimError::Unavailable.code();
    assert_eq!(ClaimError::Invalid.code(), ErrorCode::ResumeInvalid);
    assert_eq!(ClaimError::Expired.code(), ErrorCode::ResumeExpired);
    assert_eq!(unavailable, ErrorCode::ResumeUnavailable);
    let failed = ClaimError::Store(StoreError::Full);
    assert_eq!(failed.code(), ErrorCode::Refused);
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
    assert!(matches!(refused, Some(StoreError::Content(_))), "{refused:?}");
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
            .args(["--exact", "a_process_that_appends_until_it_is_killed"])
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
        assert!(next > acknowledged, "{acknowledged} was kept, {next} is not there");
    }
}

#[test]
fn nothing_stays_in_a_shared_store_for_ever() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let store = node(&server);
    let key = opened(&store);
    issued(&store, &key);
    issued(&store, &key);
    appended(&store, &key, &[b"1"]);
    store.tell(&key, &Word::InputFinished).unwrap();
    store.finish(&key, &Terminal::Finished).unwrap();
    let mut connection = ask(&server);
    let keys: Vec<String> = ::redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    assert_eq!(keys.len(), 6, "{keys:?}");
    for key in keys {
        assert!(key.starts_with("aire:"), "{key}");
        let left: i64 = ::redis::cmd("PTTL").arg(&key).query(&mut connection).unwrap();
        assert!((0..=121_000).contains(&left), "{key} lives for {left} ms");
    }
}

fn ask(server: &RedisServer) -> ::redis::Connection {
    let client = ::redis::Client::open(server.url()).unwrap();
    client.get_connection().unwrap()
}

#[test]
fn prefixes_keep_stores_apart() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let store = node(&server);
    let apart = RedisStore::connect(&server.url()).unwrap();
    let apart = apart.with_prefix("{other}:");
    let key = opened(&store);
    let token = issued(&store, &key);
    assert_eq!(apart.read(&key, 1, NO_TIME), Err(StoreError::Unknown));
    let claimed = apart.claim(&token, None, 0, NOW);
    assert_eq!(claimed, Err(ClaimError::Invalid));
    let token = new_token().unwrap();
    apart.open(&key, &record(), LEASE, NOW).unwrap();
    apart.issue(&key, &token, TTL, NOW).unwrap();
    assert!(apart.claim(&token, None, 0, NOW).is_ok());
}

#[test]
fn who_reads_a_shared_store_cannot_resume() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let store = node(&server);
    let key = opened(&store);
    let token = issued(&store, &key);
    let hex: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut connection = ask(&server);
    let keys: Vec<String> = ::redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        assert!(!key.contains(&hex));
        let dump: Vec<u8> = ::redis::cmd("DUMP").arg(&key).query(&mut connection).unwrap();
        assert!(!dump.windows(32).any(|at| at == token));
        assert!(!dump.windows(64).any(|at| at == hex.as_bytes()));
    }
}

/// No call takes longer, whatever becomes of the server.
const SOON: Duration = Duration::from_secs(5);

fn fails_soon<T: std::fmt::Debug>(call: impl FnOnce() -> Result<T, StoreError>) {
    let began = Instant::now();
    let result = call();
    assert!(matches!(result, Err(StoreError::Failed(_))), "{result:?}");
    assert!(began.elapsed() < SOON, "after {:?}", began.elapsed());
}

/// What a store says when the server goes away while a reader waits, and from then on.
fn a_lost_server_is_an_error_soon(lose: fn(&mut RedisServer)) {
    let Some(mut server) = RedisServer::start() else {
        return;
    };
    let store = node(&server);
    let key = opened(&store);
    let token = issued(&store, &key);
    std::thread::scope(|scope| {
        let (started, start) = mpsc::channel();
        let (store, key) = (&store, &key);
        let waiter = scope.spawn(move || {
            started.send(()).expect("the test is there");
            (store.read(key, 1, LONG), Instant::now())
        });
        start.recv().expect("the waiter is there");
        std::thread::sleep(Duration::from_millis(300));
        lose(&mut server);
        let lost = Instant::now();
        let (result, ended) = waiter.join().expect("no panic");
        assert!(matches!(result, Err(StoreError::Failed(_))), "{result:?}");
        assert!(ended.duration_since(lost) < SOON);
    });
    fails_soon(|| store.append(&key, 1, b"lost"));
    fails_soon(|| store.read(&key, 1, LONG));
    fails_soon(|| match store.claim(&token, None, 0, NOW) {
        Err(ClaimError::Store(error)) => Err(error),
        other => panic!("{other:?}"),
    });
    fails_soon(|| RedisStore::connect(&server.url()).map(drop));
}

#[test]
fn a_server_that_is_killed_is_an_error_soon() {
    a_lost_server_is_an_error_soon(RedisServer::kill);
}

#[test]
fn a_server_that_hangs_is_an_error_soon() {
    a_lost_server_is_an_error_soon(|server| server.freeze());
}

#[test]
fn an_address_that_is_none_is_an_error() {
    for wrong in ["", "http://localhost", "rediss://localhost", "redis://"] {
        let refused = RedisStore::connect(wrong).err();
        assert!(matches!(refused, Some(StoreError::Failed(_))), "{wrong:?}");
    }
}
