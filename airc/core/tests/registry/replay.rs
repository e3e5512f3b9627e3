//! Replays: sections 2.3 and 6.1, AGAP-7.

use airc_core::json::Value;
use airc_core::registry::{Effect, Method};
use airc_core::signing::SignedHeaders;

use crate::support::{START, World, altered};

#[test]
fn agap_7_a_timestamp_may_be_300_seconds_away_either_way_and_no_more() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    for (timestamp, good) in [
        (START - 301, false),
        (START - 300, true),
        (START + 300, true),
        (START + 301, false),
        (0, false),
        (u64::MAX, false),
    ] {
        let message = world.message(&seth, &alex, "hello");
        let message = altered(&message, &seth, [("timestamp", timestamp.into())]);
        let reply = world.post("/messages", &message);
        if good {
            reply.ok(200);
        } else {
            let refused = reply.refused(401, "replay_detected");
            assert_eq!(
                refused.effects,
                [Effect::ReplayRefused(seth.handle.clone())]
            );
        }
    }
}

#[test]
fn the_timestamps_of_every_signed_request_are_looked_at() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    let old: Value = (START - 301).into();
    let beat = airc_core::json::object([("handle", "seth".into()), ("nonce", "once".into())]);
    let beat = altered(&beat, &seth, [("timestamp", old.clone())]);
    let refused = world.post("/presence/heartbeat", &beat);
    refused.refused(401, "replay_detected");
    let notice = world.notice(&seth, &alex, None);
    let notice = altered(&notice, &seth, [("timestamp", old.clone())]);
    for path in ["/consent/request", "/consent/accept", "/consent/block"] {
        world.post(path, &notice).refused(401, "replay_detected");
    }
    let body = world.registration(&seth, &[]);
    let body = altered(&body, &seth, [("timestamp", old)]);
    world
        .post("/identity", &body)
        .refused(401, "replay_detected");
    let nonce = world.nonce();
    let headers = SignedHeaders::sign(
        &seth.handle,
        "GET",
        "/messages",
        START - 301,
        &nonce,
        &seth.signer,
    );
    let reply = world.with_headers(&headers, Method::Get, "/messages", b"");
    reply.refused(401, "replay_detected");
}

#[test]
fn agap_7_a_nonce_is_good_once_in_600_seconds_whatever_it_comes_with() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    let nonce: Value = "a nonce of some length".into();
    let send = |world: &mut World| {
        let message = world.message(&seth, &alex, "hello");
        let message = altered(&message, &seth, [("nonce", nonce.clone())]);
        world.post("/messages", &message)
    };
    send(&mut world).ok(200);
    send(&mut world).refused(401, "replay_detected");
    let notice = world.notice(&seth, &alex, None);
    let notice = altered(&notice, &seth, [("nonce", nonce.clone())]);
    world
        .post("/consent/request", &notice)
        .refused(401, "replay_detected");
    world.pass(599);
    send(&mut world).refused(401, "replay_detected");
    world.pass(1);
    send(&mut world).ok(200);
    // It is another's to use at any time.
    let message = world.message(&alex, &seth, "hello");
    let message = altered(&message, &alex, [("nonce", nonce.clone())]);
    world.post("/messages", &message).ok(200);
}

#[test]
fn agap_7_no_request_is_taken_twice_at_any_time() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    // A timestamp of the future is good for the longest: until 600 seconds and the rest of a second
    // have passed.
    let beat = airc_core::json::object([("handle", "seth".into()), ("nonce", "once".into())]);
    let beat = altered(&beat, &seth, [("timestamp", (START + 300).into())]);
    let message = world.message(&seth, &alex, "hello");
    let message = altered(&message, &seth, [("timestamp", (START + 300).into())]);
    world.post("/presence/heartbeat", &beat).ok(200);
    world.post("/messages", &message).ok(200);
    for millis in [1, 500, 299_999, 599_999, 600_000, 600_500, 600_999, 601_000] {
        world.now = airc_core::time::Time(START * 1000 + millis);
        for (path, body) in [("/presence/heartbeat", &beat), ("/messages", &message)] {
            world.post(path, body).refused(401, "replay_detected");
        }
    }
}

#[test]
fn agap_7_an_id_is_good_once_in_24_hours_for_its_sender() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    let send = |world: &mut World, from, to| {
        let message = world.message(from, to, "hello");
        let message = altered(&message, from, [("id", "msg_again".into())]);
        world.post("/messages", &message)
    };
    send(&mut world, &seth, &alex).ok(200);
    send(&mut world, &seth, &alex).refused(401, "replay_detected");
    send(&mut world, &alex, &seth).ok(200);
    world.pass(86_399);
    send(&mut world, &seth, &alex).refused(401, "replay_detected");
    world.pass(1);
    send(&mut world, &seth, &alex).ok(200);
    assert_eq!(world.inbox(&alex), ["hello", "hello"]);
}

#[test]
fn the_id_of_a_held_message_is_used_too() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    let message = world.message(&seth, &alex, "hello");
    world.post("/messages", &message).ok(200);
    let nonce = world.nonce();
    let again = altered(&message, &seth, [("nonce", nonce.into())]);
    world
        .post("/messages", &again)
        .refused(401, "replay_detected");
    world.accept(&alex, &seth).ok(200);
    assert_eq!(world.inbox(&alex), ["hello"]);
}

#[test]
fn what_was_refused_after_it_was_authenticated_has_used_up_its_nonce() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    world.block(&alex, &seth).ok(200);
    let message = world.message(&seth, &alex, "hello");
    let refused = world.post("/messages", &message);
    refused.refused(403, "consent_blocked");
    world
        .post("/messages", &message)
        .refused(401, "replay_detected");
}

#[test]
fn nobody_uses_up_the_nonces_of_another() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    let message = world.message(&seth, &alex, "hello");
    let forged = altered(&message, &alex, []);
    world.post("/messages", &forged).refused(401, "auth_failed");
    let stale = altered(&message, &seth, [("timestamp", (START - 301).into())]);
    world
        .post("/messages", &stale)
        .refused(401, "replay_detected");
    world.post("/messages", &message).ok(200);
}

#[test]
fn a_get_is_good_once() {
    let mut world = World::new();
    let seth = world.agent("seth");
    let headers = world.headers(&seth, "GET", "/messages");
    let get = |world: &mut World| world.with_headers(&headers, Method::Get, "/messages", b"");
    get(&mut world).ok(200);
    get(&mut world).refused(401, "replay_detected");
}
