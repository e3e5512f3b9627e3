//! Inboxes, threads and cursors: sections 2.5 and 4.3, AGAP-5.

use airc_core::json::Value;
use airc_core::registry::{Credentials, Method};
use airc_core::signing::SignedHeaders;

use crate::support::{Reply, World, altered};

fn more(reply: &Reply) -> bool {
    reply.body.get("hasMore").and_then(Value::as_bool).unwrap()
}

#[test]
fn a_page_has_fifty_messages_unless_another_number_up_to_200_is_asked_for() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    for _ in 0..201 {
        world.send(&seth, &alex, "hello").ok(200);
    }
    for (query, count) in [
        ("", 50),
        ("?limit=1", 1),
        ("?limit=200", 200),
        ("?limit=1000", 200),
    ] {
        for path in ["/messages", "/v0/messages/thread/seth"] {
            let reply = world.get_as(&alex, &format!("{path}{query}")).ok(200);
            assert_eq!(reply.items("messages").len(), count, "{path}{query}");
            assert!(more(&reply));
        }
    }
    for query in ["?limit=0", "?limit=x", "?limit=-1"] {
        let reply = world.get_as(&alex, &format!("/messages{query}"));
        reply.refused(400, "invalid_request");
    }
    assert_eq!(world.inbox(&alex).len(), 201);
}

#[test]
fn a_cursor_goes_on_where_the_page_ended_and_loses_nothing_that_comes_later() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    let empty = world.get_as(&alex, "/messages").ok(200);
    assert!(!more(&empty));
    let mut cursor = empty.str("cursor").to_string();
    let mut seen = Vec::new();
    for round in 0..10 {
        for number in 0..3 {
            world
                .send(&seth, &alex, &format!("{round}/{number}"))
                .ok(200);
        }
        let target = format!("/messages?since={cursor}&limit=2");
        let reply = world.get_as(&alex, &target).ok(200);
        assert!(more(&reply));
        seen.extend(reply.bodies());
        cursor = reply.str("cursor").to_string();
        // The same cursor gives the same messages again.
        assert_eq!(world.get_as(&alex, &target).bodies(), reply.bodies());
    }
    let reply = world.get_as(&alex, &format!("/messages?since={cursor}"));
    seen.extend(reply.bodies());
    assert!(!more(&reply));
    assert_eq!(seen, world.inbox(&alex));
    assert_eq!(seen.len(), 30);
    // At the end, the cursor stays where it is.
    let cursor = reply.str("cursor").to_string();
    let reply = world.get_as(&alex, &format!("/messages?since={cursor}"));
    assert_eq!(reply.str("cursor"), cursor);
    assert_eq!(reply.bodies(), [""; 0]);
}

#[test]
fn messages_that_are_released_late_come_after_a_cursor_that_was_given_before() {
    let mut world = World::new();
    let [seth, alex, kim] = world.agents(["seth", "alex", "kim"]);
    world.accept(&alex, &kim).ok(200);
    world.send(&seth, &alex, "held").ok(200);
    world.pass(10);
    world.send(&kim, &alex, "delivered").ok(200);
    let first = world.get_as(&alex, "/messages").ok(200);
    assert_eq!(first.bodies(), ["delivered"]);
    world.accept(&alex, &seth).ok(200);
    let target = format!("/messages?since={}", first.str("cursor"));
    assert_eq!(world.get_as(&alex, &target).bodies(), ["held"]);
}

#[test]
fn a_foreign_or_mangled_cursor_is_refused() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    world.send(&seth, &alex, "hello").ok(200);
    let inbox = world.get_as(&alex, "/messages").str("cursor").to_string();
    let thread = world.get_as(&alex, "/messages/thread/seth");
    let thread = thread.str("cursor").to_string();
    assert_ne!(inbox, thread);
    let mut mangled = inbox.clone();
    let first = if mangled.starts_with('A') { "B" } else { "A" };
    mangled.replace_range(0..1, first);
    for (agent, path, cursor) in [
        (&seth, "/messages", &inbox),
        (&alex, "/messages", &thread),
        (&alex, "/messages/thread/seth", &inbox),
        (&alex, "/messages/thread/alex", &thread),
        (&alex, "/messages", &mangled),
        (&alex, "/messages", &inbox[1..].to_string()),
        (&alex, "/messages", &"1".to_string()),
    ] {
        let reply = world.get_as(agent, &format!("{path}?since={cursor}"));
        reply.refused(400, "invalid_request");
    }
}

#[test]
fn both_directions_are_one_thread_in_the_order_of_timestamp_and_id() {
    let mut world = World::new();
    let [seth, alex, kim] = world.friends(["seth", "alex", "kim"]);
    let now = world.seconds();
    for (from, to, id, timestamp) in [
        (&seth, &alex, "msg_c", now + 2),
        (&alex, &seth, "msg_b", now + 1),
        (&seth, &alex, "msg_a", now + 1),
        (&seth, &kim, "msg_d", now),
        (&kim, &alex, "msg_e", now),
    ] {
        let message = world.message(from, to, id);
        let changes = [("id", id.into()), ("timestamp", timestamp.into())];
        world
            .post("/messages", &altered(&message, from, changes))
            .ok(200);
    }
    for (agent, peer) in [(&seth, "alex"), (&alex, "seth")] {
        let reply = world
            .get_as(agent, &format!("/messages/thread/{peer}"))
            .ok(200);
        assert_eq!(reply.bodies(), ["msg_a", "msg_b", "msg_c"]);
        assert_eq!(reply.body.get("pendingRequests"), None);
    }
    // Page by page, none is lost for the sake of the order.
    let mut target = "/messages/thread/alex?limit=1".to_string();
    let mut bodies = Vec::new();
    loop {
        let reply = world.get_as(&seth, &target).ok(200);
        bodies.extend(reply.bodies());
        if !more(&reply) {
            break;
        }
        target = format!(
            "/messages/thread/alex?limit=1&since={}",
            reply.str("cursor")
        );
    }
    bodies.sort();
    assert_eq!(bodies, ["msg_a", "msg_b", "msg_c"]);
    let reply = world.get_as(&seth, "/messages/thread/nobody");
    reply.refused(404, "identity_not_found");
}

#[test]
fn agap_5_private_things_need_credentials() {
    let mut world = World::new();
    let seth = world.agent("seth");
    for target in [
        "/messages",
        "/messages/thread/seth",
        "/consent",
        "/consent/seth",
    ] {
        world.get(target).refused(401, "auth_failed");
        world
            .get_bearing("no token", target)
            .refused(401, "auth_failed");
    }
    for target in ["/presence", "/identity/seth", "/agents/seth/did.json"] {
        world.get(target).ok(200);
    }
    let reply = world.get_as(&seth, "/messages").ok(200);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.caller, Some(seth.handle));
}

#[test]
fn agap_5_a_signed_request_covers_its_method_its_path_and_its_query() {
    let mut world = World::new();
    let seth = world.agent("seth");
    for (method, target) in [
        ("POST", "/messages"),
        ("GET", "/messages?limit=2"),
        ("GET", "/v0/messages"),
        ("GET", "/consent"),
    ] {
        let headers = world.headers(&seth, method, target);
        let reply = world.with_headers(&headers, Method::Get, "/messages", b"");
        reply.refused(401, "auth_failed");
    }
    let impostor = seth.with_key(2);
    world
        .get_as(&impostor, "/messages")
        .refused(401, "auth_failed");
    let nobody = crate::support::Agent::new("nobody", 1);
    world
        .get_as(&nobody, "/messages")
        .refused(404, "identity_not_found");
}

#[test]
fn agap_5_signed_headers_that_are_missing_or_unusable_are_named() {
    let mut world = World::new();
    let seth = world.agent("seth");
    let headers = world.headers(&seth, "GET", "/messages");
    let signed = headers.headers();
    let text = |at: usize| Some(signed[at].1.as_str());
    let whole = Credentials {
        authorization: None,
        handle: text(0),
        timestamp: text(1),
        nonce: text(2),
        signature: text(3),
    };
    for (credentials, missing) in [
        (
            Credentials {
                handle: None,
                ..whole
            },
            "X-AIRC-Handle",
        ),
        (
            Credentials {
                timestamp: None,
                ..whole
            },
            "X-AIRC-Timestamp",
        ),
        (
            Credentials {
                nonce: None,
                ..whole
            },
            "X-AIRC-Nonce",
        ),
        (
            Credentials {
                signature: None,
                ..whole
            },
            "X-AIRC-Signature",
        ),
        (
            Credentials {
                timestamp: Some("+1"),
                ..whole
            },
            "X-AIRC-Timestamp",
        ),
        (
            Credentials {
                nonce: Some("short"),
                ..whole
            },
            "X-AIRC-Nonce",
        ),
        (
            Credentials {
                handle: Some("@Seth"),
                ..whole
            },
            "X-AIRC-Handle",
        ),
    ] {
        let reply = world.request(Method::Get, "/messages", credentials, b"");
        let refused = reply.refused(400, "invalid_request");
        assert!(refused.text.contains(missing), "{}", refused.text);
    }
    world.request(Method::Get, "/messages", whole, b"").ok(200);
    let signed = SignedHeaders {
        signature: [0; 64],
        ..headers
    };
    let reply = world.with_headers(&signed, Method::Get, "/messages", b"");
    reply.refused(401, "auth_failed");
}
