//! Identities: sections 2.1 and 4.1, AGAP-8, AGAP-13, AGAP-14.

use airc_core::json::{Value, object};
use airc_core::key::to_spki_base64;
use airc_core::registry::{Effect, Settings, hash_secret};
use airc_core::store::{InviteRecord, Store};

use crate::support::{Agent, World, altered, open};

/// A registration that nobody signed, as the text's own example.
fn unsigned(agent: &Agent) -> Value {
    object([
        ("handle", agent.handle.as_str().into()),
        (
            "publicKey",
            to_spki_base64(&agent.signer.public_key()).into(),
        ),
        (
            "capabilities",
            object([
                ("payloads", Vec::from(["game:tictactoe"]).into()),
                ("delivery", Vec::from(["poll"]).into()),
            ]),
        ),
    ])
}

fn without_proof() -> Settings {
    Settings {
        require_proof: false,
        ..open()
    }
}

#[test]
fn a_registered_identity_is_shown_with_key_capabilities_and_presence() {
    let mut world = World::new();
    let seth = Agent::new("seth", 1);
    let body = world.registration(&seth, &["game:chess", "handoff"]);
    let reply = world.post("/v0/identity", &body).ok(201);
    assert_eq!(reply.effects, [Effect::Registered(seth.handle.clone())]);
    assert_eq!(reply.body.get("success"), Some(&true.into()));
    let shown = world.get("/identity/seth").ok(200);
    for reply in [&reply, &shown] {
        assert_eq!(reply.str("handle"), "seth");
        assert_eq!(reply.str("domain"), "example.com");
        let key = to_spki_base64(&seth.signer.public_key());
        assert_eq!(reply.str("publicKey"), key);
        assert_eq!(reply.str("createdAt"), "2026-01-02T00:00:00Z");
        assert_eq!(reply.str("did"), "did:web:example.com:agents:seth");
        assert_eq!(
            reply.body.get("capabilities").unwrap().to_string(),
            r#"{"delivery":["poll"],"maxPayloadSize":65536,"payloads":["game:chess","handoff"]}"#
        );
        assert_eq!(reply.body.get("previousPublicKey"), None);
    }
    assert_eq!(shown.body.get("presence"), Some(&Value::Null));
    assert_eq!(shown.body.get("success"), None);
    world.beat(&seth, None, Some("building auth.js")).ok(200);
    let shown = world.get("/v0/identity/seth").ok(200);
    let presence = shown.body.get("presence").unwrap();
    assert_eq!(presence.get("status").unwrap().as_str(), Some("online"));
    assert_eq!(
        presence.get("context").unwrap().as_str(),
        Some("building auth.js")
    );
}

#[test]
fn a_key_is_taken_in_each_of_its_forms_and_shown_in_one() {
    let mut world = World::with(without_proof());
    let seth = Agent::new("seth", 1);
    let raw = seth.signer.public_key().0;
    let encode = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
    let url = data_encoding::BASE64URL_NOPAD.encode(&raw);
    let spki = to_spki_base64(&seth.signer.public_key());
    let forms = [
        spki.clone(),
        format!("ed25519:{spki}"),
        encode(&raw),
        format!("ed25519:{}", encode(&raw)),
        url,
    ];
    for (at, form) in forms.into_iter().enumerate() {
        let body = altered(
            &unsigned(&seth),
            &seth,
            [
                ("handle", format!("seth_{at}").into()),
                ("publicKey", form.into()),
            ],
        );
        assert_eq!(
            world.post("/identity", &body).ok(201).str("publicKey"),
            spki
        );
    }
}

#[test]
fn agap_8_a_handle_is_up_to_32_lower_case_letters_digits_and_underscores() {
    let mut world = World::with(without_proof());
    let seth = Agent::new("seth", 1);
    for (name, status) in [
        ("a", 201),
        ("_", 201),
        (&"x".repeat(32)[..], 201),
        (&"x".repeat(33)[..], 400),
        ("", 400),
        ("Seth", 400),
        ("a-b", 400),
        ("@seth", 400),
        ("sëth", 400),
    ] {
        let mut body = unsigned(&seth).into_object().unwrap();
        body.insert("handle", name);
        let reply = world.post("/identity", &body.into());
        assert_eq!(reply.status, status, "{name}");
    }
    world.get("/identity/Seth").refused(400, "invalid_request");
    world
        .get("/identity/seth")
        .refused(404, "identity_not_found");
}

#[test]
fn agap_14_a_registration_is_signed_by_the_key_that_it_brings() {
    let mut world = World::new();
    let seth = Agent::new("seth", 1);
    world
        .post("/identity", &unsigned(&seth))
        .refused(401, "auth_failed");
    // Signed by another key than its own: somebody else's key is not registered.
    let body = world.registration(&seth, &[]);
    let forged = altered(&body, &seth.with_key(2), []);
    let refused = world.post("/identity", &forged).refused(401, "auth_failed");
    assert_eq!(
        refused.effects,
        [Effect::SignatureRefused(seth.handle.clone())]
    );
    let mut garbage = body.as_object().unwrap().clone();
    garbage.insert("signature", "not base64!");
    world
        .post("/identity", &garbage.into())
        .refused(401, "auth_failed");
    // Neither a timestamp nor a nonce is needed for a new handle; a stale one is refused.
    let stale = (world.seconds() - 301).into();
    let stale = altered(&body, &seth, [("timestamp", stale)]);
    world
        .post("/identity", &stale)
        .refused(401, "replay_detected");
    let timeless = altered(&unsigned(&seth), &seth, []);
    world.post("/identity", &timeless).ok(201);
}

#[test]
fn agap_14_proof_is_optional_where_the_operator_says_so_but_never_wrong() {
    let mut world = World::with(without_proof());
    let seth = Agent::new("seth", 1);
    let forged = altered(&unsigned(&seth), &seth.with_key(2), []);
    world.post("/identity", &forged).refused(401, "auth_failed");
    world.post("/identity", &unsigned(&seth)).ok(201);
}

#[test]
fn a_taken_handle_is_not_handed_out_again() {
    let mut world = World::with(without_proof());
    let seth = world.agent("seth");
    let thief = seth.with_key(2);
    let before = world.get("/identity/seth").text;
    for body in [
        unsigned(&thief),
        unsigned(&seth),
        altered(&unsigned(&seth), &seth, []),
        world.registration(&thief, &[]),
        {
            let body = world.registration(&seth, &[]);
            altered(&body, &thief, [])
        },
    ] {
        let refused = world.post("/identity", &body).refused(401, "auth_failed");
        assert_eq!(refused.detail("reason"), "handle_taken");
    }
    assert_eq!(world.get("/identity/seth").text, before);
}

#[test]
fn an_owner_updates_what_is_registered_and_keeps_the_rest() {
    let mut world = World::new();
    let seth = world.agent("seth");
    world.pass(5);
    let uri = object([("uri", "aire://node.example.com:4433".into())]);
    let body = world.registration(&seth, &["handoff"]);
    let body = altered(&body, &seth, [("aire", uri)]);
    let reply = world.post("/identity", &body).ok(200);
    assert_eq!(reply.effects, [Effect::Updated(seth.handle.clone())]);
    assert_eq!(reply.caller, Some(seth.handle.clone()));
    assert_eq!(reply.str("createdAt"), "2026-01-02T00:00:00Z");
    let listed = |reply: &crate::support::Reply| {
        let capabilities = reply.body.get("capabilities").unwrap();
        capabilities.get("payloads").unwrap().to_string()
    };
    assert_eq!(listed(&reply), r#"["handoff"]"#);
    // Endpoints stay until they are replaced, and go with an empty list.
    let body = world.registration(&seth, &["handoff"]);
    let reply = world.post("/identity", &body).ok(200);
    assert_eq!(reply.items("aire").len(), 1);
    let body = world.registration(&seth, &["handoff"]);
    let body = altered(&body, &seth, [("aire", Vec::<Value>::new().into())]);
    let reply = world.post("/identity", &body).ok(200);
    assert_eq!(reply.body.get("aire"), None);
    // An update that comes twice is a replay.
    world
        .post("/identity", &body)
        .refused(401, "replay_detected");
}

#[test]
fn an_update_does_not_replace_the_key() {
    let mut world = World::new();
    let seth = world.agent("seth");
    let body = world.registration(&seth.with_key(2), &[]);
    let body = altered(&body, &seth, []);
    world
        .post("/identity", &body)
        .refused(400, "invalid_request");
}

#[test]
fn a_payload_size_is_at_most_what_the_registry_allows() {
    let mut world = World::with(Settings {
        max_payload: 1000,
        ..open()
    });
    let seth = Agent::new("seth", 1);
    for (asked, given) in [(Some(10_u64), 10), (Some(5000), 1000), (None, 1000)] {
        let body = world.registration(&seth, &[]);
        let mut capabilities = body
            .get("capabilities")
            .unwrap()
            .as_object()
            .unwrap()
            .clone();
        capabilities.insert_some("maxPayloadSize", asked);
        let body = altered(&body, &seth, [("capabilities", capabilities.into())]);
        let reply = world.post("/identity", &body);
        let size = reply
            .body
            .get("capabilities")
            .unwrap()
            .get("maxPayloadSize");
        assert_eq!(size.unwrap().as_u64(), Some(given));
    }
}

fn invite(uses_left: Option<u32>, expires: Option<airc_core::time::Time>) -> InviteRecord {
    InviteRecord {
        id: "first".into(),
        hash: hash_secret("an invite"),
        note: String::new(),
        uses_left,
        expires,
        created: airc_core::time::Time(0),
        revoked: false,
    }
}

#[test]
fn agap_13_a_closed_registry_takes_new_handles_only_with_an_invite() {
    let mut world = World::with(Settings::new("example.com"));
    world.store.put_invite(&invite(Some(1), None)).unwrap();
    let seth = Agent::new("seth", 1);
    let body = world.registration(&seth, &[]);
    world.post("/identity", &body).refused(401, "auth_failed");
    let body = world.registration(&seth, &[]);
    let refused = world.post_bearing("another", "/identity", &body);
    refused.refused(401, "auth_failed");
    // Who is refused for something else keeps the invite.
    let forged = altered(&body, &seth.with_key(2), []);
    let refused = world.post_bearing("an invite", "/identity", &forged);
    refused.refused(401, "auth_failed");
    let body = world.registration(&seth, &[]);
    world.post_bearing("an invite", "/identity", &body).ok(201);
    // Its owner needs no invite for an update, and it was good for one use.
    let body = world.registration(&seth, &[]);
    world.post("/identity", &body).ok(200);
    let alex = Agent::new("alex", 1);
    let body = world.registration(&alex, &[]);
    let refused = world.post_bearing("an invite", "/identity", &body);
    refused.refused(401, "auth_failed");
}

#[test]
fn agap_13_an_invite_ends_with_its_time_and_when_it_is_revoked() {
    let mut world = World::with(Settings::new("example.com"));
    let end = world.now.after_seconds(60);
    world.store.put_invite(&invite(None, Some(end))).unwrap();
    let join = |world: &mut World, name: &str| {
        let body = world.registration(&Agent::new(name, 1), &[]);
        world.post_bearing("an invite", "/identity", &body).status
    };
    assert_eq!(join(&mut world, "one"), 201);
    assert_eq!(join(&mut world, "two"), 201);
    world.pass(60);
    assert_eq!(join(&mut world, "three"), 401);
    world.store.put_invite(&invite(None, None)).unwrap();
    assert_eq!(join(&mut world, "three"), 201);
    assert!(world.store.revoke_invite("first").unwrap());
    assert_eq!(join(&mut world, "four"), 401);
}

#[test]
fn an_endpoint_that_no_resolver_takes_is_refused() {
    let mut world = World::new();
    let seth = Agent::new("seth", 1);
    for uri in ["https://example.com", "aire://seth@example.com", "aire://"] {
        let body = world.registration(&seth, &[]);
        let body = altered(&body, &seth, [("aire", object([("uri", uri.into())]))]);
        world
            .post("/identity", &body)
            .refused(400, "invalid_request");
    }
}
