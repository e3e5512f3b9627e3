//! The publisher, and the HTTP server under it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use aire_mio::http::{Response, Server};
use aire_mio::publish::PublishError;
use aire_mio::{Identity, Resolver, ResolverSettings};

use super::world::{DID, World, identity, publication};
use crate::support::{Dir, any_port};

/// What a server answers to a request, in the clear.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: agents.test\r\nconnection: close\r\n\r\n"),
    )
}

#[test]
fn what_is_published_resolves() {
    let world = World::new("published");
    let identity = identity(DID);
    let server = publication(&identity)
        .endpoint("aire://node.agents.test", &[], None)
        .and_then(|it| it.endpoint("aire://[2001:db8::1]:9/an%20agent", &[], None))
        .expect("endpoints")
        .handle("@me@agents.test")
        .expect("a handle")
        .serve(any_port(), Some(&world.certificate))
        .expect("it serves");
    let settings = ResolverSettings {
        https_port: server.address().port(),
        ..world.settings()
    };
    let resolver = Resolver::new(settings).expect("a resolver");
    let resolved = resolver.resolve("@me@agents.test").expect("it resolves");
    assert_eq!(resolved.did.as_deref(), Some(DID));
    let hosts: Vec<_> = resolved.endpoints.iter().map(|it| it.uri.host()).collect();
    assert_eq!(hosts, ["node.agents.test", "2001:db8::1"]);
    assert_eq!(resolved.endpoints[1].uri.agent(), Some("an agent"));
    assert_eq!(resolved.endpoints[0].accept, ["aire/v0.4", "aire/v0.2"]);
    assert_eq!(resolver.key(identity.method()), Ok(identity.public_key()));
    assert!(resolver.resolve("@you@agents.test").is_err());
}

#[test]
fn a_static_server_gets_the_same_documents_as_files() {
    let dir = Dir::new("discovery-files");
    let publication = publication(&identity("did:web:agents.test:people:me"))
        .handle("@me@agents.test")
        .and_then(|it| it.handle("@i@agents.test"))
        .expect("handles");
    let files = publication.write_to(&dir.0).expect("written");
    let read = |name: &str| fs::read_to_string(dir.0.join(name)).expect(name);
    assert_eq!(read("people/me/did.json"), publication.document());
    let answer = "did:web:agents.test:people:me\n";
    assert_eq!(read(".well-known/aire-did.d/me"), answer);
    assert_eq!(read(".well-known/aire-did.d/i"), answer);
    assert_eq!(read(".well-known/aire-did"), answer);
    assert_eq!(files.len(), 4);
    assert_eq!(publication.write_to(&dir.0).expect("again").len(), 4);
    assert_eq!(
        publication.txt_records(),
        [
            (
                "_aire.me.agents.test".into(),
                "did=did:web:agents.test:people:me".into()
            ),
            (
                "_aire.i.agents.test".into(),
                "did=did:web:agents.test:people:me".into()
            ),
        ]
    );

    // Another DID's answer is not overwritten.
    let other = super::world::publication(&identity(DID)).handle("@x@agents.test");
    let files = other.expect("a handle").write_to(&dir.0).expect("written");
    assert_eq!(files.len(), 2);
    assert_eq!(read(".well-known/aire-did"), answer);
    assert_eq!(read(".well-known/aire-did.d/x"), format!("{DID}\n"));
}

#[test]
fn what_cannot_be_published_is_named() {
    let key = Identity::generate().expect("an identity");
    let error = aire_mio::publish::Publication::of(&key).expect_err("it is a did:key");
    assert!(matches!(error, PublishError::Did { .. }), "{error}");
    let new = || publication(&identity(DID));
    assert!(matches!(
        new().handle("me"),
        Err(PublishError::Handle { .. })
    ));
    for uri in ["https://a.test", "aire://me@a.test", ""] {
        let refused = new().endpoint(uri, &[], None);
        assert!(
            matches!(refused, Err(PublishError::Endpoint { .. })),
            "{uri}"
        );
    }
    let dir = Dir::new("discovery-names");
    let climbing = new()
        .handle("..@agents.test")
        .expect("a handle, by its grammar");
    let refused = climbing.write_to(&dir.0);
    assert!(matches!(refused, Err(PublishError::Name { .. })));
    assert!(key.with_did("agents.test", "key-1").is_err());
}

#[test]
fn the_server_answers_get_and_head_and_survives_its_handler() {
    let server = Server::start(any_port(), None, |request| match request.path.as_str() {
        "/panic" => panic!("as it was asked to"),
        "/name" => Response::text(request.parameter("name").unwrap_or_default()),
        "/" => Response::json("{}").with_header("cache-control", "no-store"),
        _ => Response::not_found(),
    });
    let server = server.expect("a free port");
    let address = server.address();
    let answer = get(address, "/");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(
        answer.contains("content-type: application/json\r\n"),
        "{answer}"
    );
    assert!(answer.contains("cache-control: no-store\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n{}"), "{answer}");
    assert!(get(address, "/panic").starts_with("HTTP/1.1 500 "));
    assert!(get(address, "/x").starts_with("HTTP/1.1 404 "));
    assert!(get(address, "/name?a=b&name=%41%2f&c").ends_with("\r\n\r\nA/"));
    for twice in ["/name?name=a&name=b", "/name?name=%ff", "/name?name=%4"] {
        assert!(get(address, twice).ends_with("\r\n\r\n"), "{twice}");
    }
    let head = "HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = ask(address, head);
    assert!(answer.contains("content-length: 2\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    let post = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx";
    assert!(ask(address, post).starts_with("HTTP/1.1 405 "));
    // It may hang up before all of it is sent.
    let mut endless = TcpStream::connect(address).expect("it listens");
    let header = "y".repeat(20_000);
    let _gone = write!(endless, "GET / HTTP/1.1\r\nx: {header}\r\n\r\n");
    let mut answer = Vec::new();
    let _reset = endless.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200 "), "too many headers");
    drop(server);
    assert!(TcpStream::connect(address).is_err(), "it is gone");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let first = Server::start(any_port(), None, |_| Response::not_found()).expect("a free port");
    let error = Server::start(first.address(), None, |_| Response::not_found());
    let error = error.expect_err("it is taken").to_string();
    assert!(error.contains(&first.address().to_string()), "{error}");
}
