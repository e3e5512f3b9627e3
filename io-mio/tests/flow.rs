//! Bounds and back pressure between threads, the loop and the transport: nothing is lost, nothing
//! grows, nobody waits for ever.

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use aire_mio::driver::{Calls, Event, QueueError};
use aire_mio::{
    CancelReason, ConnectionKey, ErrorCode, Failure, Operation, Received, Settings, StreamId,
};
use aire_proto::connection::Outcome;
use aire_proto::wire::Budget;
use support::{any_port, builder, certificate, collect, connect, echo, end_of, with_agent};

type Told<'a> = aire_proto::Event<'a>;

/// An agent in the loop that counts what it gets, and answers with the count.
fn counting() -> impl FnMut(ConnectionKey, Event<'_>, &mut Calls<'_>) + Send + 'static {
    let mut counts: HashMap<(ConnectionKey, StreamId), (usize, usize)> = HashMap::new();
    move |key, event, calls| match event {
        Event::Protocol(Told::Stream {
            stream,
            bytes,
            remaining,
        }) => {
            let count = counts.entry((key, stream)).or_default();
            count.0 += bytes.len();
            count.1 += usize::from(remaining == 0);
        }
        Event::Protocol(Told::InputFinished { stream }) => {
            let (bytes, frames) = counts.remove(&(key, stream)).unwrap_or_default();
            let answer = format!("{bytes} bytes in {frames} frames");
            calls.send(stream, answer.into_bytes()).expect("room");
            calls.finish(stream).expect("open");
        }
        _ => {}
    }
}

#[test]
fn many_empty_frames_pass_both_ways() {
    let (_node, client) = with_agent(|operation| {
        let mut frames = 0_u32;
        while let Some(frame) = operation.recv()? {
            assert!(frame.is_empty());
            frames += 1;
        }
        for _ in 0..frames {
            operation.send("")?;
        }
        Ok(())
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    for _ in 0..10_000 {
        operation.send("").expect("sent");
    }
    operation.finish();
    let frames = collect(&mut operation).expect("it ends well");
    assert_eq!(frames.len(), 10_000);
}

#[test]
fn what_is_sent_behind_long_arguments_arrives_behind_them() {
    let (_node, client) = with_agent(|operation| {
        let mut lengths = vec![operation.args().len()];
        while let Some(frame) = operation.recv()? {
            lengths.push(frame.len());
        }
        operation.send(format!("{lengths:?}"))
    });
    let mut operation = client
        .invoke("it", "", vec![1; 1_000_000])
        .expect("invoked");
    for len in [1, 2, 100_000, 3] {
        operation.send(vec![2; len]).expect("sent");
    }
    operation.finish();
    assert_eq!(
        collect(&mut operation),
        Ok(vec![b"[1000000, 1, 2, 100000, 3]".to_vec()])
    );
}

#[test]
fn a_short_send_queue_slows_threads_down_and_loses_nothing() {
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("it", |operation: &mut Operation| {
            for n in 0..200_u32 {
                operation.send(vec![(n % 251) as u8; 5_000])?;
            }
            Ok(())
        })
        .expect("a free name")
        .settings(Settings {
            send_queue: 1,
            ..Settings::default()
        })
        .listen(any_port())
        .expect("a port");
    let client = connect(&node, &certificate);
    let mut operation = client.invoke("it", "", "").expect("invoked");
    let frames = collect(&mut operation).expect("it ends well");
    let order: Vec<u8> = frames.iter().map(|frame| frame[0]).collect();
    assert_eq!(order, (0..200).collect::<Vec<_>>());
    assert!(frames.iter().all(|frame| frame.len() == 5_000));
}

#[test]
fn a_payload_that_no_frame_holds_is_refused_and_the_operation_goes_on() {
    let (_node, client) = with_agent(|operation| {
        let refused = operation.send(vec![0; 1_048_577]);
        operation.send(format!("{:?}", refused.expect_err("too long")))?;
        operation.send(vec![7; 1_048_576])
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert!(operation.send(vec![0; 2_000_000]).is_err());
    let frames = collect(&mut operation).expect("it ends well");
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[1].len(), 1_048_576);
    let too_long = client.invoke("it", "", vec![0; 1_048_576]);
    let error = too_long.expect_err("with its names it is too long");
    assert!(error.to_string().contains("1,048,576"), "{error}");
}

#[test]
fn long_words_are_cut_and_still_end_the_operation() {
    let (told, heard) = mpsc::channel();
    let (_node, client) = with_agent(move |operation| {
        if operation.operation() == "fail" {
            return Err(Failure::Failed {
                code: ErrorCode::Application,
                detail: "ä".repeat(5_000),
                data: vec![3; 200_000],
            });
        }
        let slept = operation.sleep(Duration::MAX);
        told.send(slept.clone()).expect("the test listens");
        slept
    });
    let mut operation = client.invoke("it", "fail", "").expect("invoked");
    let Err(Failure::Failed { code, detail, .. }) = end_of(&mut operation) else {
        panic!("it failed");
    };
    assert_eq!(code, ErrorCode::Application);
    assert!(detail.starts_with("ää") && detail.len() <= 1024);
    let mut operation = client.invoke("it", "cancel", "").expect("invoked");
    operation.cancel(CancelReason::Internal, "ö".repeat(5_000));
    let Ok(Err(Failure::Cancelled { reason, detail })) = heard.recv() else {
        panic!("it was cancelled");
    };
    assert_eq!(reason, CancelReason::Internal);
    assert!(detail.starts_with("öö") && detail.len() <= 1024);
    assert!(end_of(&mut operation).is_err());
}

#[test]
fn data_of_an_error_that_fits_arrives_whole() {
    let (_node, client) = with_agent(|_| {
        Err(Failure::Failed {
            code: ErrorCode::BudgetExceeded,
            detail: "spent".into(),
            data: vec![5; 50_000],
        })
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert_eq!(
        end_of(&mut operation),
        Err(Failure::Failed {
            code: ErrorCode::BudgetExceeded,
            detail: "spent".into(),
            data: vec![5; 50_000],
        })
    );
}

#[test]
fn budgets_reach_the_responder_in_order_and_the_latest_is_not_lost() {
    let (_node, client) = with_agent(|operation| {
        let mut last = None;
        while let Some(received) = operation.recv_frame()? {
            if let Received::Budget(budget) = received {
                assert!(budget.tokens > last, "in order");
                last = budget.tokens;
            }
        }
        operation.send(format!("{last:?}"))
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    for tokens in 0..20_000 {
        operation.send_budget(Budget {
            tokens: Some(tokens),
            ..Budget::default()
        });
    }
    operation.finish();
    assert_eq!(collect(&mut operation), Ok(vec![b"Some(19999)".to_vec()]));
}

#[test]
fn a_responder_that_cancels_is_answered_at_once() {
    let (ended, heard) = mpsc::channel();
    let certificate = certificate();
    let node = builder(&certificate)
        .event_agent(
            "loop",
            move |_: ConnectionKey, event: Event<'_>, calls: &mut Calls<'_>| match event {
                Event::Protocol(Told::Invoked { stream, .. }) => {
                    let reason = CancelReason::ResourceExhausted;
                    calls.cancel(stream, reason, "no room").expect("open");
                }
                Event::Protocol(Told::Ended { outcome, .. }) => {
                    ended.send(outcome).expect("the test listens");
                }
                _ => {}
            },
        )
        .expect("a free name")
        .listen(any_port())
        .expect("a port");
    let client = connect(&node, &certificate);
    let mut operation = client.invoke("loop", "", "").expect("invoked");
    assert_eq!(
        end_of(&mut operation),
        Err(Failure::Cancelled {
            reason: CancelReason::ResourceExhausted,
            detail: "no room".into(),
        })
    );
    drop(operation);
    // Under the 5 s after which either side gives up on an answer.
    assert_eq!(
        heard.recv_timeout(Duration::from_secs(3)),
        Ok(Outcome::Cancelled(CancelReason::ResourceExhausted))
    );
}

#[test]
fn an_agent_in_the_loop_sends_50_megabytes_as_fast_as_they_are_taken() {
    const FRAME: usize = 100_000;
    const FRAMES: usize = 500;
    let queued = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (counted, highest) = (queued.clone(), most.clone());
    let mut sent = 0;
    let certificate = certificate();
    let node = builder(&certificate)
        .event_agent(
            "flood",
            move |_: ConnectionKey, event: Event<'_>, calls: &mut Calls<'_>| {
                let stream = match event {
                    Event::Protocol(Told::Invoked { stream, .. }) => stream,
                    Event::Sent { stream, len } => {
                        counted.fetch_sub(len, Ordering::SeqCst);
                        stream
                    }
                    _ => return,
                };
                while sent < FRAMES {
                    match calls.send(stream, vec![(sent % 251) as u8; FRAME]) {
                        Ok(()) => {
                            sent += 1;
                            let now = counted.fetch_add(FRAME, Ordering::SeqCst) + FRAME;
                            highest.fetch_max(now, Ordering::SeqCst);
                        }
                        Err(QueueError::Full) => return,
                        Err(error) => panic!("{error:?}"),
                    }
                }
                // A second time it is there already.
                let _again = calls.finish(stream);
            },
        )
        .expect("a free name")
        .listen(any_port())
        .expect("a port");
    let client = connect(&node, &certificate);
    let mut operation = client.invoke("flood", "", "").expect("invoked");
    let mut frames = 0;
    while let Some(frame) = operation.recv().expect("it goes well") {
        assert!(frame.len() == FRAME && frame.iter().all(|byte| *byte == (frames % 251) as u8));
        frames += 1;
    }
    assert_eq!(frames, FRAMES);
    assert_eq!(queued.load(Ordering::SeqCst), 0);
    let most = most.load(Ordering::SeqCst);
    assert!(most <= 256 * 1024 + 2 * FRAME, "{most} bytes were queued");
}

#[test]
fn empty_frames_of_an_agent_in_the_loop_make_room_as_well() {
    let mut left = 20_000_u32;
    let certificate = certificate();
    let node = builder(&certificate)
        .event_agent(
            "loop",
            move |_: ConnectionKey, event: Event<'_>, calls: &mut Calls<'_>| {
                let stream = match event {
                    Event::Protocol(Told::Invoked { stream, .. }) | Event::Sent { stream, .. } => {
                        stream
                    }
                    _ => return,
                };
                while left > 0 {
                    match calls.send(stream, Vec::new()) {
                        Ok(()) => left -= 1,
                        Err(QueueError::Full) => return,
                        Err(_) => return,
                    }
                }
                let _again = calls.finish(stream);
            },
        )
        .expect("a free name")
        .listen(any_port())
        .expect("a port");
    let client = connect(&node, &certificate);
    let mut operation = client.invoke("loop", "", "").expect("invoked");
    assert_eq!(collect(&mut operation).expect("it ends well").len(), 20_000);
}

/// Two operations: the first is paused until the second comes.
#[test]
fn an_operation_that_is_paused_reads_on_when_another_resumes_it() {
    let mut count = counting();
    let mut paused = None;
    let stalled = Arc::new(AtomicBool::new(false));
    let told = stalled.clone();
    let certificate = certificate();
    let node = builder(&certificate)
        .event_agent(
            "loop",
            move |key: ConnectionKey, event: Event<'_>, calls: &mut Calls<'_>| {
                match &event {
                    Event::Protocol(Told::Invoked {
                        stream, operation, ..
                    }) => match *operation {
                        "paused" => paused = Some(*stream),
                        "resume" => {
                            calls.resume(paused.take().expect("it came first"));
                            calls.finish(*stream).expect("open");
                        }
                        _ => {}
                    },
                    Event::Protocol(Told::Stream { stream, .. }) if paused == Some(*stream) => {
                        calls.pause(*stream);
                        told.store(true, Ordering::SeqCst);
                    }
                    _ => {}
                }
                count(key, event, calls);
            },
        )
        .expect("a free name")
        .settings(Settings {
            keep_alive: None,
            ..Settings::default()
        })
        .listen(any_port())
        .expect("a port");
    let client = connect(&node, &certificate);
    let mut operation = client.invoke("loop", "paused", "").expect("invoked");
    operation.send(vec![1; 200_000]).expect("sent");
    operation.finish();
    support::eventually("it is paused", || stalled.load(Ordering::SeqCst));
    thread::sleep(Duration::from_millis(300));
    let mut resume = client.invoke("loop", "resume", "").expect("invoked");
    assert_eq!(end_of(&mut resume), Ok(()));
    assert_eq!(
        collect(&mut operation),
        Ok(vec![b"200000 bytes in 1 frames".to_vec()])
    );
}

/// Pausing after every piece and resuming at once is slow, but stalls nothing.
#[test]
fn an_agent_that_pauses_at_every_event_and_resumes_with_the_next_call_gets_all() {
    let mut count = counting();
    let certificate = certificate();
    let node = builder(&certificate)
        .event_agent(
            "loop",
            move |key: ConnectionKey, event: Event<'_>, calls: &mut Calls<'_>| {
                if let Event::Protocol(Told::Stream { stream, .. }) = &event {
                    calls.pause(*stream);
                    calls.resume(*stream);
                    calls.pause(*stream);
                    // The answer to what is sent wakes it: with nothing on the wire, nobody would.
                    if calls.send(*stream, b"more".to_vec()).is_err() {
                        calls.resume(*stream);
                    }
                }
                if let Event::Sent { stream, .. } = &event {
                    calls.resume(*stream);
                }
                count(key, event, calls);
            },
        )
        .expect("a free name")
        .listen(any_port())
        .expect("a port");
    let client = connect(&node, &certificate);
    let mut operation = client.invoke("loop", "", "").expect("invoked");
    for _ in 0..300 {
        operation.send(vec![1; 1_000]).expect("sent");
    }
    operation.finish();
    let frames = collect(&mut operation).expect("it ends well");
    assert_eq!(frames.last().expect("one"), b"300000 bytes in 300 frames");
}

#[test]
fn many_threads_share_a_client() {
    let (_node, client) = with_agent(|operation| {
        let mut bytes = 0;
        while let Some(frame) = operation.recv()? {
            bytes += frame.len();
        }
        operation.send(bytes.to_string())
    });
    let client = Arc::new(client);
    let threads: Vec<_> = (0..16)
        .map(|thread: usize| {
            let client = client.clone();
            thread::spawn(move || {
                for round in 0..10 {
                    let mut operation = client.invoke("it", "", "x").expect("invoked");
                    for _ in 0..thread {
                        operation.send(vec![0; 3_000 + round]).expect("sent");
                    }
                    if (thread + round).is_multiple_of(5) {
                        operation.cancel(CancelReason::UserCancelled, "");
                        assert!(end_of(&mut operation).is_err());
                        continue;
                    }
                    operation.finish();
                    let sum = thread * (3_000 + round);
                    assert_eq!(
                        collect(&mut operation),
                        Ok(vec![sum.to_string().into_bytes()])
                    );
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert_eq!(echo(&client, "after all"), "after all");
}

#[test]
fn two_endless_senders_share_a_connection_fairly() {
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("it", |operation: &mut Operation| {
            loop {
                operation.send(vec![0; 1_000_000])?;
            }
        })
        .expect("a free name")
        .listen(any_port())
        .expect("a port");
    let weather = support::relay::Weather {
        seed: 7,
        lost: 5,
        ..Default::default()
    };
    let relay = support::relay::Relay::start(node.address(), weather);
    let client = support::client(&certificate)
        .connect(&support::uri(relay.address))
        .expect("through the relay");
    let mut operations: Vec<_> = (0..3)
        .map(|_| client.invoke("it", "", "").expect("invoked"))
        .collect();
    let counts: Vec<_> = operations
        .drain(..)
        .map(|mut operation| {
            thread::spawn(move || {
                // Each gets its three, however greedy the others are.
                (0..3).all(|_| matches!(operation.recv(), Ok(Some(_))))
            })
        })
        .collect();
    for count in counts {
        assert!(count.join().expect("no panic"));
    }
}

#[test]
fn operations_with_long_arguments_wait_for_a_stream_and_all_get_their_turn() {
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("it", |operation: &mut Operation| {
            operation.send(operation.args().len().to_string())
        })
        .expect("a free name")
        .settings(Settings {
            max_streams: 1,
            ..Settings::default()
        })
        .listen(any_port())
        .expect("a port");
    let client = Arc::new(connect(&node, &certificate));
    let threads: Vec<_> = (0..40)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || {
                let mut operation = client
                    .invoke("it", "", vec![1; 1_000_000])
                    .expect("invoked");
                assert_eq!(collect(&mut operation), Ok(vec![b"1000000".to_vec()]));
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
}

#[test]
fn answers_that_nobody_reads_do_not_hold_up_the_others() {
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("it", |operation: &mut Operation| {
            loop {
                operation.send(vec![0; 10_000])?;
            }
        })
        .expect("a free name")
        .settings(support::short_drain())
        .listen(any_port())
        .expect("a port");
    let client = connect(&node, &certificate);
    let unread: Vec<_> = (0..99)
        .map(|_| client.invoke("it", "", "").expect("invoked"))
        .collect();
    thread::sleep(Duration::from_millis(1_500));
    for _ in 0..10 {
        assert_eq!(echo(&client, "meanwhile"), "meanwhile");
    }
    drop(unread);
}
