//! Every error code of section 5, and ours beside them, over HTTP.

use serde_json::json;

use crate::support::{Agent, Stand, config, seconds};

#[test]
fn malformed_json_and_missing_fields_are_invalid_requests() {
    let stand = Stand::new();
    for target in [
        "/identity",
        "/identity/rotate",
        "/presence/heartbeat",
        "/messages",
        "/consent/request",
        "/v0/consent/accept",
        "/v0/consent/block",
    ] {
        for body in ["", "{", "[]", "{}", "{\"a\":1,\"a\":1}", "\u{fffd}"] {
            let reply = stand.post(target, body);
            reply.refused(400, "invalid_request");
        }
    }
}

#[test]
fn a_higher_major_version_is_unsupported() {
    let stand = Stand::new();
    let (alice, bob) = stand.friends("alice", "bob");
    let message = alice.message(&bob, json!({ "v": "1.0" }));
    stand
        .post("/messages", &message)
        .refused(400, "unsupported_version");
    let newer = alice.message(&bob, json!({ "v": "0.9" }));
    stand.post("/messages", &newer).is(200);
}

#[test]
fn a_signature_of_another_key_fails() {
    let stand = Stand::new();
    let (alice, bob) = stand.friends("alice", "bob");
    let mallory = Agent {
        handle: "alice".into(),
        signer: Agent::new("mallory").signer,
    };
    let forged = mallory.message(&bob, json!({}));
    stand.post("/messages", &forged).refused(401, "auth_failed");
    let beat = mallory.signed(json!({ "handle": "alice", "status": "online" }));
    stand
        .post("/presence/heartbeat", &beat)
        .refused(401, "auth_failed");
    stand
        .get_as(&mallory, "/messages")
        .refused(401, "auth_failed");
    stand.get("/messages").refused(401, "auth_failed");
    stand.get_as(&alice, "/messages").is(200);
    // A name that is taken is not handed out again.
    let taken = mallory.registration(json!({}));
    stand.post("/identity", &taken).refused(401, "auth_failed");
}

#[test]
fn the_same_request_twice_is_a_replay_and_so_is_an_old_one() {
    let stand = Stand::new();
    let (alice, bob) = stand.friends("alice", "bob");
    let message = alice.message(&bob, json!({}));
    stand.post("/messages", &message).is(200);
    stand
        .post("/messages", &message)
        .refused(401, "replay_detected");
    for timestamp in [seconds() - 3600, seconds() + 3600] {
        let old = alice.message(&bob, json!({ "timestamp": timestamp }));
        stand
            .post("/messages", &old)
            .refused(401, "replay_detected");
    }
}

#[test]
fn consent_is_required_of_whoever_does_not_want_to_wait() {
    let stand = Stand::new();
    let (alice, bob) = (stand.agent("alice"), stand.agent("bob"));
    let message = alice.message(&bob, json!({ "strict": true }));
    let reply = stand.post("/messages", &message);
    reply.refused(403, "consent_required");
    let status = &reply.json()["error"]["details"]["consent_status"];
    assert!(status.is_string(), "{status}");
    // Whoever waits is told so.
    let patient = alice.message(&bob, json!({}));
    let reply = stand.post("/messages", &patient);
    assert_eq!(reply.is(200).json()["consent"], "pending");
}

#[test]
fn whoever_is_blocked_is_told_so() {
    let stand = Stand::new();
    let (alice, bob) = stand.friends("alice", "bob");
    let block = bob.signed(json!({ "from": "bob", "to": "alice" }));
    stand.post("/consent/block", &block).is(200);
    let message = alice.message(&bob, json!({}));
    stand
        .post("/messages", &message)
        .refused(403, "consent_blocked");
}

#[test]
fn nobody_is_called_that() {
    let stand = Stand::new();
    let (alice, nobody) = (stand.agent("alice"), Agent::new("nobody"));
    stand
        .get("/identity/nobody")
        .refused(404, "identity_not_found");
    let message = alice.message(&nobody, json!({}));
    stand
        .post("/messages", &message)
        .refused(404, "identity_not_found");
    let unknown = nobody.message(&alice, json!({}));
    stand
        .post("/messages", &unknown)
        .refused(404, "identity_not_found");
}

#[test]
fn a_payload_over_the_recipients_limit_is_too_large() {
    let stand = Stand::new();
    let alice = stand.agent("alice");
    let bob = Agent::new("bob");
    let small = json!({ "capabilities": {
        "payloads": ["game:tictactoe"], "delivery": ["poll"], "maxPayloadSize": 100,
    }});
    stand.post("/identity", &bob.registration(small)).is(201);
    let accept = bob.signed(json!({ "from": "bob", "to": "alice" }));
    stand.post("/consent/accept", &accept).is(200);
    let payload = |length: usize| {
        json!({ "payload": {
            "type": "game:tictactoe", "data": { "board": "x".repeat(length) },
        }})
    };
    let message = alice.message(&bob, payload(200));
    stand
        .post("/messages", &message)
        .refused(413, "payload_too_large");
    let message = alice.message(&bob, payload(20));
    stand.post("/messages", &message).is(200);
}

#[test]
fn a_payload_that_is_not_listed_is_unsupported_if_the_sender_asks() {
    let stand = Stand::new();
    let (alice, bob) = stand.friends("alice", "bob");
    let chess = json!({ "payload": { "type": "game:chess", "data": {} }, "strict": true });
    let message = alice.message(&bob, chess);
    stand
        .post("/messages", &message)
        .refused(422, "unsupported_payload");
    let chess = json!({ "payload": { "type": "game:chess", "data": {} } });
    let message = alice.message(&bob, chess);
    stand.post("/messages", &message).is(200);
}

#[test]
fn too_many_requests_are_told_when_to_come_back() {
    let mut config = config();
    config.limits.requests_per_address = 1;
    let stand = Stand::with(config);
    for _ in 0..2 {
        stand.get("/presence").is(200);
    }
    let reply = stand.get("/presence");
    reply.refused(429, "rate_limited");
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

#[test]
fn what_is_not_there_is_not_found() {
    let stand = Stand::new();
    for target in [
        "/nothing",
        "/v0",
        "/v0/nothing",
        "/identity",
        "/messages/thread",
        "/v1/presence",
    ] {
        let reply = stand.get(target);
        if reply.status != 405 {
            reply.refused(404, "not_found");
        }
    }
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let stand = Stand::new();
    for (method, target, allowed) in [
        ("DELETE", "/presence", "GET"),
        ("PUT", "/messages", "POST"),
        ("PATCH", "/v0/messages", "GET"),
        ("GET", "/consent/request/x", ""),
        ("POST", "/presence", "GET"),
        ("GET", "/presence/heartbeat", "POST"),
        ("POST", "/healthz", "GET"),
        ("DELETE", "/", "GET"),
    ] {
        let reply = stand.send(method, target, &[], None);
        if allowed.is_empty() {
            reply.refused(404, "not_found");
            continue;
        }
        reply.refused(405, "method_not_allowed");
        let allow = reply.header("allow").unwrap_or_default();
        assert!(allow.contains(allowed), "{method} {target}: {allow}");
    }
}

#[test]
fn the_older_dialect_refuses_in_its_own_shape() {
    let stand = Stand::new();
    let reply = stand.get("/api/messages?user=alice");
    let body = reply.is(401).json();
    assert_eq!(body["success"], false);
    assert!(body["error"].is_string(), "{body}");
}

#[test]
fn what_was_refused_did_not_happen() {
    let stand = Stand::new();
    let (alice, bob) = stand.friends("alice", "bob");
    let forged = Agent {
        handle: "alice".into(),
        signer: Agent::new("mallory").signer,
    };
    stand
        .post("/messages", &forged.message(&bob, json!({})))
        .is(401);
    stand
        .post("/messages", &alice.message(&bob, json!({ "body": "true" })))
        .is(200);
    let inbox = stand.get_as(&bob, "/messages").is(200).json();
    let messages = inbox["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["body"], "true");
}
