//! What a registry asks of its store.

use airc_core::json::{Value, object};
use airc_core::registry::{Credentials, Method, Request};

use crate::support::World;
use crate::support::counted::Counted;

/// Applies a request to a copy of the store, of whose calls so many succeed. What the store was
/// asked for, and whether the registry could do it.
fn apply(
    world: &World,
    credentials: Credentials<'_>,
    method: Method,
    target: &str,
    body: &str,
    good: usize,
) -> (Vec<&'static str>, bool) {
    let mut store = Counted::new(world.store.clone());
    store.good = good;
    let request = Request {
        method,
        target,
        credentials,
        body: body.as_bytes(),
        entropy: [9; 32],
    };
    let answer = world.registry.handle(&request, world.now, &mut store);
    if let Ok(answer) = &answer {
        let status = answer.clone().into_response().status;
        assert!(status < 300, "{target}: {status}");
    }
    (store.calls, answer.is_ok())
}

#[test]
fn the_calls_that_come_most_often_ask_little_of_the_store() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    let kim = world.agent("kim");
    let post = |world: &World, target: &str, body: &Value| {
        let none = Credentials::default();
        apply(
            world,
            none,
            Method::Post,
            target,
            &body.to_string(),
            usize::MAX,
        )
        .0
    };
    let message = world.message(&seth, &alex, "hello");
    let delivered = [
        "identity", "remember", "identity", "consent", "remember", "deliver",
    ];
    assert_eq!(post(&world, "/messages", &message), delivered);
    let message = world.message(&seth, &kim, "hello");
    let held = [
        "identity",
        "remember",
        "identity",
        "consent",
        "held",
        "remember",
        "put_consent",
        "hold",
    ];
    assert_eq!(post(&world, "/messages", &message), held);
    let nonce = world.nonce();
    let beat = object([
        ("handle", "seth".into()),
        ("timestamp", world.seconds().into()),
        ("nonce", nonce.into()),
    ]);
    let beat = crate::support::altered(&beat, &seth, []);
    let beaten = ["identity", "remember", "put_presence"];
    assert_eq!(post(&world, "/presence/heartbeat", &beat), beaten);
    let body = object([("action", "register".into()), ("username", "lee".into())]);
    let token = world
        .post("/api/presence", &body)
        .ok(201)
        .str("token")
        .to_string();
    let authorization = format!("Bearer {token}");
    let credentials = Credentials {
        authorization: Some(&authorization),
        ..Credentials::default()
    };
    let (calls, _) = apply(
        &world,
        credentials,
        Method::Get,
        "/messages",
        "",
        usize::MAX,
    );
    assert_eq!(calls, ["session", "inbox", "consents_to"]);
    let (calls, _) = apply(
        &world,
        credentials,
        Method::Get,
        "/api/messages",
        "",
        usize::MAX,
    );
    assert_eq!(calls, ["session", "latest"]);
}

#[test]
fn a_store_that_fails_anywhere_fails_the_whole_call() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    let kim = world.agent("kim");
    world.send(&kim, &alex, "held").ok(200);
    world.send(&alex, &kim, "held too").ok(200);
    let new = crate::support::Agent::new("new", 1);
    let register = object([("action", "register".into()), ("username", "lee".into())]);
    let posts = [
        ("/messages", world.message(&seth, &alex, "hello")),
        ("/messages", world.message(&seth, &kim, "hello")),
        ("/consent/accept", world.notice(&alex, &kim, None)),
        ("/consent/block", world.notice(&alex, &kim, None)),
        ("/consent/request", world.notice(&seth, &kim, None)),
        ("/identity", world.registration(&new, &[])),
        ("/identity", world.registration(&seth, &[])),
        ("/api/presence", register),
        ("/api/messages", world.message(&seth, &alex, "hello")),
    ];
    let gets = [
        "/presence",
        "/identity/seth",
        "/api/presence",
        "/api/health",
    ];
    let requests = posts
        .iter()
        .map(|(target, body)| (Method::Post, *target, body.to_string()))
        .chain(gets.map(|target| (Method::Get, target, String::new())));
    for (method, target, body) in requests {
        let none = Credentials::default();
        let (calls, good) = apply(&world, none, method, target, &body, usize::MAX);
        assert!(good);
        for count in 0..calls.len() {
            let (_, good) = apply(&world, none, method, target, &body, count);
            assert!(!good, "{target} went on after {count} calls");
        }
    }
}
