//! Rotation of keys: section 6.2, AGAP-6.

use airc_core::key::to_spki_base64;
use airc_core::registry::Effect;

use crate::support::{World, altered};

const DAY: u64 = 86_400;

#[test]
fn agap_6_both_keys_are_accepted_in_the_grace_period_and_never_after() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    let (new, reply) = world.rotate(&seth, 2);
    let reply = reply.ok(200);
    assert_eq!(reply.effects, [Effect::Rotated(seth.handle.clone())]);
    assert_eq!(
        reply.str("publicKey"),
        to_spki_base64(&new.signer.public_key())
    );
    let old_key = to_spki_base64(&seth.signer.public_key());
    assert_eq!(reply.str("previousPublicKey"), old_key);
    assert_eq!(reply.str("previousKeyValidUntil"), "2026-01-03T00:00:00Z");
    for key in [&seth, &new] {
        world.send(key, &alex, "hello").ok(200);
        world.beat(key, None, None).ok(200);
        world.get_as(key, "/messages").ok(200);
        world.accept(key, &alex).ok(200);
    }
    world.pass(DAY - 1);
    world.send(&seth, &alex, "the last one").ok(200);
    assert_eq!(
        world.get("/identity/seth").str("previousPublicKey"),
        old_key
    );
    world.pass(1);
    world
        .send(&seth, &alex, "too late")
        .refused(401, "auth_failed");
    world.beat(&seth, None, None).refused(401, "auth_failed");
    world.get_as(&seth, "/messages").refused(401, "auth_failed");
    let shown = world.get("/identity/seth").ok(200);
    assert_eq!(shown.body.get("previousPublicKey"), None);
    assert_eq!(shown.body.get("previousKeyValidUntil"), None);
    world.pass(100 * DAY);
    world
        .send(&seth, &alex, "never")
        .refused(401, "auth_failed");
    world.send(&new, &alex, "hello").ok(200);
}

#[test]
fn agap_6_a_second_rotation_in_the_grace_period_drops_the_oldest_key() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    let (second, reply) = world.rotate(&seth, 2);
    reply.ok(200);
    let (third, reply) = world.rotate(&second, 3);
    reply.ok(200);
    world
        .send(&seth, &alex, "hello")
        .refused(401, "auth_failed");
    world.send(&second, &alex, "hello").ok(200);
    world.send(&third, &alex, "hello").ok(200);
}

#[test]
fn agap_6_only_the_current_key_rotates_or_updates() {
    let mut world = World::new();
    let seth = world.agent("seth");
    let (new, reply) = world.rotate(&seth, 2);
    reply.ok(200);
    // Whoever got hold of the old key cannot take the handle back with it.
    let (_, reply) = world.rotate(&seth, 3);
    reply.refused(401, "auth_failed");
    let body = world.registration(&new, &["handoff"]);
    let body = altered(&body, &seth, []);
    world.post("/identity", &body).refused(401, "auth_failed");
    let (_, reply) = world.rotate(&new, 3);
    reply.ok(200);
}

#[test]
fn a_rotation_to_the_same_key_is_refused() {
    let mut world = World::new();
    let seth = world.agent("seth");
    let (_, reply) = world.rotate(&seth, 1);
    reply.refused(400, "invalid_request");
}

#[test]
fn a_rotation_for_nobody_is_refused() {
    let mut world = World::new();
    let (_, reply) = world.rotate(&crate::support::Agent::new("nobody", 1), 2);
    reply.refused(404, "identity_not_found");
}

#[test]
fn a_signature_that_was_checked_with_a_key_that_is_gone_is_not_believed() {
    use airc_core::registry::{Credentials, Method, Request};
    use airc_core::store::Store;

    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    let message = world.message(&seth, &alex, "hello").to_string();
    let request = Request {
        method: Method::Post,
        target: "/messages",
        credentials: Credentials::default(),
        body: message.as_bytes(),
        entropy: [0; 32],
    };
    let mut call = world.registry.read(&request).unwrap();
    let identity = world.store.identity(&seth.handle).unwrap();
    assert_eq!(call.signer(), Some(&seth.handle));
    assert!(call.check(identity.as_ref(), world.now));
    // Between the check and the transaction, the key is replaced twice.
    let (second, reply) = world.rotate(&seth, 2);
    reply.ok(200);
    let (_, reply) = world.rotate(&second, 3);
    reply.ok(200);
    let answer = world.registry.apply(&call, world.now, &mut world.store);
    let refusal = answer.unwrap().result.unwrap_err();
    assert_eq!(refusal.code.as_str(), "auth_failed");

    // And the other way round: a check that failed does not stand against a key that came later.
    let third = seth.with_key(3);
    let (fourth, _) = (third.with_key(4), ());
    let message = world.message(&fourth, &alex, "hello").to_string();
    let request = Request {
        body: message.as_bytes(),
        ..request
    };
    let mut call = world.registry.read(&request).unwrap();
    let identity = world.store.identity(&seth.handle).unwrap();
    assert!(!call.check(identity.as_ref(), world.now));
    assert!(!call.check(None, world.now));
    let (_, reply) = world.rotate(&third, 4);
    reply.ok(200);
    let answer = world.registry.apply(&call, world.now, &mut world.store);
    answer.unwrap().result.unwrap();
}
