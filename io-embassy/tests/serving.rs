//! Operations that a node asks of a device, on the connection that the device opened.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use std::collections::HashMap;

use aire_embassy::Error;
use aire_mio::{CancelReason, ErrorCode};
use aire_proto::Event as E;
use aire_proto::budget::Charge;
use aire_proto::connection::Outcome;
use aire_proto::wire::Budget;
use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Timer};
use support::dialler::{Ask, Dialler, notes};
use support::link::Weather;
use support::world::{World, options};
use support::{certificate, eventually, run};

const READ: Ask = Ask {
    agent: "sensor",
    operation: "read",
    args: b"temperature",
};

/// What a node notes of one operation.
#[derive(Debug, PartialEq)]
enum Note {
    Bytes(Vec<u8>),
    Failed(ErrorCode, String),
    Report(Option<u64>),
    Ended(Outcome),
}

fn note(event: &E<'_>) -> Option<Note> {
    Some(match event {
        E::Stream { bytes, .. } => Note::Bytes(bytes.to_vec()),
        E::Failed { error, .. } => Note::Failed(error.code, error.detail.into()),
        E::Budget { budget, .. } => Note::Report(budget.tokens_spent),
        E::Ended { outcome, .. } => Note::Ended(*outcome),
        _ => return None,
    })
}

fn payloads(notes: &[Note]) -> Vec<u8> {
    let bytes = notes.iter().filter_map(|note| match note {
        Note::Bytes(bytes) => Some(bytes.as_slice()),
        _ => None,
    });
    bytes.collect::<Vec<_>>().concat()
}

#[test]
fn an_agent_on_the_device_reads_arguments_and_answers_with_a_stream() {
    run(async |spawner| {
        let certificate = certificate();
        let (told, heard) = notes();
        let script = move |_, event: &E<'_>, _: &mut aire_mio::driver::Calls<'_>| {
            told.send(note(event)).unwrap();
        };
        let node = Dialler::new(&certificate, &[READ], Box::new(script));
        let weather = Weather {
            lost: 50,
            delay: Duration::from_millis(2),
            ..Weather::default()
        };
        let world = World::new(spawner, node.address(), weather, 1);
        let handle = world.client(options(&certificate), 1);

        let operation = handle.accept().await;
        assert!(operation.is_served());
        assert_eq!((operation.agent(), &*operation.name()), ("sensor", "read"));
        assert_eq!(operation.args_len(), 11);
        let (mut args, mut piece) = (Vec::<u8>::new(), [0; 4]);
        loop {
            match operation.read_args(&mut piece).await.unwrap() {
                0 => break,
                len => args.extend(&piece[..len]),
            }
        }
        assert_eq!(args, b"temperature");
        for nth in 0..100_u8 {
            operation.send(&[nth; 100]).await.unwrap();
        }
        operation.finish().unwrap();
        drop(operation);

        let mut told: Vec<Note> = Vec::new();
        eventually("it ends", || {
            told.extend(heard.try_iter().flatten());
            told.last() == Some(&Note::Ended(Outcome::Completed))
        })
        .await;
        let expected: Vec<u8> = (0..100).flat_map(|nth| [nth; 100]).collect();
        assert!(payloads(&told) == expected);
    });
}

#[test]
fn a_node_cancels_and_the_agent_hears_of_it_while_it_works() {
    run(async |spawner| {
        let certificate = certificate();
        let (told, heard) = notes();
        let mut blinks = 0;
        let script = move |stream, event: &E<'_>, calls: &mut aire_mio::driver::Calls<'_>| {
            if matches!(event, E::Stream { .. }) {
                blinks += 1;
            }
            if blinks == 3 {
                blinks += 1;
                let enough = CancelReason::UserCancelled;
                calls.cancel(stream, enough, "that is enough").unwrap();
            }
            told.send(note(event)).unwrap();
        };
        let node = Dialler::new(&certificate, &[READ], Box::new(script));
        let world = World::new(spawner, node.address(), Weather::default(), 2);
        let handle = world.client(options(&certificate), 2);

        let operation = handle.accept().await;
        let work = async {
            loop {
                operation.send(b"on").await.unwrap();
                Timer::after_millis(20).await;
            }
        };
        let (Either::First(why) | Either::Second(why)) = select(operation.cancelled(), work).await;
        assert_eq!(why, Error::Cancelled(CancelReason::UserCancelled));
        assert_eq!(operation.send(b"more").await, Err(why));
        operation.fail(ErrorCode::Cancelled, "stopped").unwrap();
        assert_eq!(operation.ended().await, Err(why));
        let mut told: Vec<Note> = Vec::new();
        eventually("it ends", || {
            told.extend(heard.try_iter().flatten());
            matches!(told.last(), Some(Note::Ended(_)))
        })
        .await;
        let answer = Note::Failed(ErrorCode::Cancelled, "stopped".into());
        assert!(told.contains(&answer), "{told:?}");
        let cancelled = Outcome::Cancelled(CancelReason::UserCancelled);
        assert_eq!(told.last(), Some(&Note::Ended(cancelled)));
    });
}

#[test]
fn a_budget_is_honoured_topped_up_once_and_ends_the_operation_when_it_is_spent() {
    run(async |spawner| {
        let certificate = certificate();
        let (told, heard) = notes();
        let mut reports: HashMap<_, u32> = HashMap::new();
        let tokens = |count| Budget {
            tokens: Some(count),
            ..Budget::default()
        };
        let script = move |stream, event: &E<'_>, calls: &mut aire_mio::driver::Calls<'_>| {
            match event {
                // The first frame comes before any budget.
                E::Stream {
                    bytes: b"ready", ..
                } => {
                    calls.send_budget(stream, tokens(3)).unwrap();
                    calls.send(stream, b"go".to_vec()).unwrap();
                }
                E::Budget { budget, .. } if budget.is_report() => {
                    let nth = reports.entry(stream).or_default();
                    *nth += 1;
                    if *nth == 1 {
                        calls.send_budget(stream, tokens(2)).unwrap();
                    }
                }
                _ => {}
            }
            told.send(note(event)).unwrap();
        };
        let node = Dialler::new(&certificate, &[READ], Box::new(script));
        let world = World::new(spawner, node.address(), Weather::default(), 3);
        let handle = world.client(options(&certificate), 3);

        let operation = handle.accept().await;
        operation.send(b"ready").await.unwrap();
        let mut go = [0; 2];
        assert_eq!(operation.recv_frame(&mut go).await, Ok(Some(2)));
        let mut worked = 0_u8;
        let ended = loop {
            let one = Charge::tokens(1);
            match operation.charge(&one, Duration::from_millis(400)).await {
                Ok(()) => operation.send(&[worked]).await.unwrap(),
                Err(error) => break error,
            }
            worked += 1;
        };
        assert_eq!(worked, 5, "3, and 2 more");
        assert_eq!(ended, Error::Failed(ErrorCode::BudgetExceeded));
        assert_eq!(operation.ledger().spent().tokens, 5);
        assert_eq!(operation.ended().await, Err(ended));
        let mut told: Vec<Note> = Vec::new();
        eventually("it ends", || {
            told.extend(heard.try_iter().flatten());
            matches!(told.last(), Some(Note::Ended(_)))
        })
        .await;
        assert_eq!(payloads(&told), b"ready\x00\x01\x02\x03\x04");
        assert!(told.contains(&Note::Report(Some(3))), "{told:?}");
        assert!(told.contains(&Note::Report(Some(5))), "{told:?}");
        let failed = Outcome::Failed(ErrorCode::BudgetExceeded);
        assert_eq!(told.last(), Some(&Note::Ended(failed)));
    });
}

#[test]
fn what_is_not_served_here_is_refused_with_the_right_code() {
    const ASKS: &[Ask] = &[
        Ask {
            agent: "nobody",
            operation: "read",
            args: b"",
        },
        Ask {
            agent: "sensor",
            operation: "a name of an operation that is longer than is kept",
            args: b"args",
        },
    ];
    run(async |spawner| {
        let certificate = certificate();
        let (told, heard) = notes();
        let script = move |stream, event: &E<'_>, _: &mut aire_mio::driver::Calls<'_>| {
            told.send((stream, note(event))).unwrap();
        };
        let node = Dialler::new(&certificate, ASKS, Box::new(script));
        let world = World::new(spawner, node.address(), Weather::default(), 4);
        let handle = world.client(options(&certificate), 4);
        handle.connected().await;
        let mut codes = HashMap::new();
        eventually("both are refused", || {
            for (stream, note) in heard.try_iter() {
                if let Some(Note::Failed(code, _)) = note {
                    codes.insert(stream.get(), code);
                }
            }
            codes.len() == 2
        })
        .await;
        assert_eq!(codes[&1], ErrorCode::AgentNotFound);
        assert_eq!(codes[&5], ErrorCode::Refused);
    });
}

#[test]
fn more_operations_than_the_node_may_open_wait_for_the_first_to_end() {
    const ASKS: &[Ask] = &[READ, READ, READ, READ, READ, READ, READ];
    run(async |spawner| {
        let certificate = certificate();
        let (told, heard) = notes();
        let script = move |_, event: &E<'_>, _: &mut aire_mio::driver::Calls<'_>| {
            told.send(note(event)).unwrap();
        };
        let node = Dialler::new(&certificate, ASKS, Box::new(script));
        let world = World::new(spawner, node.address(), Weather::default(), 5);
        let handle = world.client(options(&certificate), 5);
        for nth in 0..7_u8 {
            // The arguments are never read.
            let operation = handle.accept().await;
            operation.send(&[nth]).await.unwrap();
            operation.finish().unwrap();
        }
        let mut told: Vec<Note> = Vec::new();
        eventually("all end", || {
            told.extend(heard.try_iter().flatten());
            let ended = Note::Ended(Outcome::Completed);
            told.iter().filter(|note| **note == ended).count() == 7
        })
        .await;
        let mut answers = payloads(&told);
        answers.sort_unstable();
        assert_eq!(answers, [0, 1, 2, 3, 4, 5, 6]);
    });
}

#[test]
fn an_operation_that_the_agent_drops_fails_and_one_that_is_reset_ends_here() {
    run(async |spawner| {
        let certificate = certificate();
        let (told, heard) = notes();
        let script = move |stream, event: &E<'_>, calls: &mut aire_mio::driver::Calls<'_>| {
            if matches!(event, E::Stream { .. }) {
                calls.abort(stream, ErrorCode::Refused).unwrap();
            }
            told.send(note(event)).unwrap();
        };
        let node = Dialler::new(&certificate, &[READ, READ], Box::new(script));
        let world = World::new(spawner, node.address(), Weather::default(), 6);
        let handle = world.client(options(&certificate), 6);
        drop(handle.accept().await);
        let operation = handle.accept().await;
        operation.send(b"to be reset").await.unwrap();
        let code = ErrorCode::Refused.to_wire();
        assert_eq!(operation.cancelled().await, Error::Reset(code));
        assert_eq!(operation.send(b"more").await, Err(Error::Reset(code)));
        let mut told: Vec<Note> = Vec::new();
        eventually("both end", || {
            told.extend(heard.try_iter().flatten());
            told.iter()
                .filter(|it| matches!(it, Note::Ended(_)))
                .count()
                == 2
        })
        .await;
        let failed = Note::Failed(ErrorCode::Application, String::new());
        assert!(told.contains(&failed), "{told:?}");
    });
}

#[test]
fn a_node_that_says_goodbye_is_dialled_again() {
    run(async |spawner| {
        let certificate = certificate();
        let script = |_, _: &E<'_>, _: &mut aire_mio::driver::Calls<'_>| {};
        let node = Dialler::new(&certificate, &[], Box::new(script));
        let world = World::new(spawner, node.address(), Weather::default(), 7);
        let handle = world.client(options(&certificate), 7);
        eventually("the node is connected too", || node.has_told("connected")).await;
        node.goodbye();
        eventually("the connection closes", || handle.why().is_some()).await;
        assert_eq!(
            handle.why().unwrap().to_string(),
            "the connection was closed"
        );
    });
}
