//! Nodes and clients that are a `did:web`, or look for one, over real QUIC.

use std::time::Duration;

use aire_mio::publish::Publication;
use aire_mio::{
    Client, ClientBuilder, Closed, Error, ErrorCode, Identity, Node, NodeBuilder, Operation,
    ResolveError, Trust,
};
use aire_proto::connection::CloseReason;
use aire_proto::handshake::HandshakeError;
use aire_proto::wire::Capability;

use super::world::{DID, DOCUMENT, World, identity, publication};
use crate::support::{any_port, echo, eventually, uri};

const HANDLE: &str = "@me@agents.test";

/// A node to be, with the agent `echo`, that is `identity`.
fn node(world: &World, identity: &Identity) -> NodeBuilder {
    Node::builder(identity.clone(), world.certificate.clone())
        .agent("echo", |operation: &mut Operation| {
            operation.send(operation.args().to_vec())
        })
        .expect("a free name")
}

fn listen(builder: NodeBuilder) -> Node {
    builder.listen(any_port()).expect("a free port")
}

fn client(world: &World, identity: &Identity) -> ClientBuilder {
    Client::builder(identity.clone(), Trust::pinned(world.certificate.pin()))
        .connect_timeout(Duration::from_secs(60))
}

fn did_key() -> Identity {
    Identity::generate().expect("an identity")
}

#[test]
fn peers_that_are_a_did_web_know_each_other_by_their_documents() {
    let world = World::new("both-ways");
    let (serving, calling) = (identity(DID), identity("did:web:other.test:me"));
    world.publish("agents.test", &publication(&serving), "max-age=60");
    world.publish("other.test", &publication(&calling), "max-age=60");
    let node = listen(node(&world, &serving).resolver(world.resolver()));
    let client = client(&world, &calling)
        .resolver(world.resolver())
        .connect(&uri(node.address()))
        .expect("they know each other");
    assert_eq!(client.peer().as_deref(), Some(DID));
    eventually("the node knows it too", || node.peers() == [calling.did()]);
    assert_eq!(client.is_channel_bound(), Some(true));
    assert_eq!(echo(&client, "hello"), "hello");
}

#[test]
fn one_who_signs_with_another_key_than_its_document_has_is_refused() {
    let world = World::new("other-key");
    let (real, forged) = (identity(DID), identity(DID));
    world.publish("agents.test", &publication(&real), "max-age=60");
    let node = listen(node(&world, &did_key()).resolver(world.resolver()));
    let refused = client(&world, &forged).connect(&uri(node.address()));
    closed_with(refused, ErrorCode::BadSignature);
}

/// The node refused the client with this code.
fn closed_with(connected: Result<Client, Error>, code: ErrorCode) {
    let error = connected.expect_err("it is refused");
    let told = CloseReason::Peer(code);
    assert!(
        matches!(&error, Error::Closed(Closed::Protocol(reason)) if *reason == told),
        "{error:?}"
    );
}

#[test]
fn sig_2_one_whose_document_cannot_be_had_is_unresolvable() {
    let world = World::new("unresolvable");
    let node = listen(node(&world, &did_key()).resolver(world.resolver()));
    for did in [DID, "did:web:nowhere.test", "did:plc:abc"] {
        let refused = client(&world, &identity(did)).connect(&uri(node.address()));
        closed_with(refused, ErrorCode::UnresolvableDid);
    }
    // And it serves on.
    let client = client(&world, &did_key()).connect(&uri(node.address()));
    assert_eq!(echo(&client.expect("it is let in"), "hello"), "hello");
}

#[test]
fn without_a_resolver_only_a_did_key_is_let_in() {
    let world = World::new("without");
    world.publish("agents.test", &publication(&identity(DID)), "max-age=60");
    let node = listen(node(&world, &did_key()));
    let refused = client(&world, &identity(DID)).connect(&uri(node.address()));
    closed_with(refused, ErrorCode::UnresolvableDid);
    assert_eq!(world.asked("agents.test", DOCUMENT), 0);
}

#[test]
fn a_node_with_a_resolver_advertises_did_web_and_one_without_does_not() {
    let world = World::new("advertised");
    let required = Capability {
        name: "aire.did-method.web/1",
        version: 1,
        required: true,
    };
    let asking = did_key()
        .with_capabilities(&[required])
        .expect("a capability");
    let with = listen(node(&world, &did_key()).resolver(world.resolver()));
    let without = listen(node(&world, &did_key()));
    let client = client(&world, &asking);
    assert!(client.clone().connect(&uri(with.address())).is_ok());
    let error = client.connect(&uri(without.address()));
    let error = error.expect_err("it lacks what is required").to_string();
    assert!(error.contains("capability"), "{error}");
}

#[test]
fn a_client_is_told_why_the_nodes_key_cannot_be_had() {
    let world = World::new("why");
    let node = listen(node(&world, &identity(DID)));
    let connected = client(&world, &did_key())
        .resolver(world.resolver())
        .connect(&uri(node.address()));
    let error = connected.expect_err("there is no document");
    assert!(
        matches!(
            &error,
            Error::Unresolved(ResolveError::Status { status: 404, .. })
        ),
        "{error:?}"
    );
    // Without a resolver it is refused all the same.
    let connected = client(&world, &did_key()).connect(&uri(node.address()));
    let error = connected.expect_err("nobody can tell its key");
    assert!(
        matches!(
            &error,
            Error::Closed(Closed::Protocol(CloseReason::Handshake(
                HandshakeError::UnresolvableDid
            )))
        ),
        "{error:?}"
    );
}

#[test]
fn the_event_loop_serves_others_while_a_key_is_fetched() {
    let world = World::new("meanwhile");
    let calling = identity(DID);
    world.publish("agents.test", &publication(&calling), "max-age=60");
    let mut settings = aire_mio::Settings::default();
    settings.protocol.handshake_timeout = Duration::from_secs(60);
    let node = node(&world, &did_key()).settings(settings.clone());
    let node = listen(node.resolver(world.resolver()));
    let address = uri(node.address());
    world.shut(true);
    std::thread::scope(|scope| {
        let slow = client(&world, &calling).settings(settings);
        let slow = scope.spawn(|| slow.connect(&address));
        eventually("its document is asked for", || world.waiting() == 1);
        let other = client(&world, &did_key()).connect(&address);
        assert_eq!(echo(&other.expect("it is let in"), "hello"), "hello");
        assert!(!slow.is_finished());
        world.shut(false);
        let slow = slow.join().expect("no panic").expect("it is let in too");
        assert_eq!(echo(&slow, "late"), "late");
    });
}

#[test]
fn a_key_that_does_not_come_is_waited_for_no_longer_than_a_handshake() {
    let world = World::new("never");
    let calling = identity(DID);
    world.publish("agents.test", &publication(&calling), "max-age=60");
    let mut settings = aire_mio::Settings::default();
    settings.protocol.handshake_timeout = Duration::from_secs(2);
    let node = node(&world, &did_key()).settings(settings);
    let node = listen(node.resolver(world.resolver()));
    let address = uri(node.address());
    world.shut(true);
    let connected = client(&world, &calling).connect(&address);
    let error = connected.expect_err("the key never comes");
    assert!(matches!(error, Error::Closed(_)), "{error:?}");
    // The key that comes after all is nobody's any more, and harms nobody.
    world.shut(false);
    eventually("the document is known", || {
        let connected = client(&world, &calling).connect(&address);
        connected.is_ok_and(|client| echo(&client, "again") == "again")
    });
}

/// What a node that serves at `address` publishes.
fn published(identity: &Identity, addresses: &[String]) -> Publication {
    let published = publication(identity).handle(HANDLE).expect("a handle");
    addresses.iter().fold(published, |published, address| {
        published
            .endpoint(address, &[], Some("echo"))
            .expect("an endpoint")
    })
}

#[test]
fn a_handle_or_a_did_is_all_that_a_client_needs() {
    let world = World::new("handle");
    let serving = identity(DID);
    let node = listen(node(&world, &serving));
    world.publish(
        "agents.test",
        &published(&serving, &[uri(node.address())]),
        "",
    );
    world.txt("_aire.me.agents.test", &["did=did:web:agents.test"]);
    let builder = client(&world, &did_key()).resolver(world.resolver());
    for target in [HANDLE, "me@agents.test", "aire://me@agents.test", DID] {
        let client = builder.clone().connect(target).expect(target);
        assert_eq!(client.peer().as_deref(), Some(DID));
        assert_eq!(echo(&client, "hello"), "hello");
    }
    let error = client(&world, &did_key()).connect(HANDLE);
    assert!(matches!(error, Err(Error::NoResolver(target)) if target == HANDLE));
}

#[test]
fn disc_2_endpoints_are_tried_in_order_and_each_failure_is_told() {
    let world = World::new("order");
    let serving = identity(DID);
    let (own, others) = (node(&world, &serving), node(&world, &did_key()));
    let (own, others) = (listen(own), listen(others));
    let (good, bad) = (uri(own.address()), uri(others.address()));
    let builder = client(&world, &did_key()).resolver(world.resolver());

    world.publish(
        "agents.test",
        &published(&serving, &[bad.clone(), good]),
        "no-store",
    );
    let client = builder.clone().connect(DID).expect("the second one is it");
    assert_eq!(client.address().port(), own.address().port());

    world.publish(
        "agents.test",
        &published(&serving, std::slice::from_ref(&bad)),
        "no-store",
    );
    let error = builder
        .clone()
        .connect(DID)
        .expect_err("somebody else is there");
    assert!(
        matches!(&error, Error::OtherPeer { expected, found } if expected == DID && found == others.did()),
        "{error:?}"
    );

    world.publish(
        "agents.test",
        &published(&serving, &[bad.clone(), bad]),
        "no-store",
    );
    let error = builder.connect(DID).expect_err("neither is it");
    let Error::Unreachable { target, tried } = &error else {
        panic!("{error:?}");
    };
    assert_eq!((target.as_str(), tried.len()), (DID, 2));
    assert!(error.to_string().contains(others.did()), "{error}");
}

#[test]
fn a_client_that_expects_somebody_takes_nobody_else() {
    let world = World::new("expects");
    let serving = did_key();
    let node = listen(node(&world, &serving));
    let address = uri(node.address());
    let connect = |expected: &str| {
        let builder = client(&world, &did_key()).expect_peer(expected);
        builder.connect(&address)
    };
    assert!(connect(serving.did()).is_ok());
    let error = connect(DID).expect_err("it is another one");
    let sentence = error.to_string();
    assert!(matches!(error, Error::OtherPeer { .. }));
    assert!(
        sentence.contains(DID) && sentence.contains(serving.did()),
        "{sentence}"
    );
    eventually("the node is rid of it", || node.peers().is_empty());
}
