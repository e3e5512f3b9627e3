//! Identities bound to their connection (`GAP-21`), and the relay that this stops.

mod support;

use aire_mio::{Client, ErrorCode, Identity, Node, Trust};
use aire_proto::capability::CHANNEL_BINDING;
use aire_proto::identity::{Ed25519Signer, Signer};
use aire_proto::wire::{FrameType, NONCE_LEN, domain_separator};
use support::raw::{GOODBYE, Raw, frame, hello_of, hello_with, number};
use support::{any_port, builder, certificate, connect, echo, identity, uri};

const BINDING: u8 = 0x80;
const VICTIM: [u8; 32] = [21; 32];
const BOUND: [&str; 2] = ["aire.did-method.key/1", CHANNEL_BINDING];

fn node() -> Node {
    let certificate = certificate();
    builder(&certificate).listen(any_port()).expect("a port")
}

/// What the owner of `seed` sends over a session that exports `exporter`.
fn binding(seed: [u8; 32], exporter: &[u8; 32]) -> Vec<u8> {
    let signer = Ed25519Signer::from_seed(seed);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = i64::try_from(since.expect("after 1970").as_millis()).expect("in range");
    let method = signer.method().as_bytes();
    let block = [
        &[1],
        &number(method.len() as u64)[..],
        method,
        &[9; NONCE_LEN],
        &millis.to_be_bytes(),
    ]
    .concat();
    let separator = domain_separator(FrameType::Vendor(BINDING));
    let signature = signer.sign(&[&separator[..], exporter, &block].concat());
    let payload = [&block[..], &number(64), &signature].concat();
    frame(BINDING, 0, &payload)
}

fn exporter_of(raw: &mut Raw) -> [u8; 32] {
    let tls: &mut boring::ssl::SslRef = raw.quic.as_mut();
    let mut value = [0; 32];
    tls.export_keying_material(&mut value, "EXPORTER-Channel-Binding", Some(&[]))
        .expect("the handshake is done");
    value
}

#[test]
fn a_relayed_hello_passes_for_its_sender_where_nothing_binds_it() {
    let node = node();
    // The victim said HELLO to somebody, who now shows it to our node.
    let mut relay = Raw::greet_with(node.address(), &hello_of(VICTIM));
    let answer = relay.ask(4, "echo", b"I am the victim");
    assert!(!answer.is_empty());
}

#[test]
fn a_relayed_hello_and_binding_are_worth_nothing_on_another_connection() {
    let node = node();
    let mut relay = Raw::greet_with(node.address(), &hello_with(VICTIM, &BOUND));
    // The victim bound itself to its own session with the relay, which exports something else.
    let of_another_session = binding(VICTIM, &[3; 32]);
    relay.say(0, &of_another_session, false);
    relay.is_told(ErrorCode::BadSignature);
}

#[test]
fn without_its_binding_a_relayed_hello_opens_nothing() {
    let node = node();
    let mut relay = Raw::greet_with(node.address(), &hello_with(VICTIM, &BOUND));
    relay.say(4, &support::raw::invoke(4, "echo", b"x"), true);
    relay.linger(std::time::Duration::from_millis(500));
    assert!(relay.frames(4).is_empty(), "operations wait for the proof");
}

#[test]
fn whoever_proves_its_own_connection_is_served() {
    let node = node();
    let mut raw = Raw::greet_with(node.address(), &hello_with(VICTIM, &BOUND));
    let exporter = exporter_of(&mut raw);
    raw.say(0, &binding(VICTIM, &exporter), false);
    let answer = raw.ask(4, "echo", b"it is me");
    assert!(!answer.is_empty());
}

#[test]
fn a_control_stream_that_ends_in_a_frame_behind_the_binding_is_malformed() {
    let node = node();
    let mut raw = Raw::greet_with(node.address(), &hello_with(VICTIM, &BOUND));
    let exporter = exporter_of(&mut raw);
    let goodbye = frame(GOODBYE, 0, b"farewell");
    let cut = &goodbye[..goodbye.len() - 1];
    // In one piece: the FIN is there before the binding is looked at.
    raw.say(0, &[&binding(VICTIM, &exporter), cut].concat(), true);
    raw.is_told(ErrorCode::MalformedFrame);
}

#[test]
fn two_of_our_own_are_bound_and_a_plain_peer_is_reported_as_not() {
    let certificate = certificate();
    let node = builder(&certificate).listen(any_port()).expect("a port");
    let client = connect(&node, &certificate);
    assert_eq!(client.is_channel_bound(), Some(true));
    assert_eq!(echo(&client, "bound"), "bound");

    let plain = identity().with_capabilities(&[]).expect("none is fine");
    let client = Client::builder(plain, Trust::pinned(certificate.pin()))
        .connect(&uri(node.address()))
        .expect("served as before");
    assert_eq!(client.is_channel_bound(), Some(false));
    assert_eq!(echo(&client, "plain"), "plain");
}

#[test]
fn a_node_can_require_the_binding_of_every_peer() {
    let certificate = certificate();
    let strict = identity().require_channel_binding().expect("room for it");
    let node = Node::builder(strict, certificate.clone())
        .listen(any_port())
        .expect("a port");
    let mut plain = Raw::greet_with(node.address(), &hello_of(VICTIM));
    plain.is_told(ErrorCode::MissingRequiredCapability);
    let ours: Identity = identity();
    let client = Client::builder(ours, Trust::pinned(certificate.pin()))
        .connect(&uri(node.address()))
        .expect("bound");
    assert_eq!(client.is_channel_bound(), Some(true));
}
