//! Consent: section 2.6, section 4.4, AGAP-1 to 4.

use airc_core::json::Value;
use airc_core::registry::{Effect, Settings};
use airc_core::store::ConsentState::{Accepted, Blocked, None as Nothing, Pending};

use crate::support::{World, open};

#[test]
fn messages_to_none_and_pending_are_held_until_accepted_and_then_delivered_in_their_order() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    // Sent in another order than their timestamps: theirs counts.
    let mut later = world.draft(&seth, &alex, "second").into_value();
    later = crate::support::altered(&later, &seth, [("timestamp", (world.seconds() + 5).into())]);
    let reply = world.post("/messages", &later).ok(200);
    assert_eq!(reply.str("consent"), "pending");
    world.send(&seth, &alex, "first").ok(200);
    world.pass(10);
    let reply = world.send(&seth, &alex, "third").ok(200);
    assert_eq!(reply.str("consent"), "pending");
    assert_eq!(
        reply.effects,
        [Effect::Held {
            from: seth.handle.clone(),
            to: alex.handle.clone(),
        }]
    );
    assert_eq!(world.inbox(&alex), [""; 0]);
    let thread = world.get_as(&seth, "/messages/thread/alex").ok(200);
    assert_eq!(thread.bodies(), [""; 0]);

    let reply = world.accept(&alex, &seth).ok(200);
    assert_eq!(reply.str("consent"), "accepted");
    let (from, to) = (seth.handle.clone(), alex.handle.clone());
    assert!(
        reply
            .effects
            .contains(&Effect::Delivered { from, to, count: 3 })
    );
    assert_eq!(world.inbox(&alex), ["first", "second", "third"]);
    let reply = world.send(&seth, &alex, "fourth").ok(200);
    assert_eq!(reply.str("consent"), "accepted");
    assert_eq!(world.inbox(&alex), ["first", "second", "third", "fourth"]);
}

#[test]
fn agap_3_a_first_message_is_a_request_that_the_recipient_sees() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    world.send(&seth, &alex, "hello").ok(200);
    let inbox = world.get_as(&alex, "/messages").ok(200);
    assert_eq!(inbox.items("pendingRequests"), [Value::from("seth")]);
    assert_eq!(inbox.items("messages"), []);
    let list = world.get_as(&alex, "/consent?state=pending").ok(200);
    let entry = &list.items("incoming")[0];
    assert_eq!(entry.get("handle").unwrap().as_str(), Some("seth"));
    assert_eq!(entry.get("state").unwrap().as_str(), Some("pending"));
    // The sender does not appear in anybody's requests, and sees its own.
    let mine = world.get_as(&seth, "/consent").ok(200);
    assert_eq!(mine.items("incoming"), []);
    assert_eq!(mine.items("outgoing").len(), 1);
}

#[test]
fn agap_4_held_messages_are_dropped_when_their_sender_is_blocked() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    world.send(&seth, &alex, "one").ok(200);
    world.send(&seth, &alex, "two").ok(200);
    let reply = world.block(&alex, &seth).ok(200);
    assert_eq!(reply.str("consent"), "blocked");
    let (from, to) = (seth.handle.clone(), alex.handle.clone());
    assert!(
        reply
            .effects
            .contains(&Effect::Dropped { from, to, count: 2 })
    );
    world.accept(&alex, &seth).ok(200);
    assert_eq!(world.inbox(&alex), [""; 0]);
}

#[test]
fn a_blocked_sender_is_refused_whatever_it_sends() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    world.block(&alex, &seth).ok(200);
    let refused = world
        .send(&seth, &alex, "hello")
        .refused(403, "consent_blocked");
    assert_eq!(refused.detail("consent_status"), "blocked");
    world.ask(&seth, &alex).refused(403, "consent_blocked");
    world
        .handshake(&seth, &alex, "request")
        .refused(403, "consent_blocked");
    assert_eq!(world.state(&seth, &alex), Blocked);
    assert_eq!(world.inbox(&alex), [""; 0]);
}

#[test]
fn agap_1_acceptance_opens_both_directions() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    let reply = world.ask(&seth, &alex).ok(200);
    assert_eq!(reply.str("consent"), "pending");
    assert_eq!(world.state(&alex, &seth), Nothing);
    world.accept(&alex, &seth).ok(200);
    assert_eq!(world.state(&seth, &alex), Accepted);
    assert_eq!(world.state(&alex, &seth), Accepted);
    for (from, to) in [(&seth, &alex), (&alex, &seth)] {
        let reply = world.send(from, to, "hello").ok(200);
        assert_eq!(reply.str("consent"), "accepted");
    }
}

#[test]
fn agap_1_a_block_closes_only_the_blocked_senders_direction() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    world.block(&alex, &seth).ok(200);
    assert_eq!(world.state(&alex, &seth), Accepted);
    world.send(&alex, &seth, "still here").ok(200);
    assert_eq!(world.inbox(&seth), ["still here"]);
}

#[test]
fn agap_1_acceptance_does_not_lift_the_other_sides_block() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    world.block(&seth, &alex).ok(200);
    world.ask(&seth, &alex).ok(200);
    world.accept(&alex, &seth).ok(200);
    assert_eq!(world.state(&seth, &alex), Accepted);
    assert_eq!(world.state(&alex, &seth), Blocked);
    world
        .send(&alex, &seth, "hello")
        .refused(403, "consent_blocked");
}

#[test]
fn acceptance_that_nobody_asked_for_opens_one_direction() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    world.accept(&alex, &seth).ok(200);
    assert_eq!(world.state(&seth, &alex), Accepted);
    assert_eq!(world.state(&alex, &seth), Nothing);
}

#[test]
fn acceptance_lifts_ones_own_block_and_no_other() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    world.block(&alex, &seth).ok(200);
    world.accept(&seth, &alex).ok(200);
    assert_eq!(world.state(&seth, &alex), Blocked);
    world.accept(&alex, &seth).ok(200);
    assert_eq!(world.state(&seth, &alex), Accepted);
}

#[test]
fn requests_that_cross_are_both_answered_by_one_acceptance() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    world.send(&seth, &alex, "from seth").ok(200);
    world.send(&alex, &seth, "from alex").ok(200);
    assert_eq!(world.state(&seth, &alex), Pending);
    assert_eq!(world.state(&alex, &seth), Pending);
    world.accept(&alex, &seth).ok(200);
    assert_eq!(world.inbox(&alex), ["from seth"]);
    assert_eq!(world.inbox(&seth), ["from alex"]);
    assert_eq!(
        world.get_as(&seth, "/messages").items("pendingRequests"),
        []
    );
}

#[test]
fn a_second_request_changes_nothing_and_keeps_what_the_first_one_said() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    world.ask(&seth, &alex).ok(200);
    let again = world.notice(&seth, &alex, Some("Hey again!"));
    let reply = world.post("/consent/request", &again).ok(200);
    assert_eq!(reply.effects, []);
    let list = world.get_as(&alex, "/consent").ok(200);
    let entry = &list.items("incoming")[0];
    assert_eq!(entry.get("message").unwrap().as_str(), Some("Hey!"));
    world.accept(&alex, &seth).ok(200);
    let reply = world.ask(&seth, &alex).ok(200);
    assert_eq!(reply.str("consent"), "accepted");
}

#[test]
fn a_handshake_payload_requests_and_is_delivered_at_once() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    let reply = world.handshake(&seth, &alex, "request").ok(200);
    assert_eq!(reply.str("consent"), "pending");
    assert_eq!(world.inbox(&alex), ["handshake"]);
    // Idempotent, and not told again.
    let reply = world.handshake(&seth, &alex, "request").ok(200);
    assert_eq!(reply.str("consent"), "pending");
    assert_eq!(world.inbox(&alex), ["handshake"]);
    let list = world.get_as(&alex, "/consent").ok(200);
    let message = list.items("incoming")[0].get("message").unwrap();
    assert_eq!(message.as_str(), Some("Hey, want to connect?"));
}

#[test]
fn a_handshake_payload_accepts_and_tells_the_one_who_asked() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    world.send(&seth, &alex, "hello").ok(200);
    let reply = world.handshake(&alex, &seth, "accept").ok(200);
    assert_eq!(reply.str("consent"), "accepted");
    assert_eq!(world.inbox(&alex), ["hello"]);
    assert_eq!(world.inbox(&seth), ["handshake"]);
    assert_eq!(world.state(&alex, &seth), Accepted);
}

#[test]
fn a_handshake_payload_blocks_and_tells_only_whom_consent_lets_it_tell() {
    let mut world = World::new();
    let [seth, alex, mallory] = world.agents(["seth", "alex", "mallory"]);
    world.send(&mallory, &alex, "spam").ok(200);
    let reply = world.handshake(&alex, &mallory, "block").ok(200);
    assert_eq!(reply.str("consent"), "blocked");
    assert_eq!(world.inbox(&mallory), [""; 0]);
    assert_eq!(world.state(&alex, &mallory), Nothing);

    world.ask(&seth, &alex).ok(200);
    world.accept(&alex, &seth).ok(200);
    world.handshake(&alex, &seth, "block").ok(200);
    assert_eq!(world.inbox(&seth), ["handshake"]);
    world
        .send(&seth, &alex, "why")
        .refused(403, "consent_blocked");
}

#[test]
fn a_handshake_that_is_none_is_refused() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    let refused = world.handshake(&seth, &alex, "marry");
    refused.refused(400, "invalid_request");
    world
        .handshake(&seth, &seth, "request")
        .refused(400, "invalid_request");
    assert_eq!(world.inbox(&alex), [""; 0]);
}

#[test]
fn agap_3_no_more_is_held_than_the_bounds_allow() {
    let mut world = World::with(Settings {
        max_held_per_pair: 2,
        max_held_per_recipient: 3,
        ..open()
    });
    let [seth, alex, kim] = world.agents(["seth", "alex", "kim"]);
    world.send(&seth, &alex, "one").ok(200);
    world.send(&seth, &alex, "two").ok(200);
    let refused = world
        .send(&seth, &alex, "three")
        .refused(429, "rate_limited");
    assert_eq!(refused.detail("consent_status"), "pending");
    world.send(&kim, &alex, "four").ok(200);
    world.send(&kim, &alex, "five").refused(429, "rate_limited");
    // Somebody new finds no room, and no request is left behind.
    let late = world.agent("late");
    let refused = world.send(&late, &alex, "six");
    let refused = refused.refused(429, "rate_limited");
    assert_eq!(refused.detail("consent_status"), "none");
    assert_eq!(world.state(&late, &alex), Nothing);
    // A handshake is never held.
    world.handshake(&late, &alex, "request").ok(200);
    world.accept(&alex, &seth).ok(200);
    assert_eq!(world.inbox(&alex), ["handshake", "one", "two"]);
    world.send(&kim, &alex, "five").ok(200);
}

#[test]
fn a_message_that_found_no_room_may_come_again_under_its_id() {
    let mut world = World::with(Settings {
        max_held_per_pair: 1,
        ..open()
    });
    let [seth, alex] = world.agents(["seth", "alex"]);
    world.send(&seth, &alex, "one").ok(200);
    let message = world.message(&seth, &alex, "two");
    world
        .post("/messages", &message)
        .refused(429, "rate_limited");
    world.accept(&alex, &seth).ok(200);
    let nonce = world.nonce();
    let again = crate::support::altered(&message, &seth, [("nonce", nonce.into())]);
    world.post("/messages", &again).ok(200);
    assert_eq!(world.inbox(&alex), ["one", "two"]);
}

#[test]
fn a_registry_that_holds_nothing_requires_consent_and_still_asks_for_it() {
    let mut world = World::with(Settings {
        max_held_per_pair: 0,
        ..open()
    });
    let [seth, alex] = world.agents(["seth", "alex"]);
    for _ in 0..2 {
        let refused = world
            .send(&seth, &alex, "hello")
            .refused(403, "consent_required");
        assert_eq!(refused.detail("consent_status"), "pending");
    }
    let inbox = world.get_as(&alex, "/messages").ok(200);
    assert_eq!(inbox.items("pendingRequests"), [Value::from("seth")]);
    world.accept(&alex, &seth).ok(200);
    assert_eq!(world.inbox(&alex), [""; 0]);
    world.send(&seth, &alex, "hello").ok(200);
}

#[test]
fn a_strict_message_is_refused_rather_than_held() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    let strict = |world: &mut World| {
        let message = world.message(&seth, &alex, "now or never");
        let strict = crate::support::altered(&message, &seth, [("strict", true.into())]);
        world.post("/messages", &strict)
    };
    let refused = strict(&mut world).refused(403, "consent_required");
    assert_eq!(refused.detail("consent_status"), "none");
    assert_eq!(world.state(&seth, &alex), Nothing);
    world.ask(&seth, &alex).ok(200);
    let refused = strict(&mut world).refused(403, "consent_required");
    assert_eq!(refused.detail("consent_status"), "pending");
    world.accept(&alex, &seth).ok(200);
    strict(&mut world).ok(200);
    assert_eq!(world.inbox(&alex), ["now or never"]);
}

#[test]
fn agap_2_who_acts_is_from_and_must_have_signed() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    world.ask(&seth, &alex).ok(200);
    // The one who asked cannot accept in the name of the one who was asked.
    let forged = world.notice(&alex, &seth, None);
    let forged = crate::support::altered(&forged, &seth, []);
    for path in ["/consent/accept", "/consent/block", "/consent/request"] {
        world.post(path, &forged).refused(401, "auth_failed");
    }
    // In their own name, they only accept what the other one may send.
    world.accept(&seth, &alex).ok(200);
    assert_eq!(world.state(&seth, &alex), Pending);
    assert_eq!(world.state(&alex, &seth), Accepted);
}

#[test]
fn consent_is_of_two_who_exist() {
    let mut world = World::new();
    let seth = world.agent("seth");
    let nobody = crate::support::Agent::new("nobody", 1);
    for path in ["/consent/request", "/consent/accept", "/consent/block"] {
        let notice = world.notice(&seth, &seth, None);
        world.post(path, &notice).refused(400, "invalid_request");
        let notice = world.notice(&seth, &nobody, None);
        let refused = world.post(path, &notice).refused(404, "identity_not_found");
        assert_eq!(refused.detail("handle"), "nobody");
        let notice = world.notice(&nobody, &seth, None);
        world.post(path, &notice).refused(404, "identity_not_found");
    }
}

#[test]
fn the_consent_status_is_told_both_ways_and_only_to_the_two() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    world.ask(&seth, &alex).ok(200);
    for (agent, peer, outgoing, incoming) in [
        (&seth, "alex", "pending", "none"),
        (&alex, "seth", "none", "pending"),
    ] {
        let reply = world.get_as(agent, &format!("/consent/{peer}")).ok(200);
        assert_eq!(reply.str("handle"), peer);
        assert_eq!(reply.str("outgoing"), outgoing);
        assert_eq!(reply.str("incoming"), incoming);
    }
    world.get("/consent/alex").refused(401, "auth_failed");
    world.get("/consent").refused(401, "auth_failed");
    let reply = world.get_as(&seth, "/consent/nobody");
    reply.refused(404, "identity_not_found");
    let reply = world.get_as(&seth, "/consent?state=maybe");
    reply.refused(400, "invalid_request");
}

#[test]
fn the_list_of_consents_can_be_narrowed_and_is_bounded() {
    let mut world = World::new();
    let [alex, one, two, three] = world.agents(["alex", "one", "two", "three"]);
    for agent in [&one, &two, &three] {
        world.ask(agent, &alex).ok(200);
        world.pass(1);
    }
    world.accept(&alex, &one).ok(200);
    world.pass(1);
    world.block(&alex, &two).ok(200);
    let handles = |world: &mut World, target: &str| -> Vec<String> {
        let reply = world.get_as(&alex, target).ok(200);
        let handle = |entry: &Value| entry.get("handle").unwrap().as_str().unwrap().to_string();
        reply.items("incoming").iter().map(handle).collect()
    };
    assert_eq!(handles(&mut world, "/consent"), ["two", "one", "three"]);
    assert_eq!(handles(&mut world, "/consent?state=accepted"), ["one"]);
    assert_eq!(handles(&mut world, "/consent?state=blocked"), ["two"]);
    assert_eq!(handles(&mut world, "/consent?state=none"), [""; 0]);
    assert_eq!(handles(&mut world, "/v0/consent?limit=1"), ["two"]);
}
