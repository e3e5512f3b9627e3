//! Frames of the second half that break the rules, on real connections: each costs its sender that
//! operation, with the right code, and nothing else.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aire_mio::driver::Event;
use aire_mio::{Client, ErrorCode, Failure, Node, Operation, Trust};
use aire_proto::Event as E;
use support::hands::Hands;
use support::raw::{BUDGET, CANCEL, Raw, STREAM, frame, invoke};
use support::{any_port, builder, certificate, client, collect, identity, short_drain, uri};

fn node() -> Node {
    builder(&certificate())
        .agent("wait", |operation: &mut Operation| {
            operation.sleep(Duration::from_secs(600))
        })
        .expect("a free name")
        .settings(short_drain())
        .listen(any_port())
        .expect("a port")
}

/// The operation ends with `code`, and another one is served as ever.
fn costs_its_operation(what: &str, frame_type: u8, payload: &[u8], code: ErrorCode) {
    let node = node();
    let mut raw = Raw::greet(node.address());
    raw.say(4, &invoke(4, "wait", b""), false);
    raw.say(4, &frame(frame_type, 4, payload), false);
    raw.until(what, |raw| raw.finished(4));
    assert_eq!(raw.errors(4), [code], "{what}");
    let answer = raw.ask(8, "echo", b"still here");
    let served = answer.iter().any(|frame| frame.frame_type == STREAM);
    assert!(served, "{what}");
}

#[test]
fn a_malformed_budget_costs_its_operation() {
    for (what, payload) in [
        ("a field twice", &[2, 1, 1, 5, 1, 1, 6][..]),
        ("a report's field twice", &[2, 0x81, 1, 5, 0x81, 1, 5]),
        ("no entry", &[0]),
        ("nothing at all", &[]),
        ("9 bytes of tokens", &[1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("a currency of two letters", &[2, 2, 1, 5, 3, 2, b'E', b'U']),
        (
            "a currency of digits",
            &[2, 2, 1, 5, 3, 3, b'1', b'2', b'3'],
        ),
        ("a deadline of 7 bytes", &[1, 4, 7, 0, 0, 0, 0, 0, 0, 0]),
        ("a value beyond the end", &[1, 1, 8, 1]),
    ] {
        costs_its_operation(what, BUDGET, payload, ErrorCode::MalformedFrame);
    }
}

#[test]
fn a_malformed_cancel_costs_its_operation() {
    for (what, payload) in [
        ("a detail that is no text", &[0, 2, 0xC3, 0x28][..]),
        ("a detail beyond the end", &[0, 5, b'x']),
        ("bytes that are no signature block", &[0, 0, 1]),
    ] {
        costs_its_operation(what, CANCEL, payload, ErrorCode::MalformedFrame);
    }
}

/// A node that answers every operation by saying that it hands it on to `target`, where it calls
/// itself or somebody else.
fn delegator(
    target: impl Fn(&str) -> String + Send + 'static,
    itself: bool,
    stop: &'static AtomicBool,
) -> (Client, std::thread::JoinHandle<()>) {
    let certificate = certificate();
    let mut server = Hands::server(&certificate, short_drain());
    let address = uri(server.driver.local_address());
    let own_target = target(&address);
    let client = client(&certificate);
    let turning = std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            server.turn_with(Duration::from_millis(5), &mut |_, event, calls| {
                if let Event::Protocol(E::Invoked { stream, .. }) = event {
                    let did = if itself { OWN.get() } else { None };
                    let did = did.cloned().unwrap_or_default();
                    let told = calls.send_delegate(*stream, own_target.clone(), did, 4);
                    assert!(told.is_ok() && calls.finish(*stream).is_ok());
                }
            });
        }
    });
    let client = client.connect(&address).expect("it answers");
    if itself {
        OWN.set(client.peer().expect("connected")).expect("once");
    }
    (client, turning)
}

/// The DID of the node that delegates to itself.
static OWN: std::sync::OnceLock<String> = std::sync::OnceLock::new();

#[test]
fn a_delegation_to_oneself_is_a_failed_one() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let (client, turning) = delegator(|address| format!("{address}/it"), true, &STOP);
    let mut operation = client.invoke("it", "", "").expect("invoked");
    let failure = collect(&mut operation).expect_err("it goes round in a circle");
    assert!(
        matches!(
            failure,
            Failure::Failed {
                code: ErrorCode::DelegateFailed,
                ..
            }
        ),
        "{failure:?}"
    );
    // Another agent of the same node is another matter.
    let mut operation = client.invoke("other", "", "").expect("invoked");
    assert!(collect(&mut operation).is_ok());
    STOP.store(true, Ordering::Relaxed);
    turning.join().expect("it only turned");
}

#[test]
fn a_delegation_to_a_target_that_is_no_uri_is_passed_on_as_it_is() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let (client, turning) = delegator(|_| "nowhere in particular".into(), false, &STOP);
    let mut operation = client.invoke("it", "", "").expect("invoked");
    let told = operation.recv_frame().expect("live");
    assert!(
        matches!(&told, Some(aire_mio::Received::Delegated { target, .. })
            if target == "nowhere in particular"),
        "{told:?}"
    );
    STOP.store(true, Ordering::Relaxed);
    turning.join().expect("it only turned");
}

#[test]
fn a_path_that_does_not_parse_costs_its_operation() {
    let node = node();
    let capabilities = ["aire.did-method.key/1", aire_proto::capability::DELEGATION];
    let hello = support::raw::hello_with([5; 32], &capabilities);
    let mut raw = Raw::greet_with(node.address(), &hello);
    raw.say(4, &frame(0x81, 4, &[1, 200]), false);
    raw.until("it is refused", |raw| raw.finished(4));
    assert_eq!(raw.errors(4), [ErrorCode::MalformedFrame]);
    // Seventeen delegators are too many for a path.
    let hop = [&[1, b'd'][..], &[1, b'a']].concat();
    let long = [vec![17], hop.repeat(17)].concat();
    raw.say(8, &frame(0x81, 8, &long), false);
    raw.until("it is refused", |raw| raw.finished(8));
    assert_eq!(raw.errors(8), [ErrorCode::MalformedFrame]);
    // Nine are more than a node takes by default.
    let nine = [vec![9], hop.repeat(9)].concat();
    raw.say(12, &frame(0x81, 12, &nine), false);
    raw.say(12, &invoke(12, "echo", b"x"), true);
    raw.until("it is refused", |raw| raw.finished(12));
    assert_eq!(raw.errors(12), [ErrorCode::Refused]);
    let answer = raw.ask(16, "echo", b"still here");
    assert!(answer.iter().any(|frame| frame.frame_type == STREAM));
}

#[test]
fn whoever_knows_no_delegation_may_send_the_paths_frame_for_something_else() {
    let certificate = certificate();
    let node = builder(&certificate).listen(any_port()).expect("a port");
    let mut raw = Raw::greet(node.address());
    raw.say(4, &frame(0x81, 4, b"a vendor's own"), false);
    let answer = raw.ask(4, "echo", b"served");
    assert!(answer.iter().any(|frame| frame.frame_type == STREAM));
    let plain = identity().with_capabilities(&[]).expect("none is fine");
    let client = Client::builder(plain, Trust::pinned(certificate.pin()))
        .connect(&uri(node.address()))
        .expect("served as before");
    assert_eq!(support::echo(&client, "plain"), "plain");
}
