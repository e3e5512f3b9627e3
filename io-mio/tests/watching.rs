//! An operation in the hands of several threads: one works, one takes what comes, one waits for
//! the moment at which the work must stop.

mod support;

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use aire_mio::{CancelReason, Client, ErrorCode, Failure, Node, Operation, Received};
use aire_proto::budget::{Cap, Charge};
use support::{PATIENCE, any_port, builder, certificate, collect, connect, end_of, with_agent};

#[test]
fn a_watch_is_woken_by_a_cancel_while_the_handler_waits_for_something_else() {
    let (started, starts) = channel();
    let (told, hears) = channel();
    let (_node, client) = with_agent(move |operation: &mut Operation| {
        let (watch, told) = (operation.watch(), told.clone());
        // What the handler waits for, and only the watch can bring about: a program's end, say.
        let (killed, dies) = channel();
        thread::spawn(move || {
            told.send(watch.wait()).expect("the test listens");
            killed.send(()).expect("the handler listens");
        });
        started.send(()).expect("the test listens");
        dies.recv().expect("the watch brings it about");
        Ok(())
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    starts.recv().expect("it is served");
    operation.cancel(CancelReason::UserCancelled, "enough");
    end_of(&mut operation).expect_err("cancelled");
    let seen = hears.recv_timeout(PATIENCE).expect("it was woken");
    let expected = Failure::Cancelled {
        reason: CancelReason::UserCancelled,
        detail: "enough".into(),
    };
    assert_eq!(seen, Err(expected));
}

#[test]
fn a_watch_is_woken_by_the_deadline_and_by_the_loss_of_the_connection() {
    let certificate = certificate();
    let (told, hears) = channel();
    let node = builder(&certificate)
        .cap(|_, agent| Cap {
            time: (agent == "soon").then_some(Duration::from_millis(100)),
            ..Cap::default()
        })
        .agent("soon", watched(told.clone()))
        .expect("a free name")
        .agent("it", watched(told))
        .expect("a free name")
        .listen(any_port())
        .expect("a free port");
    let client = connect(&node, &certificate);
    let mut operation = client.invoke("soon", "", "").expect("invoked");
    let end = end_of(&mut operation).expect_err("there is no time");
    let code = |failure: &Failure| match failure {
        Failure::Failed { code, .. } => Some(*code),
        _ => None,
    };
    assert_eq!(code(&end), Some(ErrorCode::DeadlineExceeded));
    let seen = hears.recv_timeout(PATIENCE).expect("it was woken");
    assert_eq!(
        seen.as_ref().err().and_then(code),
        Some(ErrorCode::DeadlineExceeded)
    );
    let lost = client.invoke("it", "", "").expect("invoked");
    support::eventually("it is served", || node.metrics().operations_live == 1);
    client.abandon();
    let seen = hears.recv_timeout(PATIENCE).expect("it was woken");
    assert_eq!(seen, Err(Failure::Lost));
    drop(lost);
}

/// A handler that waits for its watch, and tells what that saw.
fn watched(
    told: std::sync::mpsc::Sender<Result<(), Failure>>,
) -> impl Fn(&mut Operation) -> Result<(), Failure> + Send + Sync + 'static {
    move |operation| {
        let watch = operation.watch();
        let seen = thread::spawn(move || watch.wait())
            .join()
            .expect("no panic");
        told.send(seen.clone()).expect("the test listens");
        seen
    }
}

#[test]
fn a_watch_ends_in_peace_with_its_handler() {
    let (told, hears) = channel();
    let (_node, client) = with_agent(move |operation: &mut Operation| {
        let (watch, told) = (operation.watch(), told.clone());
        let still = watch.wait_within(Duration::from_millis(1));
        assert_eq!(still, Err(Failure::TimedOut));
        assert_eq!(watch.failure(), None);
        thread::spawn(move || told.send(watch.wait()));
        operation.send("done")
    });
    // The initiator does not say that it sends no more: the watch does not wait for that.
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert_eq!(operation.recv(), Ok(Some(b"done".to_vec())));
    assert_eq!(hears.recv_timeout(PATIENCE), Ok(Ok(())));
}

#[test]
fn a_watch_sees_what_is_spent_and_what_remains() {
    let (told, hears) = channel();
    let certificate = certificate();
    let node = builder(&certificate)
        .cap(|_, _| Cap {
            tokens: Some(10),
            ..Cap::default()
        })
        .agent("it", move |operation: &mut Operation| {
            let watch = operation.watch();
            operation.charge(&Charge::tokens(4))?;
            let ledger = thread::spawn(move || watch.ledger())
                .join()
                .expect("no panic");
            let sums = (ledger.spent().tokens, ledger.remaining().tokens);
            told.send(sums).expect("the test listens");
            Ok(())
        })
        .expect("a free name")
        .listen(any_port())
        .expect("a free port");
    let client = connect(&node, &certificate);
    let mut operation = client.invoke("it", "", "").expect("invoked");
    collect(&mut operation).expect("it ends well");
    assert_eq!(hears.recv_timeout(PATIENCE), Ok((4, Some(6))));
}

/// A node whose agent takes its input on one thread, and sends on another, all at the same time:
/// each line that comes is sent back by the other.
fn passes_on() -> (Node, Client) {
    with_agent(|operation: &mut Operation| {
        let mut input = operation.input();
        let (line, lines) = channel();
        let reader = thread::spawn(move || {
            while let Some(payload) = input.recv()? {
                line.send(payload).expect("the sender listens");
            }
            Ok::<_, Failure>(())
        });
        for payload in lines {
            operation.send(payload)?;
        }
        reader.join().expect("no panic")
    })
}

#[test]
fn one_thread_receives_while_another_sends() {
    let (_node, client) = passes_on();
    let mut operation = client.invoke("it", "", "").expect("invoked");
    let (mut answers, total) = (operation.input(), 200_u32);
    let takes = thread::spawn(move || {
        let mut came = Vec::new();
        while let Some(payload) = answers.recv()? {
            came.push(payload);
        }
        Ok::<_, Failure>(came)
    });
    // More than may wait anywhere: nobody may stop reading because it sends.
    for n in 0..total {
        let payload = [n.to_be_bytes().as_slice(), &[0; 20_000]].concat();
        operation.send(payload).expect("there is room in time");
    }
    operation.finish();
    let came = takes.join().expect("no panic").expect("it ends well");
    let numbers = came.iter().map(|it| it.first_chunk::<4>().copied());
    let sent = (0..total).map(|n| Some(n.to_be_bytes()));
    assert!(numbers.eq(sent), "each once, in order");
}

#[test]
fn input_hears_of_a_cancel_and_of_the_end_of_the_answer() {
    let (told, hears) = channel();
    let (_node, client) = with_agent(move |operation: &mut Operation| {
        let (mut input, told) = (operation.input(), told.clone());
        if operation.operation() == "answer" {
            let waited = input.recv_frame_within(Duration::from_millis(1));
            assert!(matches!(waited, Err(Failure::TimedOut)), "{waited:?}");
        }
        let reader = thread::spawn(move || {
            let end = loop {
                match input.recv_frame() {
                    Ok(Some(Received::Stream(_) | Received::Budget(_))) => {}
                    end => break end,
                }
            };
            told.send(end).expect("the test listens");
        });
        match operation.operation() {
            // Nobody waits for the reader, which learns that there is an end.
            "answer" => operation.send("done"),
            _ => reader.join().map_err(|_| Failure::Ended),
        }
    });
    let mut answered = client.invoke("it", "answer", "").expect("invoked");
    assert_eq!(answered.recv(), Ok(Some(b"done".to_vec())));
    let end = hears.recv_timeout(PATIENCE).expect("it ends");
    assert_eq!(end, Err(Failure::Ended));
    let mut cancelled = client.invoke("it", "wait", "").expect("invoked");
    cancelled.cancel(CancelReason::UserCancelled, "enough");
    let end = hears.recv_timeout(PATIENCE).expect("it ends");
    assert!(matches!(end, Err(Failure::Cancelled { .. })), "{end:?}");
}
