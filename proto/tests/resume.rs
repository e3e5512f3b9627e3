//! Resumption without I/O: the retained window, tokens, and what both ends keep (§9).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::collections::VecDeque;
use std::time::Duration;

use aire_proto::resume::{
    Ended, Halves, MAX_TOKEN_LEN, Progress, Pushed, ResumeError, Retained, Terminal, Token,
    TokenTooLong, Window,
};
use aire_proto::wire::{ErrorFrame, Payload, Resumable, Resume};
use aire_proto::{ErrorCode, Instant, UnixMillis, varint};
use proptest::collection::vec;
use proptest::prelude::*;

fn joined((front, back): Halves<'_>) -> Vec<u8> {
    [front, back].concat()
}

/// What a window retains, frame by frame.
fn kept<M: AsRef<[u8]> + AsMut<[u8]>>(window: &Window<M>) -> Vec<(u64, Vec<u8>)> {
    window
        .iter_from(0)
        .map(|(seq, payload)| (seq, joined(payload)))
        .collect()
}

mod window {
    use super::*;

    #[test]
    fn frames_are_numbered_from_one_and_come_back_as_they_were() {
        let mut window = Window::new([0; 64], 10);
        assert_eq!((window.first(), window.last(), window.len()), (1, 0, 0));
        for (seq, payload) in (1..).zip([&b"one"[..], b"", b"three"]) {
            let retained = true;
            assert_eq!(window.push(payload), Pushed { seq, retained });
        }
        assert_eq!((window.first(), window.last(), window.len()), (1, 3, 3));
        assert_eq!(window.bytes_used(), 3 + 8);
        assert_eq!(window.get(0), None);
        assert_eq!(window.get(1).map(joined).unwrap(), b"one");
        assert_eq!(window.get(2).map(joined).unwrap(), b"");
        assert_eq!(window.get(3).map(joined).unwrap(), b"three");
        assert_eq!(window.get(4), None);
    }

    #[test]
    fn the_oldest_frames_go_first_by_bytes_and_by_number() {
        let mut by_bytes = Window::new([0; 10], 10);
        let mut by_number = Window::new([0; 100], 2);
        for payload in [b"aaaa", b"bbbb", b"cccc"] {
            assert!(by_bytes.push(payload).retained);
            assert!(by_number.push(payload).retained);
        }
        let tail = [(2, b"bbbb".to_vec()), (3, b"cccc".to_vec())];
        assert_eq!(kept(&by_bytes), tail);
        assert_eq!(kept(&by_number), tail);
    }

    #[test]
    fn a_frame_of_exactly_the_memory_fits_and_one_byte_more_leaves_nothing() {
        let mut memory = [0; 9];
        let mut window = Window::new(&mut memory[..], 10);
        assert!(window.push(b"small").retained);
        assert!(window.push(b"12345678").retained);
        assert_eq!(kept(&window), [(2, b"12345678".to_vec())]);
        assert_eq!(window.bytes_used(), 9);
        let pushed = window.push(b"123456789");
        assert_eq!((pushed.seq, pushed.retained), (3, false));
        assert_eq!((window.first(), window.last(), window.len()), (4, 3, 0));
        assert_eq!(window.bytes_used(), 0);
        assert!(window.push(b"next").retained);
        assert_eq!(kept(&window), [(4, b"next".to_vec())]);
    }

    #[test]
    fn a_window_without_room_still_counts() {
        for mut window in [Window::new(vec![], 10), Window::new(vec![0; 10], 0)] {
            for seq in 1..=3 {
                let retained = false;
                assert_eq!(window.push(b""), Pushed { seq, retained });
                assert_eq!((window.first(), window.last()), (seq + 1, seq));
            }
            assert!(window.is_empty());
            assert_eq!(window.get(3), None);
        }
    }

    #[test]
    fn a_window_goes_on_behind_frames_that_were_elsewhere() {
        let mut window = Window::new([0; 32], 4).starting_after(41);
        assert_eq!((window.first(), window.last()), (42, 41));
        assert_eq!(window.push(b"x").seq, 42);
        assert_eq!(kept(&window), [(42, b"x".to_vec())]);
        let mut at_the_end = Window::new([0; 32], 4).starting_after(u64::MAX);
        assert_eq!(at_the_end.last(), varint::MAX);
        assert!(at_the_end.push(b"x").retained);
    }

    #[test]
    fn discarding_forgets_frames_and_keeps_the_numbering() {
        let mut window = Window::new([0; 32], 9);
        for payload in [b"a", b"b", b"c"] {
            assert!(window.push(payload).retained);
        }
        window.discard_through(0);
        assert_eq!(window.first(), 1);
        window.discard_through(2);
        assert_eq!(kept(&window), [(3, b"c".to_vec())]);
        window.discard_through(100);
        assert_eq!((window.first(), window.last()), (4, 3));
        assert_eq!(window.bytes_used(), 0);
        assert_eq!(window.push(b"d").seq, 4);
    }

    #[test]
    fn a_place_stays_good_while_frames_come_and_go() {
        let mut window = Window::new([0; 12], 9);
        for payload in [b"aa", b"bb", b"cc"] {
            assert!(window.push(payload).retained);
        }
        let mut place = window.place(2);
        let mut read = |window: &Window<[u8; 12]>| {
            let (seq, payload) = window.read(&mut place)?;
            Some((seq, joined(payload)))
        };
        assert_eq!(read(&window), Some((2, b"bb".to_vec())));
        // Frame 1 goes, frame 3 stays where it is.
        assert!(window.push(b"dddd").retained);
        assert_eq!(window.first(), 2);
        assert_eq!(read(&window), Some((3, b"cc".to_vec())));
        assert_eq!(read(&window), Some((4, b"dddd".to_vec())));
        assert_eq!(read(&window), None);
        // At the end it waits for more.
        assert!(window.push(b"e").retained);
        assert_eq!(read(&window), Some((5, b"e".to_vec())));
        // Fallen behind, it goes on with the oldest, and the number says so.
        assert!(window.push(b"ffffffffff").retained);
        assert!(window.push(b"gggggggggg").retained);
        assert_eq!(read(&window), Some((7, b"gggggggggg".to_vec())));
        assert!(!window.push(&[0; 12]).retained);
        assert_eq!(read(&window), None);
        assert!(window.push(b"i").retained);
        assert_eq!(read(&window), Some((9, b"i".to_vec())));
    }

    #[test]
    fn lengths_of_every_size_survive_the_end_of_the_memory_wherever_it_cuts() {
        for len in [63, 64, 16_383, 16_384] {
            for before_end in 0..12 {
                let record = len + varint::encoded_len(len as u64).unwrap();
                let mut window = Window::new(vec![0; record], 9);
                // Empty frames, of a byte each, move the start to where the record shall begin.
                for _ in before_end..record {
                    assert!(window.push(b"").retained);
                }
                window.discard_through(u64::MAX);
                let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
                let Pushed { seq, retained } = window.push(&payload);
                assert!(retained, "{len}, {before_end} before the end");
                assert_eq!(
                    kept(&window),
                    [(seq, payload)],
                    "{before_end} before the end"
                );
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(Vec<u8>),
        Discard(u64),
    }

    /// The plainest window: frames in a queue, dropped while they are too many.
    struct Model {
        frames: VecDeque<(u64, Vec<u8>)>,
        last: u64,
        bytes: usize,
        max_frames: usize,
    }

    impl Model {
        fn cost(payload: &[u8]) -> usize {
            payload.len() + varint::encoded_len(payload.len() as u64).unwrap()
        }

        fn used(&self) -> usize {
            self.frames
                .iter()
                .map(|(_, payload)| Self::cost(payload))
                .sum()
        }

        fn step(&mut self, step: &Step) {
            match step {
                Step::Push(payload) => {
                    self.last += 1;
                    self.frames.push_back((self.last, payload.clone()));
                    while self.frames.len() > self.max_frames || self.used() > self.bytes {
                        self.frames.pop_front();
                    }
                }
                Step::Discard(back) => {
                    let last = self.last;
                    self.frames
                        .retain(|(seq, _)| *seq > last.saturating_sub(*back));
                }
            }
        }
    }

    fn any_step(most: usize) -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => vec(any::<u8>(), 0..=most).prop_map(Step::Push),
            2 => vec(any::<u8>(), 0..=3).prop_map(Step::Push),
            1 => (0..6_u64).prop_map(Step::Discard),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(400)
        })]

        #[test]
        fn what_is_retained_is_the_tail_that_fits(
            bytes in 0_usize..300,
            max_frames in 0_u32..12,
            start in 0_u64..1000,
            steps in prop_oneof![vec(any_step(90), 0..60), vec(any_step(320), 0..30)],
        ) {
            let mut window = Window::new(vec![0; bytes], max_frames).starting_after(start);
            let mut model = Model {
                frames: VecDeque::new(),
                last: start,
                bytes,
                max_frames: max_frames as usize,
            };
            let mut place = window.place(0);
            let mut replayed = start;
            for step in &steps {
                model.step(step);
                match step {
                    Step::Push(payload) => {
                        let pushed = window.push(payload);
                        prop_assert_eq!(pushed.seq, model.last);
                        prop_assert_eq!(pushed.retained, !model.frames.is_empty());
                    }
                    Step::Discard(back) => window.discard_through(model.last.saturating_sub(*back)),
                }
                prop_assert_eq!(window.last(), model.last);
                prop_assert_eq!(window.first(), model.last + 1 - model.frames.len() as u64);
                prop_assert_eq!(window.len(), model.frames.len());
                prop_assert_eq!(window.bytes_used(), model.used());
                prop_assert!(window.bytes_used() <= bytes);
                let frames: Vec<_> = model.frames.iter().cloned().collect();
                prop_assert_eq!(kept(&window), frames);
                for seq in start.saturating_sub(1)..model.last + 3 {
                    let from: Vec<_> = window.iter_from(seq).collect();
                    let got = window.get(seq);
                    let expected = model.frames.iter().find(|frame| frame.0 == seq);
                    prop_assert_eq!(got.map(joined), expected.map(|frame| frame.1.clone()));
                    let one_by_one: Vec<_> = (seq..=model.last)
                        .filter_map(|seq| Some((seq, window.get(seq)?)))
                        .collect();
                    prop_assert_eq!(from, one_by_one);
                }
                // A replay that takes a frame every other step reads what the window then has.
                if model.last.is_multiple_of(2) {
                    replayed = (replayed + 1).max(window.first());
                    let read = window.read(&mut place);
                    prop_assert_eq!(read, window.get(replayed).map(|payload| (replayed, payload)));
                    if read.is_none() {
                        replayed = model.last;
                    }
                }
            }
        }
    }
}

const TTL: Duration = Duration::from_secs(60);

fn token(byte: u8) -> Token {
    Token::new([byte; 32])
}

fn at(secs: u64) -> Instant {
    Instant::from_millis(secs * 1000)
}

/// An operation of "alice" with ten bytes of room for each of four frames, of which it sent two.
fn operation() -> Retained<[u8; 44], &'static str> {
    let mut operation = Retained::new(Window::new([0; 44], 4), "alice");
    for payload in [b"first.....", b"second...."] {
        assert!(operation.push(payload).unwrap().retained);
    }
    operation
}

mod retained {
    use super::*;

    #[test]
    fn a_token_tells_nothing_and_matches_itself_only() {
        let mut random = [7; 32];
        random[31] = 8;
        let token = Token::new(random);
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert!(token.matches(&random));
        assert_eq!(token.as_bytes().len() * 8, 256);
        for at in 0..32 {
            let mut other = random;
            other[at] ^= 0x80;
            assert!(!token.matches(&other), "byte {at}");
            assert!(!token.matches(&random[..at]), "{at} bytes");
        }
        assert!(!token.matches(&[&random[..], &[0]].concat()));
        assert!(!Token::new([0; 32]).matches(&[]));
        let mut operation = operation();
        operation.issue(token, TTL, at(0));
        let shown = format!("{operation:?}");
        assert!(
            shown.contains("Token(..)") && !shown.contains("7, 7"),
            "{shown}"
        );
        assert!(
            !shown.contains(&format!("{:?}", b"first")[1..10]),
            "{shown}"
        );
    }

    #[test]
    fn a_resumable_says_what_was_sent_by_then() {
        let mut operation = operation();
        let ttl = Duration::from_millis(60_999);
        let resumable = operation.issue(token(1), ttl, at(5));
        let expected = Resumable {
            ttl_secs: 60,
            token: &[1; 32],
            last_seq: 2,
        };
        assert_eq!(resumable, expected);
        let endless = operation.issue(token(2), Duration::MAX, at(5));
        assert_eq!(endless.ttl_secs, varint::MAX);
        assert!(endless.encoded_len().is_ok());
    }

    #[test]
    fn a_resume_replays_from_the_frame_after_the_last_received() {
        for last_recv in 0..=2 {
            let mut operation = operation();
            operation.issue(token(1), TTL, at(0));
            let next = operation.resume(&[1; 32], last_recv, &"alice", at(1));
            assert_eq!(next, Ok(last_recv + 1));
            let replayed: Vec<_> = operation
                .window()
                .iter_from(last_recv + 1)
                .map(|(seq, _)| seq)
                .collect();
            assert_eq!(replayed, Vec::from_iter(last_recv + 1..=2));
        }
    }

    #[test]
    fn a_used_token_is_spent() {
        let mut operation = operation();
        operation.issue(token(1), TTL, at(0));
        assert!(operation.knows(&[1; 32]));
        assert!(operation.resume(&[1; 32], 0, &"alice", at(1)).is_ok());
        assert!(!operation.knows(&[1; 32]));
        let again = operation.resume(&[1; 32], 0, &"alice", at(1));
        assert_eq!(again, Err(ResumeError::Invalid));
        // A fresh RESUMABLE follows a RESUME.
        operation.issue(token(2), TTL, at(1));
        assert!(operation.resume(&[2; 32], 0, &"alice", at(1)).is_ok());
    }

    #[test]
    fn the_token_before_is_good_until_either_is_used_and_older_ones_never() {
        for used in [2, 3] {
            let mut operation = operation();
            for byte in 1..=3 {
                operation.issue(token(byte), TTL, at(0));
            }
            let gone = operation.resume(&[1; 32], 0, &"alice", at(1));
            assert_eq!(gone, Err(ResumeError::Invalid));
            assert!(operation.resume(&[used; 32], 0, &"alice", at(1)).is_ok());
            for byte in 1..=3 {
                let spent = operation.resume(&[byte; 32], 0, &"alice", at(1));
                assert_eq!(spent, Err(ResumeError::Invalid), "{byte} after {used}");
            }
            // What was spent does not come back with the next token.
            operation.issue(token(4), TTL, at(1));
            assert!(!operation.knows(&[2; 32]) && !operation.knows(&[3; 32]));
        }
    }

    #[test]
    fn each_token_has_its_own_time() {
        let mut operation = operation();
        operation.issue(token(1), TTL, at(0));
        operation.issue(token(2), TTL, at(30));
        let late = operation.resume(&[1; 32], 0, &"alice", at(60));
        assert_eq!(late, Err(ResumeError::Expired));
        assert_eq!(operation.resume(&[2; 32], 0, &"alice", at(60)), Ok(1));
        operation.issue(token(3), TTL, at(60));
        let last_moment = Instant::from_millis(119_999);
        assert_eq!(operation.resume(&[3; 32], 0, &"alice", last_moment), Ok(1));
    }

    #[test]
    fn nobody_else_resumes_an_operation_or_spends_its_token() {
        let mut operation = operation();
        operation.issue(token(1), TTL, at(0));
        for now in [at(1), at(1000)] {
            let theirs = operation.resume(&[1; 32], 0, &"mallory", now);
            assert_eq!(theirs, Err(ResumeError::Invalid));
        }
        assert_eq!(operation.resume(&[1; 32], 0, &"alice", at(1)), Ok(1));
    }

    #[test]
    fn without_a_token_there_is_no_resuming() {
        let mut operation = operation();
        for shown in [&[][..], &[0; 32]] {
            let result = operation.resume(shown, 0, &"alice", at(0));
            assert_eq!(result, Err(ResumeError::Invalid));
        }
        operation.issue(token(1), TTL, at(0));
        for shown in [&[][..], &[1; 31], &[1; 33], &[2; 32]] {
            let result = operation.resume(shown, 0, &"alice", at(0));
            assert_eq!(result, Err(ResumeError::Invalid));
        }
    }

    #[test]
    fn a_number_from_the_future_is_refused_and_spends_nothing() {
        let mut operation = operation();
        operation.issue(token(1), TTL, at(0));
        for last_recv in [3, u64::MAX] {
            let result = operation.resume(&[1; 32], last_recv, &"alice", at(1));
            assert_eq!(result, Err(ResumeError::Invalid));
        }
        let late = operation.resume(&[1; 32], 3, &"alice", at(60));
        assert_eq!(late, Err(ResumeError::Expired));
        assert_eq!(operation.resume(&[1; 32], 2, &"alice", at(1)), Ok(3));
    }

    #[test]
    fn frames_that_left_the_window_are_unavailable() {
        let mut operation = operation();
        operation.issue(token(1), TTL, at(0));
        for _ in 3..=6 {
            assert!(operation.push(b"later.....").unwrap().retained);
        }
        assert_eq!(operation.window().first(), 3);
        for last_recv in [0, 1] {
            let result = operation.resume(&[1; 32], last_recv, &"alice", at(1));
            assert_eq!(result, Err(ResumeError::Unavailable));
        }
        // The same token is still good for what is there.
        assert_eq!(operation.resume(&[1; 32], 2, &"alice", at(1)), Ok(3));
    }

    #[test]
    fn an_oversized_frame_makes_what_is_before_it_unavailable() {
        let mut operation = operation();
        operation.issue(token(1), TTL, at(0));
        assert!(!operation.push(&[0; 44]).unwrap().retained);
        let result = operation.resume(&[1; 32], 2, &"alice", at(1));
        assert_eq!(result, Err(ResumeError::Unavailable));
        assert_eq!(operation.resume(&[1; 32], 3, &"alice", at(1)), Ok(4));
    }

    #[test]
    fn every_refusal_has_its_code() {
        assert_eq!(ResumeError::Invalid.code(), ErrorCode::ResumeInvalid);
        assert_eq!(ResumeError::Expired.code(), ErrorCode::ResumeExpired);
        assert_eq!(
            ResumeError::Unavailable.code(),
            ErrorCode::ResumeUnavailable
        );
    }

    #[test]
    fn state_is_kept_as_long_as_any_resumable_promised_also_after_the_end() {
        let mut operation = operation();
        assert_eq!(operation.kept_until(), None);
        assert!(!operation.is_expired(Instant::from_millis(u64::MAX)));
        operation.issue(token(1), TTL, at(0));
        operation.issue(token(2), Duration::from_secs(10), at(1));
        assert_eq!(operation.kept_until(), Some(at(60)));
        operation.finish(Terminal::Finished).unwrap();
        assert!(operation.resume(&[1; 32], 0, &"alice", at(2)).is_ok());
        assert_eq!(operation.kept_until(), Some(at(60)));
        operation.issue(token(3), TTL, at(2));
        assert_eq!(operation.kept_until(), Some(at(62)));
        assert!(!operation.is_expired(Instant::from_millis(61_999)));
        assert!(operation.is_expired(at(62)));
    }

    #[test]
    fn a_finished_operation_takes_nothing_more_and_replays_its_end() {
        let mut operation = operation();
        assert_eq!(operation.terminal(), None);
        operation.finish(Terminal::Finished).unwrap();
        assert_eq!(operation.push(b"late"), Err(Ended));
        let error = ErrorFrame {
            code: ErrorCode::Application,
            detail: "",
            data: &[],
        };
        assert_eq!(operation.finish(Terminal::Error(error)), Err(Ended));
        assert_eq!(operation.terminal(), Some(Terminal::Finished));
        assert_eq!(operation.window().last(), 2);
        operation.issue(token(1), TTL, at(0));
        assert_eq!(operation.resume(&[1; 32], 2, &"alice", at(1)), Ok(3));
    }

    /// An error whose payload is `len` bytes.
    fn error_of(len: usize, data: &[u8]) -> ErrorFrame<'_> {
        let error = ErrorFrame {
            code: ErrorCode::BudgetExceeded,
            detail: "spent",
            data: &data[..len - 7],
        };
        assert_eq!(error.encoded_len(), Ok(len));
        error
    }

    #[test]
    fn an_error_is_kept_whole_wherever_the_ring_stands_and_frames_make_room() {
        let data: Vec<u8> = (0..64).collect();
        for moved in 0..50_u8 {
            for len in 7..=44 {
                let mut operation = operation();
                operation.issue(token(1), TTL, at(0));
                // Small frames put the start of the ring anywhere.
                for byte in 0..moved {
                    assert!(
                        operation
                            .push(&[byte; 2][..1 + usize::from(byte) % 2])
                            .is_ok()
                    );
                }
                let before = kept(operation.window());
                let error = error_of(len, &data);
                operation.finish(Terminal::Error(error)).unwrap();
                let window = operation.window();
                assert_eq!(operation.terminal(), Some(Terminal::Error(error)));
                assert!(window.bytes_used() <= 44);
                let after = kept(window);
                assert!(before.ends_with(&after), "{moved} frames, {len} bytes");
                // No more frames go than need to.
                if let Some((_, gone)) = before.iter().rev().nth(after.len()) {
                    assert!(window.bytes_used() + gone.len() + 1 > 44);
                }
                let last = window.last();
                assert_eq!(last, 2 + u64::from(moved));
                operation.discard_through(last);
                assert_eq!(operation.terminal(), Some(Terminal::Error(error)));
                assert_eq!(operation.window().bytes_used(), len);
            }
        }
    }

    #[test]
    fn of_an_error_larger_than_the_window_the_code_is_kept_and_so_are_the_frames() {
        let mut operation = operation();
        operation
            .finish(Terminal::Error(error_of(45, &[0; 64])))
            .unwrap();
        let code_alone = ErrorFrame {
            code: ErrorCode::BudgetExceeded,
            detail: "",
            data: &[],
        };
        assert_eq!(operation.terminal(), Some(Terminal::Error(code_alone)));
        assert_eq!(operation.window().len(), 2);
    }

    #[test]
    fn with_no_owner_to_compare_the_token_alone_decides() {
        let mut operation = Retained::new(Window::new([0; 8], 1), ());
        operation.issue(token(1), TTL, at(0));
        assert_eq!(operation.resume(&[1; 32], 0, &(), at(1)), Ok(1));
    }
}

mod progress {
    use super::*;

    fn resumable(token: &[u8]) -> Resumable<'_> {
        Resumable {
            ttl_secs: 60,
            token,
            last_seq: 0,
        }
    }

    #[test]
    fn an_initiator_resumes_with_the_latest_token_and_its_own_count() {
        let mut progress = Progress::new();
        assert_eq!((progress.resume(), progress.expires()), (None, None));
        progress.stream_received();
        progress
            .resumable(&resumable(b"old"), UnixMillis(0))
            .unwrap();
        progress
            .resumable(&resumable(b"new"), UnixMillis(500))
            .unwrap();
        progress.stream_received();
        let expected = Resume {
            token: b"new",
            last_recv: 2,
        };
        assert_eq!(progress.resume(), Some(expected));
        assert_eq!(progress.expires(), Some(UnixMillis(60_500)));
        assert!(!format!("{progress:?}").contains(&format!("{}", b'w')));
    }

    #[test]
    fn a_token_too_long_to_hold_leaves_none() {
        let mut progress = Progress::new();
        let longest = [1; MAX_TOKEN_LEN];
        progress
            .resumable(&resumable(&longest), UnixMillis(0))
            .unwrap();
        assert_eq!(progress.resume().unwrap().token, longest);
        let result = progress.resumable(&resumable(&[1; MAX_TOKEN_LEN + 1]), UnixMillis(0));
        assert_eq!(result, Err(TokenTooLong));
        assert_eq!((progress.resume(), progress.expires()), (None, None));
    }

    #[test]
    fn an_endless_time_to_live_does_not_overflow() {
        let mut progress = Progress::new();
        let endless = Resumable {
            ttl_secs: u64::MAX,
            ..resumable(b"token")
        };
        progress
            .resumable(&endless, UnixMillis(i64::MAX - 1))
            .unwrap();
        assert_eq!(progress.expires(), Some(UnixMillis(i64::MAX)));
    }

    #[test]
    fn both_ends_agree_on_what_comes_again() {
        let mut responder = Retained::new(Window::new([0; 64], 8), "alice");
        let mut progress = Progress::new();
        for payload in [b"a", b"b", b"c"] {
            assert!(responder.push(payload).unwrap().retained);
        }
        let resumable = responder.issue(token(9), TTL, at(0));
        progress.resumable(&resumable, UnixMillis(0)).unwrap();
        progress.stream_received();
        let resume = progress.resume().unwrap();
        let next = responder.resume(resume.token, resume.last_recv, &"alice", at(1));
        assert_eq!(next, Ok(2));
        for _ in responder.window().iter_from(2) {
            progress.stream_received();
        }
        assert_eq!(progress.received(), responder.window().last());
    }
}
