//! What every resume store does, whatever it keeps things in. Each function is given two handles
//! on one store.

use std::sync::{Barrier, mpsc};
use std::time::{Duration, Instant, SystemTime};

use aire_mio::CancelReason;
use aire_mio::store::{ClaimError, OperationKey, StoreError, Terminal, Word, new_token};
use aire_proto::UnixMillis;
use aire_proto::wire::Budget;

use super::{
    ALICE, BOB, LEASE, LONG, NO_TIME, NOW, Store, TTL, after, appended, failure, issued, numbers,
    opened, opened_with, record, record_with,
};

fn real_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixMillis(since.expect("after 1970").as_millis() as i64)
}

pub(super) fn frames_come_back_in_order_and_the_end_after_them(store: &Store, other: &Store) {
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

pub(super) fn a_large_answer_comes_in_batches_and_the_end_with_the_last(
    store: &Store,
    other: &Store,
) {
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

pub(super) fn past_its_frames_the_window_forgets_the_oldest(store: &Store, other: &Store) {
    let key = opened_with(store, &record_with(1000, 2));
    appended(store, &key, &[b"1", b"2", b"3", b"4"]);
    let gone = other.read(&key, 2, NO_TIME);
    assert_eq!(gone, Err(StoreError::Evicted { oldest: 3 }));
    assert_eq!(numbers(&other.read(&key, 3, NO_TIME).unwrap()), [3, 4]);
}

pub(super) fn past_its_bytes_the_window_forgets_the_oldest(store: &Store, other: &Store) {
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

pub(super) fn a_frame_larger_than_the_window_is_refused(store: &Store, _: &Store) {
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

pub(super) fn frames_out_of_order_are_refused(store: &Store, other: &Store) {
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

pub(super) fn nothing_comes_after_the_end(store: &Store, other: &Store) {
    let key = opened(store);
    store.finish(&key, &failure()).unwrap();
    assert_eq!(store.append(&key, 1, b"late"), Err(StoreError::Finished));
    let again = store.finish(&key, &Terminal::Finished);
    assert_eq!(again, Err(StoreError::Finished));
    let batch = other.read(&key, 1, NO_TIME).unwrap();
    assert_eq!((batch.frames, batch.terminal), (vec![], Some(failure())));
}

pub(super) fn a_token_is_good_once(store: &Store, other: &Store) {
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

pub(super) fn of_two_claims_at_once_one_wins(store: &Store, other: &Store) {
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

pub(super) fn the_token_before_stays_good_until_one_of_both_is_used(store: &Store, other: &Store) {
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

pub(super) fn a_token_of_somebody_else_is_invalid_and_not_spent(store: &Store, other: &Store) {
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

pub(super) fn an_expired_token_is_expired_and_later_unknown(store: &Store, other: &Store) {
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

pub(super) fn a_claim_from_the_future_is_invalid_and_spends_nothing(store: &Store, other: &Store) {
    let key = opened(store);
    let token = issued(store, &key);
    appended(store, &key, &[b"1", b"2"]);
    for future in [3, u64::from(u32::MAX), (1 << 62) - 1, u64::MAX] {
        let early = other.claim(&token, Some(ALICE), future, NOW);
        assert_eq!(early, Err(ClaimError::Invalid), "{future}");
    }
    assert!(other.claim(&token, Some(ALICE), 2, NOW).is_ok());
}

pub(super) fn a_claim_below_the_window_is_unavailable_and_at_its_edge_good(
    store: &Store,
    other: &Store,
) {
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

pub(super) fn a_token_that_cannot_be_one_is_invalid(store: &Store, _: &Store) {
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

pub(super) fn a_reader_wakes_when_a_frame_comes(store: &Store, other: &Store) {
    let key = opened(store);
    appended(store, &key, &[b"1"]);
    let batch = woken(
        || other.read(&key, 2, LONG).unwrap(),
        || store.append(&key, 2, b"2").unwrap(),
    );
    assert_eq!(batch.frames, [(2, b"2".to_vec())]);
}

pub(super) fn a_reader_wakes_when_the_end_comes(store: &Store, other: &Store) {
    let key = opened(store);
    let batch = woken(
        || other.read(&key, 1, LONG).unwrap(),
        || store.finish(&key, &Terminal::Finished).unwrap(),
    );
    assert_eq!(batch.terminal, Some(Terminal::Finished));
}

pub(super) fn a_reader_that_waits_in_vain_gets_an_empty_batch(store: &Store, _: &Store) {
    let key = opened(store);
    for patience in [NO_TIME, Duration::from_millis(50)] {
        let began = Instant::now();
        let batch = store.read(&key, 1, patience).unwrap();
        assert!(began.elapsed() >= patience);
        assert_eq!((batch.frames, batch.terminal), (vec![], None));
        assert!(store.words(&key, 0, patience).unwrap().is_empty());
    }
}

pub(super) fn words_arrive_in_order_and_only_once_they_are_read(store: &Store, other: &Store) {
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

pub(super) fn a_listener_wakes_when_a_word_comes(store: &Store, other: &Store) {
    let key = opened(store);
    let words = woken(
        || store.words(&key, 0, LONG).unwrap(),
        || other.tell(&key, &Word::InputFinished).unwrap(),
    );
    assert_eq!(words, [(1, Word::InputFinished)]);
}

pub(super) fn too_many_unread_words_are_refused(store: &Store, other: &Store) {
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

pub(super) fn a_beat_says_until_when_somebody_works(store: &Store, other: &Store) {
    let key = opened(store);
    let worked_until = || other.read(&key, 1, NO_TIME).unwrap().worked_until;
    assert_eq!(worked_until(), after(NOW, LEASE));
    let later = after(NOW, Duration::from_secs(5));
    store.beat(&key, LEASE, later).unwrap();
    assert_eq!(worked_until(), after(later, LEASE));
}

pub(super) fn what_is_past_its_time_is_forgotten(store: &Store, other: &Store) {
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

pub(super) fn what_a_token_keeps_stays_after_its_lease(store: &Store, other: &Store) {
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

pub(super) fn what_was_forgotten_is_unknown(store: &Store, other: &Store) {
    let key = opened(store);
    let token = issued(store, &key);
    appended(store, &key, &[b"1"]);
    let waited = woken(|| other.read(&key, 2, LONG), || store.forget(&key).unwrap());
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

pub(super) fn a_name_is_taken_once(store: &Store, other: &Store) {
    let key = opened(store);
    appended(store, &key, &[b"1"]);
    let taken = other.open(&key, &record(), LEASE, NOW);
    assert_eq!(taken, Err(StoreError::Exists));
    assert_eq!(numbers(&other.read(&key, 1, NO_TIME).unwrap()), [1]);
}
