//! One operation, handed on to three workers on two nodes: a caller asks a coordinator, and pays
//! with one budget.
//!
//! First the budget is shared out. One worker needs less than its share, one breaks, and one is
//! slow and needs more: it gets what the others left, and when that is gone too, what the caller
//! adds. Then all three work without end, until the caller cancels, and every one of them stops.
//!
//! All nodes live in this process, and speak over real sockets. It ends with 0 only if everything
//! that it tells is true.

mod coordinator;
mod story;
mod worker;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aire_mio::{
    CancelReason, Certificate, Client, ErrorCode, Failure, Identity, Node, NodeBuilder, Operation,
    Pin, Received, Trust,
};
use aire_proto::accounting::Accounting;
use aire_proto::wire::Budget;

use coordinator::Coordinator;
use story::{Story, check, say};
use worker::Worker;

const CALLER: &str = "caller";

/// What the caller grants at first, and when that is spent.
const BUDGET: u64 = 50;
const TOP_UP: u64 = 10;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("delegation: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let story = Arc::new(Story::default());

    let (builder, pin) = node()?;
    let first = builder
        .agent("quick", Worker::new("quick", 9, 10, &story))?
        .agent("slow", Worker::new("slow", 40, 40, &story))?
        .listen(any_port())?;
    let to_first = connect(&first, pin)?;

    let (builder, pin) = node()?;
    let second = builder
        .agent("broken", Worker::new("broken", 5, 20, &story).breaks())?
        .listen(any_port())?;
    let to_second = connect(&second, pin)?;

    let (builder, pin) = node()?;
    let coordinator = Coordinator::new(to_first, to_second, &story);
    let root = builder
        .agent("coordinator", coordinator)?
        .listen(any_port())?;
    let caller = connect(&root, pin)?;

    println!("A budget of {BUDGET} tokens for three workers\n");
    share(&caller, &story)?;
    println!("\nThree workers without end, and a caller who has seen enough\n");
    cancel(&caller, &story)?;

    caller.close();
    root.stop();
    first.stop();
    second.stop();
    println!("\nAll of it is true.");
    Ok(())
}

fn node() -> Result<(NodeBuilder, Pin), aire_mio::Error> {
    let certificate = Certificate::self_signed(&[])?;
    let pin = certificate.pin();
    Ok((Node::builder(Identity::generate()?, certificate), pin))
}

fn any_port() -> std::net::SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn connect(node: &Node, pin: Pin) -> Result<Client, aire_mio::Error> {
    let uri = format!("aire://{}", node.address());
    Client::builder(Identity::generate()?, Trust::pinned(pin)).connect(&uri)
}

/// Invokes the coordinator with a budget of so many tokens.
fn begin(caller: &Client, what: &str, tokens: u64) -> Result<Operation, aire_mio::Error> {
    let mut operation = caller.invoke("coordinator", what, "")?;
    say(CALLER, "->", "INVOKE", &format!("coordinator/{what}"));
    allow(&mut operation, tokens);
    Ok(operation)
}

fn allow(operation: &mut Operation, tokens: u64) {
    say(CALLER, "->", "BUDGET", &format!("{tokens} tokens"));
    operation.send_budget(Budget {
        tokens: Some(tokens),
        ..Budget::default()
    });
}

fn share(caller: &Client, story: &Story) -> Result<(), Box<dyn Error>> {
    story.allow(BUDGET);
    let mut operation = begin(caller, "work", BUDGET)?;
    let mut delegated = 0;
    let mut top_ups = 0;
    let mut accounting = None;
    while let Some(received) = operation.recv_frame()? {
        match received {
            Received::Stream(payload) => match Accounting::decode(&payload) {
                None => say(CALLER, "<-", "STREAM", &String::from_utf8_lossy(&payload)),
                last => accounting = last,
            },
            Received::Delegated { target, .. } => {
                delegated += 1;
                say(CALLER, "<-", "DELEGATE", &format!("to {target}"));
            }
            // Nothing is left, neither with the coordinator nor with its workers.
            Received::Budget(report) => {
                let spent = report.tokens_spent.unwrap_or_default();
                let left = report.tokens.unwrap_or_default();
                say(
                    CALLER,
                    "<-",
                    "BUDGET",
                    &format!("{spent} spent, {left} left"),
                );
                top_ups += 1;
                story.allow(spent + TOP_UP);
                allow(&mut operation, TOP_UP);
            }
            _ => {}
        }
    }
    say(CALLER, "<-", "FIN", "complete");

    let accounted = accounting.map(|it| it.spent().tokens);
    let (spent, allowed) = (story.spent(), story.allowed());
    println!("\n{spent} tokens were spent, of {allowed}; {accounted:?} are accounted for");
    check(delegated == 3, "the caller was told of three workers")?;
    check(top_ups == 1, "one top-up was asked for")?;
    check(
        allowed == BUDGET + TOP_UP,
        "all of the first budget was spent before",
    )?;
    check(spent == 9 + 5 + 40, "each worker did what was to be done")?;
    check(
        accounted == Some(spent),
        "the accounting is that of the workers",
    )?;
    check(
        !story.was_overspent(),
        "the tree never passed its root's budget",
    )?;
    let broken = |end: &Result<(), Failure>| match end {
        Err(Failure::Failed { code, .. }) => *code == ErrorCode::Application,
        _ => false,
    };
    let ends = story.ends();
    let as_told = matches!(&ends[..], [Ok(()), Ok(()), end] if broken(end));
    check(as_told, "two came to a good end, and one broke")?;
    Ok(())
}

fn cancel(caller: &Client, story: &Story) -> Result<(), Box<dyn Error>> {
    story.allow(story.spent() + 3000);
    let mut operation = begin(caller, "forever", 3000)?;
    for _ in 0..12 {
        let payload = operation.recv()?.ok_or("the workers ended by themselves")?;
        say(CALLER, "<-", "STREAM", &String::from_utf8_lossy(&payload));
    }
    say(CALLER, "->", "CANCEL", "USER_CANCELLED \"enough\"");
    operation.cancel(CancelReason::UserCancelled, "enough");
    let end = loop {
        match operation.recv() {
            Ok(Some(_)) => {}
            Ok(None) => return Err("a cancelled operation ended as if it were complete".into()),
            Err(end) => break end,
        }
    };
    say(CALLER, "<-", "ERROR", &end.to_string());

    let reasons = story.cancelled(3, Duration::from_secs(5));
    check(reasons.len() == 3, "every worker was cancelled")?;
    let upstream = |reason: &CancelReason| *reason == CancelReason::UpstreamCancelled;
    check(reasons.iter().all(upstream), "and told UPSTREAM_CANCELLED")?;
    check(!story.was_overspent(), "within the budget")?;
    Ok(())
}
