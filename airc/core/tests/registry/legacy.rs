//! The `/api` dialect.

use airc_core::json::{Value, object};
use airc_core::registry::{Effect, Method, Settings, hash_secret};
use airc_core::store::{ConsentState, InviteRecord, Store};

use crate::support::{Agent, Reply, World, altered, handle, open};

/// An object of texts.
fn texts<const N: usize>(fields: [(&str, &str); N]) -> Value {
    object(fields.map(|(name, value)| (name, value.into())))
}

fn register(world: &mut World, name: &str) -> Reply {
    let body = texts([
        ("action", "register"),
        ("username", name),
        ("workingOn", "chess"),
    ]);
    world.post("/api/presence", &body)
}

/// The token of a new agent without a key.
fn token(world: &mut World, name: &str) -> String {
    register(world, name).ok(201).str("token").into()
}

fn send(world: &mut World, token: &str, to: &str, words: &str) -> Reply {
    let body = texts([("to", to), ("text", words)]);
    world.post_bearing(token, "/api/messages", &body)
}

fn consent(world: &mut World, token: &str, action: &str, peer: &str) -> Reply {
    let body = texts([("action", action), ("handle", peer)]);
    world.post_bearing(token, "/api/consent", &body)
}

/// The tokens of two who have accepted each other.
fn friends(world: &mut World, one: &str, two: &str) -> (String, String) {
    let tokens = (token(world, one), token(world, two));
    consent(world, &tokens.0, "request", two).ok(200);
    consent(world, &tokens.1, "accept", one).ok(200);
    tokens
}

#[track_caller]
fn refused(reply: &Reply, status: u16, error: &str, code: &str) {
    assert_eq!(reply.status, status, "{}", reply.text);
    assert_eq!(reply.body.get("success"), Some(&false.into()));
    assert_eq!(reply.str("error"), error);
    assert!(reply.str("message").len() > 10);
    let ours = reply.body.get("airc").expect("our error object");
    assert_eq!(ours.get("code").and_then(Value::as_str), Some(code));
}

#[test]
fn what_the_python_client_does_works_unchanged() {
    let mut world = World::new();
    let registered = register(&mut world, "my_agent").ok(201);
    assert_eq!(registered.body.get("success"), Some(&true.into()));
    assert!(registered.str("sessionId").starts_with("sess_"));
    let token = registered.str("token").to_string();
    let other = self::token(&mut world, "other");
    consent(&mut world, &other, "accept", "my_agent").ok(200);

    let beat = texts([
        ("action", "heartbeat"),
        ("username", "my_agent"),
        ("status", "available"),
    ]);
    world.post_bearing(&token, "/api/presence", &beat).ok(200);
    let message = texts([
        ("from", "my_agent"),
        ("to", "other"),
        ("type", "text"),
        ("text", "hello"),
    ]);
    let sent = world
        .post_bearing(&token, "/api/messages", &message)
        .ok(200);
    assert_eq!(sent.body.get("success"), Some(&true.into()));

    let since = world.seconds() - 1;
    let polled = world.get_bearing(&other, &format!("/api/messages?user=other&since={since}"));
    let polled = polled.ok(200);
    let message = &polled.items("messages")[0];
    for (name, value) in [("from", "my_agent"), ("text", "hello"), ("body", "hello")] {
        assert_eq!(message.get(name).and_then(Value::as_str), Some(value));
    }
    let who = world.get("/api/presence").ok(200);
    let names: Vec<_> = who
        .items("users")
        .iter()
        .map(|it| it.get("username"))
        .collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&Some(&"my_agent".into())));
    assert_eq!(
        who.items("users")[0]
            .get("workingOn")
            .and_then(Value::as_str),
        Some("chess")
    );
}

#[test]
fn agap_8_handles_are_normalised_and_have_3_to_32_characters() {
    let mut world = World::new();
    assert_eq!(
        register(&mut world, "@My-Agent").ok(201).str("handle"),
        "my_agent"
    );
    world.get("/api/identity/MY-AGENT").ok(200);
    assert_eq!(
        world.get("/identity/my_agent").ok(200).str("handle"),
        "my_agent"
    );
    for bad in ["ab", "@ab", "", "a.b.c", &"x".repeat(33)] {
        let reply = register(&mut world, bad);
        assert_eq!(reply.status, 400, "{bad}");
        assert_eq!(reply.str("error"), reply.str("message"));
    }
    world.post("/api/presence", &object::<&str>([])).ok(400);
}

#[test]
fn a_registration_without_a_key_is_an_identity_without_one() {
    let mut world = World::new();
    register(&mut world, "seth").ok(201);
    let shown = world.get("/identity/seth").ok(200);
    assert_eq!(shown.body.get("publicKey"), Some(&Value::Null));
    assert_eq!(shown.body.get("did"), None);
    world
        .get("/agents/seth/did.json")
        .refused(404, "identity_not_found");
    let shown = world.get("/api/identity/seth").ok(200);
    assert_eq!(shown.body.get("public_key"), Some(&Value::Null));
    assert_eq!(shown.str("presence"), "active");
    assert_eq!(shown.str("since"), "2026-01-02T00:00:00.000Z");
    // What it signs is refused: there is no key to verify it with.
    let seth = Agent::new("seth", 1);
    world.beat(&seth, None, None).refused(401, "auth_failed");
}

#[test]
fn a_registration_with_a_key_is_a_whole_identity() {
    let mut world = World::new();
    let seth = Agent::new("seth", 1);
    let key = airc_core::key::to_spki_base64(&seth.signer.public_key());
    let body = texts([
        ("action", "register"),
        ("username", "seth"),
        ("publicKey", &key),
    ]);
    world.post("/api/presence", &body).ok(201);
    assert_eq!(world.get("/identity/seth").str("publicKey"), key);
    let shown = world.get("/api/identity/seth").ok(200);
    assert!(shown.str("public_key").starts_with("ed25519:"));
    let alex = world.agent("alex");
    world.accept(&alex, &seth).ok(200);
    world.send(&seth, &alex, "signed").ok(200);
    world.get_as(&seth, "/messages").ok(200);
    let bad = texts([
        ("action", "register"),
        ("username", "kim"),
        ("publicKey", "x"),
    ]);
    refused(
        &world.post("/api/presence", &bad),
        400,
        "publicKey: a key is base64 or base64url",
        "invalid_request",
    );
}

#[test]
fn a_taken_handle_is_not_handed_out_again_without_its_token_or_its_key() {
    let mut world = World::new();
    let token = token(&mut world, "seth");
    refused(
        &register(&mut world, "seth"),
        409,
        "handle_taken",
        "auth_failed",
    );
    let other = self::token(&mut world, "other");
    let body = texts([("action", "register"), ("username", "seth")]);
    let reply = world.post_bearing(&other, "/api/presence", &body);
    refused(&reply, 409, "handle_taken", "auth_failed");
    // With its token it is, and the token stays what it was.
    let again = world.post_bearing(&token, "/api/presence", &body).ok(200);
    assert_eq!(again.str("action"), "login");
    assert_eq!(again.str("token"), token);
    // One that has a key: by signed headers.
    let alex = world.agent("alex");
    refused(
        &register(&mut world, "alex"),
        409,
        "handle_taken",
        "auth_failed",
    );
    let login = |world: &mut World, signer: &Agent| {
        let body = texts([("action", "register"), ("username", "alex")]).to_string();
        let headers = world.headers(signer, "POST", "/api/presence");
        world.with_headers(&headers, Method::Post, "/api/presence", body.as_bytes())
    };
    let reply = login(&mut world, &alex).ok(200);
    let token = reply.str("token").to_string();
    world.get_bearing(&token, "/messages").ok(200);
    let reply = login(&mut world, &alex.with_key(2));
    refused(&reply, 409, "handle_taken", "auth_failed");
    let seth = Agent::new("seth", 1);
    refused(
        &login(&mut world, &seth),
        403,
        "not_your_handle",
        "auth_failed",
    );
}

#[test]
fn a_taken_handle_without_a_key_is_handed_out_where_the_operator_dares() {
    let mut world = World::with(Settings {
        danger_legacy_takeover: true,
        ..open()
    });
    let first = token(&mut world, "seth");
    let again = register(&mut world, "seth").ok(200);
    assert_eq!(again.str("action"), "login");
    assert_ne!(again.str("token"), first);
    world
        .get_bearing(again.str("token"), "/api/messages")
        .ok(200);
    world.agent("alex");
    refused(
        &register(&mut world, "alex"),
        409,
        "handle_taken",
        "auth_failed",
    );
}

#[test]
fn a_key_is_added_to_a_handle_without_one_by_whoever_bears_its_token() {
    for path in ["/identity", "/api/presence"] {
        let mut world = World::new();
        let token = token(&mut world, "seth");
        let seth = Agent::new("seth", 1);
        let body = |world: &mut World| {
            let body = world.registration(&seth, &[]);
            let changes = [("action", "register".into()), ("username", "seth".into())];
            altered(&body, &seth, changes)
        };
        let bare = body(&mut world);
        assert!(world.post(path, &bare).status >= 400);
        let other = self::token(&mut world, "other");
        let bare = body(&mut world);
        assert!(world.post_bearing(&other, path, &bare).status >= 400);
        let forged = body(&mut world);
        let forged = altered(&forged, &seth.with_key(2), []);
        assert!(world.post_bearing(&token, path, &forged).status >= 400);
        assert_eq!(
            world.get("/identity/seth").body.get("publicKey"),
            Some(&Value::Null)
        );
        let good = body(&mut world);
        let reply = world.post_bearing(&token, path, &good).ok(200);
        assert!(reply.effects.contains(&Effect::Updated(handle("seth"))));
        world.beat(&seth, None, None).ok(200);
        // Another key does not take its place.
        let second = seth.with_key(2);
        let key = airc_core::key::to_spki_base64(&second.signer.public_key());
        let body = texts([
            ("action", "register"),
            ("username", "seth"),
            ("publicKey", &key),
        ]);
        let reply = world.post_bearing(&token, "/api/presence", &body);
        assert_eq!(reply.status, 400);
    }
}

#[test]
fn agap_13_a_closed_registry_wants_an_invite_here_too() {
    let mut world = World::with(Settings::new("example.com"));
    let reply = register(&mut world, "seth");
    refused(&reply, 401, "unauthorized", "auth_failed");
    world
        .store
        .put_invite(&InviteRecord {
            id: "first".into(),
            hash: hash_secret("an invite"),
            note: String::new(),
            uses_left: Some(1),
            expires: None,
            created: world.now,
            revoked: false,
        })
        .unwrap();
    let body = texts([("action", "register"), ("username", "seth")]);
    let reply = world
        .post_bearing("an invite", "/api/presence", &body)
        .ok(201);
    let token = reply.str("token").to_string();
    world.post_bearing(&token, "/api/presence", &body).ok(200);
    let body = texts([("action", "register"), ("username", "alex")]);
    let reply = world.post_bearing("an invite", "/api/presence", &body);
    refused(&reply, 401, "unauthorized", "auth_failed");
}

#[test]
fn a_token_is_kept_as_its_hash_and_ends_unless_heartbeats_extend_it() {
    let mut world = World::with(Settings {
        session_life: 1000,
        ..open()
    });
    let token = token(&mut world, "seth");
    let session = world.store.session(&hash_secret(&token)).unwrap().unwrap();
    assert_eq!(session.handle, handle("seth"));
    assert_eq!(session.expires, world.now.after_seconds(1000));
    let beat = texts([("action", "heartbeat")]);
    for _ in 0..5 {
        world.pass(600);
        world.post_bearing(&token, "/api/presence", &beat).ok(200);
    }
    world.pass(999);
    world.get_bearing(&token, "/api/messages").ok(200);
    world.pass(1);
    let reply = world.get_bearing(&token, "/api/messages");
    refused(&reply, 401, "unauthorized", "auth_failed");
    let reply = world.post_bearing(&token, "/api/presence", &beat);
    refused(&reply, 401, "unauthorized", "auth_failed");
}

#[test]
fn a_heartbeat_keeps_what_was_said_before_and_may_say_something_new() {
    let mut world = World::new();
    let token = token(&mut world, "seth");
    let beat = |world: &mut World, body: &Value| world.post_bearing(&token, "/api/presence", body);
    let reply = beat(&mut world, &object::<&str>([])).ok(200);
    let presence = reply.body.get("presence").unwrap();
    assert_eq!(presence.get("workingOn").unwrap().as_str(), Some("chess"));
    let body = texts([("handle", "seth"), ("workingOn", "go"), ("status", "busy")]);
    beat(&mut world, &body).ok(200);
    let shown = world.get("/identity/seth").ok(200);
    let presence = shown.body.get("presence").unwrap();
    assert_eq!(presence.get("context").unwrap().as_str(), Some("go"));
    assert_eq!(presence.get("status").unwrap().as_str(), Some("busy"));
    let reply = beat(
        &mut world,
        &texts([("action", "heartbeat"), ("username", "alex")]),
    );
    refused(&reply, 403, "not_your_handle", "auth_failed");
    let reply = world.post(
        "/api/presence",
        &texts([("action", "heartbeat"), ("username", "seth")]),
    );
    refused(&reply, 401, "unauthorized", "auth_failed");
    beat(&mut world, &texts([("action", "dance")])).ok(400);
    beat(&mut world, &texts([("workingOn", &"x".repeat(281))])).ok(400);
    beat(&mut world, &texts([("action", "offline")])).ok(200);
    assert_eq!(world.get("/api/presence").items("users"), []);
}

#[test]
fn who_is_there_is_listed_by_what_they_are_with_counts() {
    let mut world = World::new();
    token(&mut world, "old");
    world.pass(70);
    token(&mut world, "new");
    world.pass(1);
    let busy = world.agent("busy");
    world
        .beat(&busy, Some(airc_core::store::Status::Busy), None)
        .ok(200);
    let reply = world.get("/api/presence").ok(200);
    let handles = |name: &str| -> Vec<String> {
        let handle = |user: &Value| user.get("handle").unwrap().as_str().unwrap().to_string();
        reply.items(name).iter().map(handle).collect()
    };
    assert_eq!(handles("users"), ["busy", "new", "old"]);
    assert_eq!(handles("agents"), handles("users"));
    assert_eq!(handles("active"), ["busy", "new"]);
    assert_eq!(handles("away"), ["old"]);
    let counts = reply.body.get("counts").unwrap().to_string();
    assert_eq!(counts, r#"{"active":2,"away":1,"total":3}"#);
    let old = &reply.items("away")[0];
    assert_eq!(old.get("ago").unwrap().as_str(), Some("1m"));
    assert_eq!(
        old.get("lastSeen").unwrap().as_str(),
        Some("2026-01-02T00:00:00.000Z")
    );
    let health = world.get("/api/health").ok(200);
    assert_eq!(health.body.get("agents_online").unwrap().as_u64(), Some(3));
}

#[test]
fn an_unsigned_sender_is_marked_as_such_to_receivers_in_both_dialects() {
    let mut world = World::new();
    let alex = world.agent("alex");
    let token = token(&mut world, "seth");
    world.accept(&alex, &Agent::new("seth", 1)).ok(200);
    send(&mut world, &token, "@Alex", "hello").ok(200);
    let inbox = world.get_as(&alex, "/messages").ok(200);
    let message = &inbox.items("messages")[0];
    assert_eq!(message.get("unsigned"), Some(&true.into()));
    assert_eq!(message.get("signature"), None);
    // It is a message of section 2.3 but for that.
    airc_core::object::Message::read(message.clone()).unwrap();
    let headers = world.headers(&alex, "GET", "/api/messages");
    let reply = world.with_headers(&headers, Method::Get, "/api/messages", b"");
    let shown = &reply.ok(200).items("messages")[0].clone();
    assert_eq!(shown.get("unsigned"), Some(&true.into()));
    assert_eq!(shown.get("id"), message.get("id"));
}

#[test]
fn a_message_that_is_signed_as_section_3_has_it_is_kept_as_it_is() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    let message = world.message(&seth, &alex, "hello");
    world.post("/api/messages", &message).ok(200);
    let inbox = world.get_as(&alex, "/messages").ok(200);
    assert_eq!(inbox.items("messages"), std::slice::from_ref(&message));
    let reply = world.post("/api/messages", &message);
    refused(&reply, 401, "replay_detected", "replay_detected");
    // A signature that does not hold proves nothing, and spoils nothing.
    let forged = world.message(&seth, &alex, "forged");
    let forged = altered(&forged, &alex, []);
    let reply = world.post("/api/messages", &forged);
    refused(&reply, 401, "unauthorized", "auth_failed");
    let kim = token(&mut world, "kim");
    world.accept(&alex, &Agent::new("kim", 1)).ok(200);
    let body = altered(&forged, &alex, [("from", "kim".into())]);
    world.post_bearing(&kim, "/api/messages", &body).ok(200);
    let inbox = world.get_as(&alex, "/messages").ok(200);
    let last = inbox.items("messages").last().unwrap().clone();
    assert_eq!(last.get("unsigned"), Some(&true.into()));
    assert_ne!(last.get("id"), forged.get("id"));
    assert_eq!(last.get("signature"), None);
}

#[test]
fn nobody_sends_without_a_token_or_in_anothers_name() {
    let mut world = World::new();
    let token = token(&mut world, "seth");
    self::token(&mut world, "alex");
    let body = texts([("to", "alex"), ("text", "hello"), ("from", "alex")]);
    let reply = world.post_bearing(&token, "/api/messages", &body);
    refused(&reply, 403, "not_your_handle", "auth_failed");
    let body = texts([("to", "alex"), ("text", "hello"), ("from", "seth")]);
    let reply = world.post("/api/messages", &body);
    refused(&reply, 401, "unauthorized", "auth_failed");
    let reply = send(&mut world, &token, "nobody", "hello");
    refused(&reply, 404, "identity_not_found", "identity_not_found");
    for body in [texts([("text", "hello")]), texts([("to", "alex")])] {
        let reply = world.post_bearing(&token, "/api/messages", &body);
        assert_eq!(reply.status, 400);
    }
    send(&mut world, &token, "seth", "a note").ok(200);
}

#[test]
fn the_consent_is_the_same_as_elsewhere() {
    let mut world = World::new();
    let alex = world.agent("alex");
    let token = token(&mut world, "seth");
    let reply = send(&mut world, &token, "alex", "held").ok(200);
    assert_eq!(reply.str("consent"), "pending");
    assert_eq!(world.inbox(&alex), [""; 0]);
    let inbox = world.get_as(&alex, "/messages").ok(200);
    assert_eq!(inbox.items("pendingRequests"), [Value::from("seth")]);
    let seth = Agent::new("seth", 1);
    world.accept(&alex, &seth).ok(200);
    assert_eq!(world.inbox(&alex), ["held"]);
    world.block(&alex, &seth).ok(200);
    let reply = send(&mut world, &token, "alex", "hello");
    refused(&reply, 403, "consent_blocked", "consent_blocked");
    let reply = consent(&mut world, &token, "request", "alex");
    refused(&reply, 403, "consent_blocked", "consent_blocked");
}

#[test]
fn the_actor_is_whoever_bears_the_token_however_the_body_names_them() {
    let mut world = World::new();
    let seth = token(&mut world, "seth");
    let alex = token(&mut world, "alex");
    for body in [
        texts([("action", "accept"), ("from", "seth"), ("to", "alex")]),
        texts([("action", "accept"), ("from", "@Alex"), ("to", "@seth")]),
        texts([("action", "accept"), ("from", "alex"), ("handle", "seth")]),
        texts([("type", "accept"), ("handle", "@seth")]),
    ] {
        consent(&mut world, &seth, "request", "alex").ok(200);
        let reply = world.post_bearing(&alex, "/api/consent", &body).ok(200);
        assert_eq!(reply.str("status"), "accepted");
        assert_eq!((reply.str("from"), reply.str("to")), ("seth", "alex"));
        for (token, peer) in [(&alex, "seth"), (&seth, "alex")] {
            consent(&mut world, token, "block", peer).ok(200);
            let reply = consent(&mut world, token, "unblock", peer).ok(200);
            assert_eq!(reply.str("status"), "none");
        }
    }
    let kim = token(&mut world, "kim");
    let body = texts([("action", "accept"), ("from", "seth"), ("to", "alex")]);
    let reply = world.post_bearing(&kim, "/api/consent", &body);
    refused(&reply, 403, "not_your_handle", "auth_failed");
    let reply = world.post("/api/consent", &body);
    refused(&reply, 401, "unauthorized", "auth_failed");
    for (action, peer, status) in [
        ("marry", "seth", 400),
        ("accept", "kim", 400),
        ("accept", "", 400),
        ("accept", "nobody", 404),
    ] {
        let reply = consent(&mut world, &kim, action, peer);
        assert_eq!(reply.status, status, "{action} {peer}");
    }
}

#[test]
fn unblocking_leads_back_to_where_nothing_was_asked() {
    let mut world = World::new();
    let (seth, alex) = friends(&mut world, "seth", "alex");
    consent(&mut world, &alex, "unblock", "seth").ok(200);
    send(&mut world, &seth, "alex", "still accepted").ok(200);
    consent(&mut world, &alex, "block", "seth").ok(200);
    consent(&mut world, &alex, "unblock", "seth").ok(200);
    let reply = world.get_bearing(&seth, "/consent/alex").ok(200);
    assert_eq!(reply.str("outgoing"), "none");
    let list = world.get_bearing(&alex, "/consent").ok(200);
    assert_eq!(list.items("incoming"), []);
    let record = world.store.consent(&handle("seth"), &handle("alex"));
    assert!(
        record
            .unwrap()
            .is_none_or(|it| it.state == ConsentState::None)
    );
    let reply = consent(&mut world, &seth, "request", "alex").ok(200);
    assert_eq!(reply.str("status"), "pending");
}

#[test]
fn what_is_pending_is_told_to_the_one_who_is_asked() {
    let mut world = World::new();
    let seth = token(&mut world, "seth");
    let alex = token(&mut world, "alex");
    let body = texts([("action", "request"), ("to", "alex"), ("message", "Hey!")]);
    world.post_bearing(&seth, "/api/consent", &body).ok(200);
    for target in ["/api/consent", "/api/consent?user=alex"] {
        let reply = world.get_bearing(&alex, target).ok(200);
        assert_eq!(reply.items("pending"), [Value::from("@seth")]);
        let request = reply.items("requests")[0].to_string();
        assert_eq!(
            request,
            r#"{"created_at":"2026-01-02T00:00:00.000Z","from":"seth","message":"Hey!"}"#
        );
    }
    let reply = world.get_bearing(&seth, "/api/consent?user=alex");
    refused(&reply, 403, "not_your_handle", "auth_failed");
    let reply = world.get("/api/consent?user=alex");
    refused(&reply, 401, "unauthorized", "auth_failed");
    for token in [&seth, &alex] {
        let reply = world
            .get_bearing(token, "/api/consent?from=seth&to=alex")
            .ok(200);
        assert_eq!(reply.str("status"), "pending");
    }
    let kim = token(&mut world, "kim");
    let reply = world.get_bearing(&kim, "/api/consent?from=seth&to=alex");
    refused(&reply, 403, "not_your_handle", "auth_failed");
}

#[test]
fn messages_are_read_only_by_their_owner() {
    let mut world = World::new();
    let (seth, alex) = friends(&mut world, "seth", "alex");
    send(&mut world, &seth, "alex", "hello").ok(200);
    for target in ["/api/messages", "/api/messages?user=alex&with=seth"] {
        let reply = world.get_bearing(&alex, target).ok(200);
        assert_eq!(reply.items("messages").len(), 1);
        let reply = world.get(target);
        refused(&reply, 401, "unauthorized", "auth_failed");
    }
    let reply = world.get_bearing(&seth, "/api/messages?user=alex");
    refused(&reply, 403, "not_your_handle", "auth_failed");
}

#[test]
fn since_is_seconds_milliseconds_or_iso_and_strictly_before() {
    let mut world = World::new();
    let (seth, alex) = friends(&mut world, "seth", "alex");
    let start = world.seconds();
    for number in 0..3 {
        send(&mut world, &seth, "alex", &number.to_string()).ok(200);
        world.pass(10);
    }
    for (since, count) in [
        ("0".to_string(), 3),
        ((start - 1).to_string(), 3),
        (start.to_string(), 2),
        ((start * 1000 + 9_999).to_string(), 2),
        ((start * 1000 + 10_000).to_string(), 1),
        ("2026-01-02T00:00:15Z".to_string(), 1),
        ("2026-01-02T00:00:20.000Z".to_string(), 0),
    ] {
        for with in ["", "&with=seth"] {
            let target = format!("/api/messages?user=alex&since={since}{with}");
            let reply = world.get_bearing(&alex, &target).ok(200);
            assert_eq!(reply.items("messages").len(), count, "{since}");
        }
    }
    for bad in ["yesterday", "-1", "1.5", "99999999999999999999999"] {
        let reply = world.get_bearing(&alex, &format!("/api/messages?since={bad}"));
        assert_eq!(reply.status, 400, "{bad}");
    }
}

#[test]
fn a_thread_has_both_directions_the_oldest_first_and_the_newest_ones() {
    let mut world = World::new();
    let (seth, alex) = friends(&mut world, "seth", "alex");
    for number in 0..4 {
        let (token, to) = if number % 2 == 0 {
            (&seth, "alex")
        } else {
            (&alex, "seth")
        };
        send(&mut world, token, to, &number.to_string()).ok(200);
        world.pass(1);
    }
    let reply = world
        .get_bearing(&seth, "/api/messages?with=alex&limit=3")
        .ok(200);
    assert_eq!(reply.bodies(), ["1", "2", "3"]);
    assert_eq!(reply.str("thread_id"), "thread_alex.seth");
    let directions: Vec<_> = reply
        .items("messages")
        .iter()
        .map(|it| it.get("direction"))
        .collect();
    assert_eq!(directions[0], Some(&"received".into()));
    assert_eq!(directions[1], Some(&"sent".into()));
    let inbox = world.get_bearing(&seth, "/api/messages").ok(200);
    assert_eq!(inbox.bodies(), ["1", "3"]);
    let thread = &inbox.items("threads")[0];
    assert_eq!(thread.get("with"), Some(&"alex".into()));
    let last = thread.get("last_message").unwrap();
    assert_eq!(last.get("body"), Some(&"3".into()));
}

#[test]
fn a_payload_of_any_shape_comes_back_as_it_was_sent() {
    let mut world = World::new();
    let (seth, alex) = friends(&mut world, "seth", "alex");
    let typed = object([
        ("type", "game:go".into()),
        ("data", object([("a", 1.into())])),
    ]);
    let payloads = [
        typed.clone(),
        object([("type", "x".into()), ("content", "y".into())]),
        Value::from(vec![1, 2]),
        "text".into(),
        5.into(),
    ];
    for payload in &payloads {
        let body = object([("to", "alex".into()), ("payload", payload.clone())]);
        world.post_bearing(&seth, "/api/messages", &body).ok(200);
    }
    let reply = world.get_bearing(&alex, "/api/messages").ok(200);
    let shown: Vec<_> = reply
        .items("messages")
        .iter()
        .map(|it| it.get("payload"))
        .collect();
    assert_eq!(shown, payloads.iter().map(Some).collect::<Vec<_>>());
    // Who reads section 2.4 finds a type and data each time.
    let reply = world.get_bearing(&alex, "/messages").ok(200);
    for message in reply.items("messages") {
        airc_core::object::Message::read(message.clone()).unwrap();
    }
    assert_eq!(reply.items("messages")[0].get("payload"), Some(&typed));
    let large = "x".repeat(65_536);
    let body = object([("to", "alex".into()), ("payload", large.into())]);
    let reply = world.post_bearing(&seth, "/api/messages", &body);
    refused(&reply, 413, "payload_too_large", "payload_too_large");
}

#[test]
fn where_everything_must_be_signed_a_token_only_reads() {
    let mut world = World::with(Settings {
        require_signatures: true,
        ..open()
    });
    let reply = register(&mut world, "seth");
    refused(&reply, 401, "unauthorized", "auth_failed");
    let [alex, kim] = world.friends(["alex", "kim"]);
    let by_headers = |world: &mut World, target: &str, body: &Value| {
        let headers = world.headers(&alex, "POST", target);
        world.with_headers(&headers, Method::Post, target, body.to_string().as_bytes())
    };
    let body = texts([("action", "register"), ("username", "alex")]);
    let reply = by_headers(&mut world, "/api/presence", &body).ok(200);
    let token = reply.str("token").to_string();
    world.get_bearing(&token, "/api/messages").ok(200);
    let beat = texts([("action", "heartbeat")]);
    let reply = world.post_bearing(&token, "/api/presence", &beat);
    refused(&reply, 401, "unauthorized", "auth_failed");
    by_headers(&mut world, "/api/presence", &beat).ok(200);
    let reply = consent(&mut world, &token, "accept", "kim");
    refused(&reply, 401, "unauthorized", "auth_failed");
    let note = texts([("to", "kim"), ("text", "unsigned")]);
    let reply = world.post_bearing(&token, "/api/messages", &note);
    refused(&reply, 401, "unauthorized", "auth_failed");
    // Signed headers do not cover the message.
    let reply = by_headers(&mut world, "/api/messages", &note);
    refused(&reply, 401, "unauthorized", "auth_failed");
    let message = world.message(&alex, &kim, "signed");
    world.post("/api/messages", &message).ok(200);
    assert_eq!(world.inbox(&kim), ["signed"]);
}

#[test]
fn signed_headers_stand_in_for_a_token() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    let note = texts([("to", "alex"), ("text", "hello")]).to_string();
    let headers = world.headers(&seth, "POST", "/api/messages");
    let post = |world: &mut World| {
        world.with_headers(&headers, Method::Post, "/api/messages", note.as_bytes())
    };
    post(&mut world).ok(200);
    let reply = post(&mut world);
    refused(&reply, 401, "replay_detected", "replay_detected");
    let inbox = world.get_as(&alex, "/messages").ok(200);
    assert_eq!(
        inbox.items("messages")[0].get("unsigned"),
        Some(&true.into())
    );
    // The headers that deployed clients send mean something else, and are ignored.
    let token = token(&mut world, "kim");
    let authorization = format!("Bearer {token}");
    let credentials = airc_core::registry::Credentials {
        authorization: Some(&authorization),
        signature: Some("ed25519:AAAA"),
        timestamp: Some("now"),
        ..Default::default()
    };
    let reply = world.request(Method::Get, "/api/messages", credentials, b"");
    reply.ok(200);
}

#[test]
fn another_way_to_register_is_the_same() {
    let mut world = World::new();
    let body = texts([
        ("action", "register"),
        ("username", "seth"),
        ("building", "bridges"),
        ("recoveryKey", "ignored"),
    ]);
    let reply = world.post("/api/users", &body).ok(201);
    assert!(!reply.str("token").is_empty());
    let who = world.get("/api/presence");
    assert_eq!(
        who.items("users")[0].get("workingOn"),
        Some(&"bridges".into())
    );
}

#[test]
fn errors_are_words_or_sentences_with_our_error_beside_them() {
    let mut world = World::new();
    let reply = world.get("/api/nothing");
    refused(&reply, 404, "not_found", "not_found");
    let reply = world.get("/api/users");
    refused(&reply, 405, "method_not_allowed", "method_not_allowed");
    assert_eq!(reply.header("allow"), Some("POST"));
    let reply = world.request(Method::Post, "/api/messages", Default::default(), b"{");
    assert_eq!(reply.status, 400);
    assert_eq!(reply.str("error"), reply.str("message"));
    let reply = world.get("/api/identity/nobody");
    refused(&reply, 404, "identity_not_found", "identity_not_found");
}
