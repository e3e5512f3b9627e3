//! What a registry does not let anybody do to it.

use std::time::Duration;

use airc_registry::config::Time;
use serde_json::json;

use crate::support::{Agent, Stand, config, read_all, read_until, until, write};

const MIB: usize = 1024 * 1024;

#[test]
fn a_body_over_a_mebibyte_is_refused_unread() {
    let stand = Stand::new();
    let stream = stand.connect();
    // Nothing of the body is sent: the answer comes all the same.
    let head = format!(
        "POST /messages HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        MIB + 1
    );
    write(&stream, head.as_bytes()).unwrap();
    let answer = read_until(&stream, "}}");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains(r#""code":"payload_too_large""#), "{answer}");
    drop(stream);
    // A client that sends all of it first gets to read its answer too.
    let body = "x".repeat(MIB + 1);
    stand
        .post("/messages", &body)
        .refused(413, "payload_too_large");
    // A mebibyte is read, and is no good for another reason.
    let body = "x".repeat(MIB);
    stand
        .post("/messages", &body)
        .refused(400, "invalid_request");
}

#[test]
fn a_body_that_does_not_say_how_long_it_is_is_not_read_forever() {
    let stand = Stand::new();
    let stream = stand.connect();
    let head = "POST /messages HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    write(&stream, head.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..17 {
        // The registry may have closed already.
        if write(&stream, chunk.as_bytes()).is_err() {
            break;
        }
    }
    let answer = read_until(&stream, "}}");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    stand.get("/healthz").is(200);
}

#[test]
fn a_client_that_is_slow_on_purpose_is_let_go() {
    let mut config = config();
    config.times.header_timeout = Time(Duration::from_millis(200));
    config.times.body_timeout = Time(Duration::from_millis(200));
    let stand = Stand::with(config);
    let silent = stand.connect();
    let half_a_head = stand.connect();
    write(&half_a_head, b"GET /presence HTTP/1.1\r\nHost:").unwrap();
    for stream in [silent, half_a_head] {
        let answer = read_all(&stream);
        assert!(!answer.contains("200 OK"), "{answer}");
    }
    let half_a_body = stand.connect();
    let head = "POST /messages HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{";
    write(&half_a_body, head.as_bytes()).unwrap();
    let answer = read_all(&half_a_body);
    assert!(answer.contains(r#""code":"invalid_request""#), "{answer}");
    assert!(answer.contains("took too long"), "{answer}");
}

#[test]
fn connections_over_the_limit_wait_until_there_is_room() {
    let mut config = config();
    config.limits.connections = 2;
    let stand = Stand::with(config);
    let (first, second) = (stand.connect(), stand.connect());
    for stream in [&first, &second] {
        write(stream, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        read_until(stream, "}");
    }
    let third = stand.connect();
    write(
        &third,
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .unwrap();
    third
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    assert_eq!(read_all(&third), "", "there is no room for it yet");
    third
        .set_read_timeout(Some(crate::support::PATIENCE))
        .unwrap();
    drop(first);
    let answer = read_until(&third, "}");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn a_head_without_end_is_refused() {
    let stand = Stand::new();
    let stream = stand.connect();
    write(&stream, b"GET /presence HTTP/1.1\r\nHost: a\r\n").unwrap();
    let line = format!("X-Long: {}\r\n", "x".repeat(8192));
    for _ in 0..64 {
        if write(&stream, line.as_bytes()).is_err() {
            break;
        }
    }
    let answer = read_all(&stream);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
        "{answer}"
    );
}

#[test]
fn so_many_people_watch_and_no_more() {
    let mut config = config();
    config.limits.watchers = 1;
    let stand = Stand::with(config);
    let watcher = stand.connect();
    write(&watcher, b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    read_until(&watcher, "event: all");
    stand.get("/events").refused(503, "unavailable");
    drop(watcher);
    // The registry finds out with the next event.
    let _alice = stand.agent("alice");
    until("a seat", || {
        stand.beat(
            &Agent::new("alice"),
            json!({ "context": crate::support::nonce() }),
        );
        let stream = stand.connect();
        write(&stream, b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        read_until(&stream, "\r\n").contains(" 200 ").then_some(())
    });
}

#[test]
fn every_answer_says_where_its_caller_stands() {
    let mut config = config();
    config.limits.requests_per_address = 1;
    config.limits.requests_per_identity = 6;
    config.limits.burst = 20;
    let stand = Stand::with(config);
    let alice = stand.agent("alice");
    let reply = stand.get("/presence");
    assert_eq!(reply.header("ratelimit-limit"), Some("20"));
    assert_eq!(reply.header("ratelimit-remaining"), Some("18"));
    assert!(reply.header("x-ratelimit-limit").is_none());
    let reply = stand.get_as(&alice, "/messages");
    assert_eq!(reply.header("ratelimit-limit"), Some("120"));
    assert_eq!(reply.header("ratelimit-remaining"), Some("119"));
    let reset: u64 = reply.header("ratelimit-reset").unwrap().parse().unwrap();
    assert!((1..=10).contains(&reset), "{reset}");
    let reply = stand.get("/api/presence");
    assert_eq!(reply.header("x-ratelimit-limit"), Some("20"));
}

#[test]
fn an_identity_has_its_own_limit_wherever_it_is() {
    let mut config = config();
    config.limits.requests_per_identity = 1;
    config.limits.burst = 4;
    let stand = Stand::with(config);
    let (alice, bob) = (stand.agent("alice"), stand.agent("bob"));
    for _ in 0..4 {
        stand.get_as(&alice, "/messages").is(200);
    }
    let reply = stand.get_as(&alice, "/messages");
    reply.refused(429, "rate_limited");
    assert!(reply.header("retry-after").is_some());
    // What is refused for that is not done.
    let message = alice.message(&bob, json!({}));
    stand
        .post("/messages", &message)
        .refused(429, "rate_limited");
    let inbox = stand.get_as(&bob, "/messages").is(200).json();
    assert_eq!(inbox["messages"].as_array().unwrap().len(), 0);
    stand.get("/presence").is(200);
}

#[test]
fn failed_signatures_count_against_the_address_and_not_the_identity() {
    let mut config = config();
    config.limits.requests_per_address = 1;
    config.limits.requests_per_identity = 1;
    config.limits.burst = 6;
    config.trusted_proxies = crate::support::networks(&["127.0.0.1"]);
    config.domain = Some("localhost".parse().unwrap());
    let stand = Stand::with(config);
    let alice = stand.agent("alice");
    let forged = |from: &str| {
        let mallory = Agent {
            handle: "alice".into(),
            signer: Agent::new("mallory").signer,
        };
        let beat = mallory.signed(json!({ "handle": "alice", "status": "online" }));
        let headers = [("X-Forwarded-For", from)];
        stand.send("POST", "/presence/heartbeat", &headers, Some(&beat))
    };
    for _ in 0..6 {
        forged("192.0.2.1").refused(401, "auth_failed");
    }
    forged("192.0.2.1").refused(429, "rate_limited");
    forged("192.0.2.2").refused(401, "auth_failed");
    stand.beat(&alice, json!({ "status": "online" })).is(200);
}

#[test]
fn names_are_no_way_around_the_limits_of_addresses() {
    let mut config = config();
    config.limits.requests_per_address = 1;
    config.limits.burst = 4;
    let stand = Stand::with(config);
    for name in ["a", "b", "c", "d"] {
        stand.agent(name);
    }
    let body = Agent::new("e").registration(json!({}));
    stand.post("/identity", &body).refused(429, "rate_limited");
}

#[test]
fn the_page_and_what_watches_a_registry_do_not_count() {
    let mut config = config();
    config.limits.requests_per_address = 1;
    let stand = Stand::with(config);
    for _ in 0..5 {
        for target in [
            "/",
            "/page.css",
            "/page.js",
            "/icon.svg",
            "/healthz",
            "/readyz",
            "/metrics",
            "/openapi.json",
            "/.well-known/airc",
        ] {
            let reply = stand.get(target);
            assert!(reply.is(200).header("ratelimit-limit").is_none());
        }
    }
    stand.get("/presence").is(200);
}

#[test]
fn whoever_bears_a_token_where_none_is_asked_for_has_done_nothing_wrong() {
    let mut config = config();
    config.limits.requests_per_address = 1;
    config.limits.requests_per_identity = 6;
    config.limits.burst = 20;
    let stand = Stand::with(config);
    let register = r#"{"action":"register","username":"alice","workingOn":"tests"}"#;
    let reply = stand.post("/api/presence", register);
    let token = reply.is(201).json()["token"].as_str().unwrap().to_owned();
    let authorization = format!("Bearer {token}");
    let bearer = [("Authorization", authorization.as_str())];
    for _ in 0..10 {
        let who = stand.get_with("/api/presence", &bearer);
        assert_eq!(who.is(200).header("ratelimit-limit"), Some("20"));
    }
    let beat = r#"{"action":"heartbeat","username":"alice"}"#;
    for left in ["119", "118"] {
        let reply = stand.send("POST", "/api/presence", &bearer, Some(beat));
        assert_eq!(reply.is(200).header("ratelimit-limit"), Some("120"));
        let remaining = reply.header("ratelimit-remaining").unwrap();
        assert!(remaining >= left, "{remaining}");
    }
}
