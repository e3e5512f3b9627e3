//! Operations handed on to other nodes over real sockets (`CAN-8`, `GAP-7`), and the budget that
//! flows down to them.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aire_mio::{
    Branch, CancelReason, Certificate, Client, ErrorCode, Failure, Node, NodeBuilder, OnFailure,
    Operation, Received,
};
use aire_proto::budget::Charge;
use aire_proto::delegation::Share;
use aire_proto::wire::Budget;
use support::{any_port, builder, certificate, client, collect, connect, uri};

fn tokens(tokens: u64) -> Budget {
    Budget {
        tokens: Some(tokens),
        ..Budget::default()
    }
}

fn code_of(failure: &Failure) -> ErrorCode {
    match failure {
        Failure::Failed { code, .. } => *code,
        other => panic!("no ERROR: {other:?}"),
    }
}

/// What the workers of a test have spent, all together.
#[derive(Clone, Default)]
struct Spent(Arc<AtomicU64>);

impl Spent {
    fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A node whose workers answer for tokens. `work` wants as many tokens as its operation is named;
/// the library accounts for them.
fn workers(certificate: &Certificate, spent: &Spent, cancels: &Sender<Failure>) -> NodeBuilder {
    let (spends, cancels) = (spent.clone(), Mutex::new(cancels.clone()));
    builder(certificate)
        .agent("work", move |operation: &mut Operation| {
            operation.set_budget_patience(Duration::from_secs(5));
            let wanted = operation.operation().parse().unwrap_or(u64::MAX);
            for _ in 0..wanted {
                operation.charge(&Charge::tokens(1))?;
                spends.0.fetch_add(1, Ordering::SeqCst);
                let line = operation.args().to_vec();
                operation.send(line)?;
            }
            Ok(())
        })
        .expect("a free name")
        .agent("wait", move |operation: &mut Operation| {
            // A cancel may be here already: that is told too.
            let sent = operation.send("waiting");
            let end = sent.and_then(|()| operation.sleep(Duration::from_secs(60)));
            let failure = end.clone().expect_err("somebody cancels");
            let told = cancels.lock().expect("nobody panics with it");
            told.send(failure).expect("the test listens");
            end
        })
        .expect("a free name")
        .agent("fail", |_: &mut Operation| {
            Err(Failure::application("out of ideas"))
        })
        .expect("a free name")
}

/// A coordinator whose agent `it` is `agent`, with a client of `worker`; and a client of the
/// coordinator.
fn coordinator(
    certificate: &Certificate,
    worker: &Node,
    agent: impl Fn(&mut Operation, &Client) -> Result<(), Failure> + Send + Sync + 'static,
) -> (Node, Client) {
    let down = connect(worker, certificate);
    let node = builder(certificate)
        .agent("it", move |operation: &mut Operation| {
            agent(operation, &down)
        })
        .expect("a free name")
        .listen(any_port())
        .expect("a port");
    let client = connect(&node, certificate);
    (node, client)
}

fn branch<'a>(to: &'a Client, agent: &'a str, operation: &'a str, args: &str) -> Branch<'a> {
    Branch {
        to,
        agent,
        operation,
        args: args.into(),
        share: Share::Part { of: 1 },
    }
}

struct Stage {
    certificate: Certificate,
    worker: Node,
    spent: Spent,
    cancels: std::sync::mpsc::Receiver<Failure>,
}

fn stage() -> Stage {
    let certificate = certificate();
    let spent = Spent::default();
    let (told, cancels) = channel();
    let worker = workers(&certificate, &spent, &told)
        .listen(any_port())
        .expect("a port");
    Stage {
        certificate,
        worker,
        spent,
        cancels,
    }
}

#[test]
fn a_forwarded_operation_relays_what_comes_and_tells_where_to() {
    let stage = stage();
    let (node, client) = coordinator(&stage.certificate, &stage.worker, |operation, down| {
        operation.forward(down, "work", "3", "line")
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    let mut lines = 0;
    let mut delegated = None;
    while let Some(received) = operation.recv_frame().expect("it ends well") {
        match received {
            Received::Stream(line) => {
                assert_eq!(line, b"line");
                lines += 1;
            }
            Received::Delegated {
                target,
                target_did,
                sub_op,
            } => delegated = Some((target, target_did, sub_op)),
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(lines, 3, "and no accounting among them");
    let (target, target_did, sub_op) = delegated.expect("DELEGATE came");
    assert_eq!(target, format!("{}/work/3", uri(stage.worker.address())));
    assert_eq!(target_did, stage.worker.did());
    assert_eq!(sub_op, 4);
    assert_eq!(node.metrics().delegated, 1);
}

#[test]
fn a_branch_that_fails_comes_back_as_delegate_failed() {
    let stage = stage();
    let (_node, client) = coordinator(&stage.certificate, &stage.worker, |operation, down| {
        operation.forward(down, "fail", "", "")
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    let failure = collect(&mut operation).expect_err("it fails");
    assert_eq!(code_of(&failure), ErrorCode::DelegateFailed);
    assert!(failure.to_string().contains("out of ideas"), "{failure}");
}

#[test]
fn a_cancel_reaches_every_branch_as_upstream_cancelled() {
    let stage = stage();
    let (_node, client) = coordinator(&stage.certificate, &stage.worker, |operation, down| {
        let branches = (0..3).map(|_| branch(down, "wait", "", "")).collect();
        operation.fan_out(branches, OnFailure::GoOn).map(|_| ())
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    for _ in 0..3 {
        assert!(matches!(operation.recv(), Ok(Some(_))));
    }
    let began = Instant::now();
    operation.cancel(CancelReason::UserCancelled, "enough");
    for _ in 0..3 {
        let failure = stage
            .cancels
            .recv_timeout(support::PATIENCE)
            .expect("a worker hears");
        assert!(
            matches!(
                failure,
                Failure::Cancelled {
                    reason: CancelReason::UpstreamCancelled,
                    ..
                }
            ),
            "{failure:?}"
        );
    }
    assert!(began.elapsed() < Duration::from_secs(5), "CAN-5's time");
    // The coordinator answers with ERROR CANCELLED.
    let failure = support::end_of(&mut operation).expect_err("it is cancelled");
    assert_eq!(code_of(&failure), ErrorCode::Cancelled);
}

#[test]
fn a_cancel_goes_down_a_chain_of_delegators() {
    let stage = stage();
    let (middle, _) = coordinator(&stage.certificate, &stage.worker, |operation, down| {
        operation.forward(down, "wait", "", "")
    });
    let (_top, client) = coordinator(&stage.certificate, &middle, |operation, down| {
        operation.forward(down, "it", "", "")
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert!(matches!(operation.recv(), Ok(Some(_))));
    operation.cancel(CancelReason::UserCancelled, "");
    let failure = stage.cancels.recv_timeout(support::PATIENCE);
    assert!(matches!(failure, Ok(Failure::Cancelled { .. })));
}

#[test]
fn a_lost_initiator_cancels_the_branches_too() {
    let stage = stage();
    let (_node, client) = coordinator(&stage.certificate, &stage.worker, |operation, down| {
        operation.forward(down, "wait", "", "")
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert!(matches!(operation.recv(), Ok(Some(_))));
    // Dropped in the middle.
    drop(operation);
    drop(client);
    let failure = stage.cancels.recv_timeout(support::PATIENCE);
    assert!(matches!(failure, Ok(Failure::Cancelled { .. })));
}

#[test]
fn a_slow_branch_holds_up_no_other() {
    let stage = stage();
    let (_node, client) = coordinator(&stage.certificate, &stage.worker, |operation, down| {
        let slow = branch(down, "wait", "", "");
        let quick = branch(down, "work", "5", "quick");
        operation
            .fan_out(vec![slow, quick], OnFailure::GoOn)
            .map(|_| ())
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    let mut quick = 0;
    while quick < 5 {
        let frame = operation.recv().expect("live").expect("more");
        quick += usize::from(frame == b"quick");
    }
    operation.cancel(CancelReason::UserCancelled, "");
}

#[test]
fn one_failing_branch_cancels_the_others_unless_they_are_to_go_on() {
    let stage = stage();
    for (on_failure, code) in [
        (OnFailure::CancelOthers, Some(ErrorCode::DelegateFailed)),
        (OnFailure::GoOn, None),
    ] {
        let other = if code.is_some() { "wait" } else { "work" };
        let (_node, client) =
            coordinator(&stage.certificate, &stage.worker, move |operation, down| {
                let branches = vec![branch(down, "fail", "", ""), branch(down, other, "2", "x")];
                let ends = operation.fan_out(branches, on_failure)?;
                assert!(ends[0].is_err() && ends[1].is_ok());
                Ok(())
            });
        let mut operation = client.invoke("it", "", "").expect("invoked");
        let end = collect(&mut operation);
        assert_eq!(end.as_ref().err().map(code_of), code, "{end:?}");
        if code.is_some() {
            let failure = stage.cancels.recv_timeout(support::PATIENCE);
            assert!(matches!(failure, Ok(Failure::Cancelled { .. })));
        }
    }
}

#[test]
fn what_a_tree_spends_stays_within_the_budget_of_its_root() {
    let stage = stage();
    let (_node, client) = coordinator(&stage.certificate, &stage.worker, |operation, down| {
        operation.set_budget_patience(Duration::ZERO);
        while !matches!(operation.recv_frame()?, Some(Received::Budget(_))) {}
        let share = |of| Share::Part { of };
        // Three greedy ones: a third each, of what is left when each begins.
        let branches = (1..=3).rev().map(|of| Branch {
            share: share(of),
            ..branch(down, "work", "", "x")
        });
        operation
            .fan_out(branches.collect(), OnFailure::GoOn)
            .map(|_| ())
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    operation.send_budget(tokens(30));
    let frames = collect(&mut operation).expect("the branches' ends are their own");
    assert_eq!(frames.len(), 30);
    assert_eq!(stage.spent.get(), 30);
}

#[test]
fn what_a_branch_leaves_of_its_share_goes_to_the_others() {
    let stage = stage();
    let (_node, client) = coordinator(&stage.certificate, &stage.worker, |operation, down| {
        while !matches!(operation.recv_frame()?, Some(Received::Budget(_))) {}
        let modest = Branch {
            share: Share::Part { of: 2 },
            ..branch(down, "work", "2", "modest")
        };
        let greedy = branch(down, "work", "18", "greedy");
        operation
            .fan_out(vec![modest, greedy], OnFailure::CancelOthers)
            .map(|_| ())
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    operation.send_budget(tokens(20));
    let frames = collect(&mut operation).expect("both have enough");
    assert_eq!(frames.len(), 20);
    assert_eq!(stage.spent.get(), 20);
}

#[test]
fn a_top_up_of_the_root_reaches_a_leaf_that_waits() {
    let stage = stage();
    let (middle, _) = coordinator(&stage.certificate, &stage.worker, |operation, down| {
        operation.set_budget_patience(Duration::from_secs(20));
        while !matches!(operation.recv_frame()?, Some(Received::Budget(_))) {}
        operation.forward(down, "work", "10", "x")
    });
    let (_top, client) = coordinator(&stage.certificate, &middle, |operation, down| {
        operation.set_budget_patience(Duration::from_secs(20));
        while !matches!(operation.recv_frame()?, Some(Received::Budget(_))) {}
        operation.forward(down, "it", "", "")
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    operation.send_budget(tokens(4));
    // The leaf is out of budget, so its parents are, so the root is told: not later than the last
    // of what was sent.
    let (mut frames, mut reported) = (0, false);
    while frames < 4 || !reported {
        match operation.recv_frame().expect("it waits") {
            Some(Received::Budget(report)) => reported |= report.is_report(),
            Some(Received::Stream(_)) => frames += 1,
            Some(_) => {}
            None => panic!("it ends without a budget"),
        }
    }
    assert_eq!(stage.spent.get(), 4);
    operation.send_budget(tokens(6));
    assert_eq!(collect(&mut operation).expect("enough now").len(), 6);
    assert_eq!(stage.spent.get(), 10);
}

#[test]
fn a_circle_is_refused_before_it_closes() {
    let certificate = certificate();
    // A forwards to B, and B to A.
    let back: Arc<Mutex<Option<Client>>> = Arc::default();
    let to_a = back.clone();
    let b = builder(&certificate)
        .agent("it", move |operation: &mut Operation| {
            let to_a = to_a.lock().expect("nobody panics with it");
            operation.forward(to_a.as_ref().expect("set"), "it", "", "")
        })
        .expect("a free name")
        .listen(any_port())
        .expect("a port");
    let (a, client) = coordinator(&certificate, &b, |operation, down| {
        operation.forward(down, "it", "", "")
    });
    *back.lock().expect("nobody panics with it") = Some(connect(&a, &certificate));
    let mut operation = client.invoke("it", "", "").expect("invoked");
    let failure = collect(&mut operation).expect_err("it goes round");
    assert_eq!(code_of(&failure), ErrorCode::DelegateFailed);
    assert!(
        failure.to_string().contains("on the way here already"),
        "{failure}"
    );
    assert_eq!(b.metrics().circles_refused, 1);
    *back.lock().expect("nobody panics with it") = None;
}

#[test]
fn an_operation_from_too_far_is_refused() {
    let stage = stage();
    let certificate = &stage.certificate;
    let near = workers(certificate, &stage.spent, &channel().0)
        .max_delegators(1)
        .listen(any_port())
        .expect("a port");
    let (middle, direct) = coordinator(certificate, &near, |operation, down| {
        operation.forward(down, "work", "1", "x")
    });
    let mut operation = direct.invoke("it", "", "").expect("invoked");
    assert_eq!(collect(&mut operation).expect("one delegator").len(), 1);
    let (_top, client) = coordinator(certificate, &middle, |operation, down| {
        operation.forward(down, "it", "", "")
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    let failure = collect(&mut operation).expect_err("two delegators");
    assert_eq!(code_of(&failure), ErrorCode::DelegateFailed);
    assert!(failure.to_string().contains("too often"), "{failure}");
}

#[test]
fn a_node_that_cannot_be_reached_is_a_failed_delegation() {
    let stage = stage();
    let certificate = certificate();
    let gone = builder(&certificate).listen(any_port()).expect("a port");
    let to_gone = client(&certificate)
        .invoke_timeout(Duration::from_millis(500))
        .connect(&uri(gone.address()))
        .expect("still there");
    gone.stop();
    let to_gone = Mutex::new(to_gone);
    let (_node, client) = coordinator(&stage.certificate, &stage.worker, move |operation, _| {
        let to_gone = to_gone.lock().expect("nobody panics with it");
        operation.forward(&to_gone, "echo", "", "")
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    let failure = collect(&mut operation).expect_err("nobody there");
    assert_eq!(code_of(&failure), ErrorCode::DelegateFailed);
}
