//! Budgets between a node and a client over real sockets (`BUD-1` to `BUD-11`).

mod support;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use aire_mio::{CancelReason, ErrorCode, Failure, Operation, Received};
use aire_proto::UnixMillis;
use aire_proto::accounting::{Accounting, MAX_LEN};
use aire_proto::budget::{Cap, Charge};
use aire_proto::wire::{Budget, Currency};
use support::{any_port, builder, certificate, collect, connect, end_of, with_agent};

fn tokens(tokens: u64) -> Budget {
    Budget {
        tokens: Some(tokens),
        ..Budget::default()
    }
}

fn cost(microunits: u64, currency: &[u8; 3]) -> Budget {
    Budget {
        cost_microunits: Some(microunits),
        currency: Currency::new(*currency),
        ..Budget::default()
    }
}

fn unix_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_millis()).expect("before the end of time")
}

/// Waits for the initiator's budget, as an agent that spends nothing without one does.
fn await_budget(operation: &mut Operation) -> Result<(), Failure> {
    while !matches!(operation.recv_frame()?, Some(Received::Budget(_))) {}
    Ok(())
}

/// Sends numbers for a token each, for ever.
fn count_for_tokens(operation: &mut Operation) -> Result<(), Failure> {
    for number in 0_u64.. {
        operation.charge(&Charge::tokens(1))?;
        operation.send(number.to_be_bytes())?;
    }
    Ok(())
}

fn code_of(failure: Result<(), Failure>) -> ErrorCode {
    match failure {
        Err(Failure::Failed { code, .. }) => code,
        other => panic!("no ERROR: {other:?}"),
    }
}

/// Every frame until the end, and the end.
fn all_of(operation: &mut Operation) -> (Vec<Vec<u8>>, Result<(), Failure>) {
    let mut frames = Vec::new();
    loop {
        match operation.recv() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, Ok(())),
            Err(failure) => return (frames, Err(failure)),
        }
    }
}

#[test]
fn a_producer_ends_with_budget_exceeded_where_its_tokens_end() {
    let (_node, client) = with_agent(|operation: &mut Operation| {
        await_budget(operation)?;
        count_for_tokens(operation)
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    operation.send_budget(tokens(7));
    let (frames, end) = all_of(&mut operation);
    assert_eq!(frames.len(), 7, "not one past the snapshot");
    assert_eq!(code_of(end), ErrorCode::BudgetExceeded);
}

#[test]
fn a_producer_that_waits_says_what_it_spent_and_goes_on_after_a_top_up() {
    let (node, client) = with_agent(|operation: &mut Operation| {
        operation.set_budget_patience(Duration::from_secs(20));
        await_budget(operation)?;
        count_for_tokens(operation)
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    operation.send_budget(tokens(3));
    let mut frames = 0;
    let report = loop {
        match operation.recv_frame().expect("it waits") {
            Some(Received::Stream(_)) => frames += 1,
            Some(Received::Budget(report)) => break report,
            other => panic!("unexpected {other:?}"),
        }
    };
    assert_eq!(frames, 3);
    assert!(report.is_report());
    assert_eq!((report.tokens_spent, report.tokens), (Some(3), Some(0)));
    operation.send_budget(tokens(2));
    for _ in 0..2 {
        assert!(matches!(operation.recv(), Ok(Some(_))));
    }
    support::eventually("the stall is counted", || node.metrics().budget_stalls == 1);
    assert_eq!(node.metrics().transport_stalls, 0);
    operation.cancel(CancelReason::UserCancelled, "enough");
}

#[test]
fn a_producer_waits_no_longer_than_it_said() {
    let (_node, client) = with_agent(|operation: &mut Operation| {
        operation.set_budget_patience(Duration::from_millis(200));
        await_budget(operation)?;
        count_for_tokens(operation)
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    operation.send_budget(tokens(1));
    let (frames, end) = all_of(&mut operation);
    assert_eq!(frames.len(), 1);
    assert_eq!(code_of(end), ErrorCode::BudgetExceeded);
}

#[test]
fn a_cancel_reaches_a_producer_that_waits_for_its_budget() {
    let (told, hears) = channel();
    let (_node, client) = with_agent(move |operation: &mut Operation| {
        operation.set_budget_patience(Duration::from_secs(60));
        await_budget(operation)?;
        let end = count_for_tokens(operation);
        told.send(end.clone()).expect("the test listens");
        end
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    operation.send_budget(tokens(0));
    while !matches!(operation.recv_frame(), Ok(Some(Received::Budget(_)))) {}
    operation.cancel(CancelReason::UserCancelled, "no more money");
    let end = hears
        .recv_timeout(support::PATIENCE)
        .expect("the agent heard of it");
    assert!(matches!(end, Err(Failure::Cancelled { .. })), "{end:?}");
}

#[test]
fn a_lower_snapshot_counts_at_once() {
    let (_node, client) = with_agent(|operation: &mut Operation| {
        await_budget(operation)?;
        operation.send("ready")?;
        await_budget(operation)?;
        count_for_tokens(operation)
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    operation.send_budget(tokens(1_000_000));
    assert!(matches!(operation.recv(), Ok(Some(_))));
    operation.send_budget(tokens(4));
    let (frames, end) = all_of(&mut operation);
    assert_eq!(frames.len(), 4);
    assert_eq!(code_of(end), ErrorCode::BudgetExceeded);
}

#[test]
fn the_deadline_ends_an_operation_whose_agent_sleeps() {
    let (_node, client) =
        with_agent(|operation: &mut Operation| operation.sleep(Duration::from_secs(60)));
    let mut operation = client.invoke("it", "", "").expect("invoked");
    let began = Instant::now();
    operation.send_budget(Budget {
        deadline: Some(UnixMillis(unix_now() + 300)),
        ..Budget::default()
    });
    let end = end_of(&mut operation);
    // Either end notices first: the responder says ERROR, the initiator CANCEL.
    let timed_out = matches!(
        end,
        Err(Failure::Failed {
            code: ErrorCode::DeadlineExceeded,
            ..
        } | Failure::Cancelled {
            reason: CancelReason::DeadlineExceeded,
            ..
        })
    );
    assert!(timed_out, "{end:?}");
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn the_local_policy_caps_what_a_peer_claims_by_peer_and_agent() {
    let certificate = certificate();
    let node = builder(&certificate)
        .cap(|peer, agent| match agent {
            "capped" => Cap {
                tokens: Some(if peer.starts_with("did:key:") { 5 } else { 0 }),
                ..Cap::default()
            },
            _ => Cap::default(),
        })
        .agent("capped", count_for_tokens)
        .expect("a free name")
        .agent("free", |operation: &mut Operation| {
            for _ in 0..10 {
                operation.charge(&Charge::tokens(1))?;
                operation.send("")?;
            }
            Ok(())
        })
        .expect("a free name")
        .listen(any_port())
        .expect("a port");
    let client = connect(&node, &certificate);
    let mut operation = client.invoke("capped", "", "").expect("invoked");
    // However often it claims more.
    for _ in 0..3 {
        operation.send_budget(tokens(1_000_000));
    }
    let (frames, end) = all_of(&mut operation);
    assert_eq!(frames.len(), 5);
    assert_eq!(code_of(end), ErrorCode::BudgetExceeded);
    let mut operation = client.invoke("free", "", "").expect("invoked");
    assert_eq!(collect(&mut operation).expect("no cap").len(), 10);
}

#[test]
fn the_local_policy_caps_money_and_time() {
    let certificate = certificate();
    let node = builder(&certificate)
        .cap(|_, _| Cap {
            cost_microunits: Some(100),
            currency: Currency::new(*b"EUR"),
            time: Some(Duration::from_millis(500)),
            ..Cap::default()
        })
        .agent("money", |operation: &mut Operation| {
            let euro = Currency::new(*b"EUR").expect("letters");
            loop {
                operation.charge(&Charge::default().with_cost(30, euro))?;
                operation.send("")?;
            }
        })
        .expect("a free name")
        .agent("time", |operation: &mut Operation| {
            operation.sleep(Duration::from_secs(60))
        })
        .expect("a free name")
        .listen(any_port())
        .expect("a port");
    let client = connect(&node, &certificate);
    let mut operation = client.invoke("money", "", "").expect("invoked");
    let (frames, end) = all_of(&mut operation);
    assert_eq!(frames.len(), 3);
    assert_eq!(code_of(end), ErrorCode::BudgetExceeded);
    let mut operation = client.invoke("time", "", "").expect("invoked");
    let end = end_of(&mut operation);
    assert_eq!(code_of(end), ErrorCode::DeadlineExceeded);
}

#[test]
fn money_in_two_currencies_is_never_converted() {
    let (_node, client) = with_agent(|operation: &mut Operation| {
        await_budget(operation)?;
        let dollar = Currency::USD;
        operation.charge(&Charge::default().with_cost(1, dollar))
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    operation.send_budget(cost(1_000_000, b"JPY"));
    let Err(Failure::Failed { code, detail, .. }) = end_of(&mut operation) else {
        panic!("no ERROR");
    };
    assert_eq!(code, ErrorCode::Refused);
    assert!(detail.contains("JPY") && detail.contains("USD"), "{detail}");
}

#[test]
fn an_accounting_rides_in_the_last_stream_and_in_an_error() {
    let (_node, client) = with_agent(|operation: &mut Operation| {
        await_budget(operation)?;
        // What it reads is charged as well as what it produces.
        operation.charge(&Charge::tokens(11 + 3))?;
        let accounting = operation.accounting(11, Duration::from_millis(250));
        let mut buffer = [0; MAX_LEN];
        let encoded = accounting.encode(&mut buffer).expect("it fits").to_vec();
        if operation.operation() == "fail" {
            return Err(Failure::Failed {
                code: ErrorCode::Application,
                detail: "as asked".into(),
                data: encoded,
            });
        }
        operation.send(encoded)
    });
    for what in ["fail", "finish"] {
        let mut operation = client.invoke("it", what, "").expect("invoked");
        operation.send_budget(tokens(20));
        let (frames, end) = all_of(&mut operation);
        let bytes = match end {
            Ok(()) => frames.concat(),
            Err(Failure::Failed { data, .. }) => data,
            other => panic!("unexpected {other:?}"),
        };
        let accounting = Accounting::decode(&bytes).expect("an accounting");
        assert_eq!(
            (
                accounting.tokens_in,
                accounting.tokens_out,
                accounting.duration_ms
            ),
            (11, 3, 250)
        );
    }
}

#[test]
fn a_producer_that_the_transport_stalls_is_not_counted_as_out_of_budget() {
    let (node, client) = with_agent(|operation: &mut Operation| {
        for _ in 0..200 {
            operation.charge(&Charge::tokens(1))?;
            operation.send(vec![0; 50_000])?;
        }
        Ok(())
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    operation.send_budget(tokens(1_000));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(collect(&mut operation).expect("all of it").len(), 200);
    support::eventually("the stall is counted", || {
        node.metrics().transport_stalls > 0
    });
    assert_eq!(node.metrics().budget_stalls, 0);
}
