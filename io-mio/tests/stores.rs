//! What every resume store does, and what each promises beyond it.

#[path = "stores/behaviour.rs"]
mod behaviour;
#[cfg(feature = "durable")]
#[path = "stores/durable.rs"]
mod durable;
#[cfg(feature = "redis")]
#[path = "support/redis.rs"]
mod redis;
#[cfg(feature = "redis")]
#[path = "stores/shared.rs"]
mod shared;

use std::sync::Arc;
use std::time::Duration;

use aire_mio::ErrorCode;
use aire_mio::store::{
    Batch, ClaimError, Limits, MemoryStore, OperationKey, Record, ResumeStore, StoreError,
    Terminal, new_token,
};
use aire_proto::UnixMillis;

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

/// Two handles on one store: for a shared one, those of two nodes.
type Suite = fn(&Store, &Store);

fn in_memory(suite: Suite) {
    let store: Store = Arc::new(MemoryStore::new(100));
    suite(&store, &store);
}

/// Runs each behaviour against each store, as a test of its own.
macro_rules! conformance {
    ($($behaviour:ident,)*) => {
        mod a_memory_store {
            $(#[test] fn $behaviour() { super::in_memory(super::behaviour::$behaviour); })*
        }
        #[cfg(feature = "durable")]
        mod a_durable_store {
            $(#[test] fn $behaviour() {
                super::durable::in_a_file(super::behaviour::$behaviour);
            })*
        }
        #[cfg(feature = "redis")]
        mod a_shared_store {
            $(#[test] fn $behaviour() {
                super::shared::in_redis(super::behaviour::$behaviour);
            })*
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

/// For a store that takes two operations.
fn a_full_store_says_so_until_something_is_forgotten(store: &Store) {
    let first = opened(store);
    issued(store, &first);
    opened(store);
    let key = OperationKey::random().unwrap();
    let full = store.open(&key, &record(), LEASE, NOW);
    assert_eq!(full, Err(StoreError::Full));
    // That a token is expired is worth less than a new operation.
    store.sweep(after(NOW, TTL + LEASE)).unwrap();
    store.open(&key, &record(), LEASE, NOW).unwrap();
}

#[test]
fn a_full_memory_says_so_until_something_is_forgotten() {
    let store: Store = Arc::new(MemoryStore::new(2));
    a_full_store_says_so_until_something_is_forgotten(&store);
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
