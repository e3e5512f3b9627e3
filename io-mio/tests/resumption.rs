//! Operations that outlive their connection: nothing is lost, nothing comes twice, and the work
//! goes on meanwhile.

mod support;

use std::sync::mpsc;
use std::time::Duration;

use aire_mio::{CancelReason, ErrorCode, Failure, Operation, Resumable};
use support::stage::{Gate, Stage, next, ticket};
use support::{PATIENCE, collect, echo, end_of, eventually};

/// Sends the numbers up to the one it is asked for, a step each.
fn counting(gate: &Gate) -> impl Fn(&mut Operation) -> Result<(), Failure> + Send + Sync + 'static {
    let gate = gate.clone();
    move |operation| {
        let text = String::from_utf8(operation.args().to_vec()).expect("text");
        for n in 1..=text.parse::<u64>().expect("a number") {
            gate.step();
            operation.send(n.to_string())?;
        }
        Ok(())
    }
}

fn numbers(operation: &mut Operation) -> Vec<u64> {
    let frames = collect(operation).expect("it ends well");
    let text = frames.into_iter().map(|it| String::from_utf8(it).expect("text"));
    text.map(|it| it.parse().expect("a number")).collect()
}

#[test]
fn after_a_cut_every_frame_comes_once_and_in_order() {
    let gate = Gate::default();
    let stage = Stage::new(Resumable::default(), counting(&gate));
    let client = stage.connect();
    let mut operation = client.invoke("it", "", "100").expect("invoked");
    gate.open(10);
    for n in 1..=10 {
        assert_eq!(next(&mut operation), n.to_string());
    }
    stage.cut(|| gate.open(30));
    gate.open(60);
    assert_eq!(numbers(&mut operation), (11..=100).collect::<Vec<_>>());
    assert_eq!(client.metrics().resumed, 1);
    assert_eq!(stage.node.metrics().resumed, 1);
    assert_eq!(stage.node.metrics().detached, 1);
    assert_eq!(echo(&client, "still here"), "still here");
}
