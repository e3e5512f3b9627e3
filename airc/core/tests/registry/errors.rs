//! The errors of section 5, each provoked, and their shape.

use airc_core::error::{ErrorCode, Refusal};
use airc_core::json::object;
use airc_core::registry::{Credentials, Dialect, Method, Response, Settings};

use crate::support::{Agent, World, altered, data, open};

#[test]
fn every_code_of_section_5_is_provoked_by_what_the_text_says() {
    let mut world = World::with(Settings {
        max_held_per_pair: 1,
        ..open()
    });
    let [seth, alex, kim] = world.agents(["seth", "alex", "kim"]);
    world.accept(&alex, &seth).ok(200);
    let message = world.message(&seth, &alex, "hello");
    let signed =
        |value, changes: [(&str, airc_core::json::Value); 1]| altered(value, &seth, changes);

    let reply = world.post("/messages", &signed(&message, [("to", 1.into())]));
    reply.refused(400, "invalid_request");
    let reply = world.post("/messages", &signed(&message, [("v", "1.0".into())]));
    reply.refused(400, "unsupported_version");
    let reply = world.post("/messages", &altered(&message, &alex, []));
    reply.refused(401, "auth_failed");
    world.post("/messages", &message).ok(200);
    world
        .post("/messages", &message)
        .refused(401, "replay_detected");
    let strict = world.message(&seth, &kim, "hello");
    let reply = world.post("/messages", &signed(&strict, [("strict", true.into())]));
    let refused = reply.refused(403, "consent_required");
    assert_eq!(refused.detail("consent_status"), "none");
    world.send(&seth, &kim, "held").ok(200);
    world
        .send(&seth, &kim, "too many")
        .refused(429, "rate_limited");
    world.block(&kim, &seth).ok(200);
    world
        .send(&seth, &kim, "hello")
        .refused(403, "consent_blocked");
    let nobody = Agent::new("nobody", 1);
    world
        .send(&seth, &nobody, "hello")
        .refused(404, "identity_not_found");
    let large = world.typed(&seth, &alex, "x", data("a", "x".repeat(65_536)), false);
    world
        .post("/messages", &large)
        .refused(413, "payload_too_large");
    let strange = world.typed(&seth, &alex, "game:go", data("a", 1), true);
    world
        .post("/messages", &strange)
        .refused(422, "unsupported_payload");
}

#[test]
fn a_refusal_has_the_shape_of_section_5() {
    let refusal =
        Refusal::new(ErrorCode::ConsentRequired, "a sentence").with("consent_status", "pending");
    let response = Response::from(&refusal);
    assert_eq!(response.status, 403);
    assert_eq!(response.content_type, "application/json");
    assert_eq!(
        response.body,
        r#"{"error":{"code":"consent_required","details":{"consent_status":"pending"},"message":"a sentence"}}"#
    );
    let refusal = Refusal::new(ErrorCode::RateLimited, "a sentence");
    assert_eq!(
        Response::refusal(Dialect::V0, &refusal).body,
        r#"{"error":{"code":"rate_limited","message":"a sentence"}}"#
    );
}

#[test]
fn a_path_that_is_not_served_and_a_method_that_is_not_are_told_apart() {
    let mut world = World::new();
    world.get("/nothing").refused(404, "not_found");
    let refused = world.get("/identity").refused(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), Some("POST"));
    let refused = world
        .post("/presence", &object::<&str>([]))
        .refused(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), Some("GET"));
}

#[test]
fn a_body_that_is_no_json_or_no_object_is_refused_with_its_place() {
    let mut world = World::new();
    for route in airc_core::registry::Route::ALL {
        let api = route.path().starts_with("/api");
        if route.method() == Method::Get || api {
            continue;
        }
        for body in [&b""[..], b"{", b"[]", b"null", b"\xff", b"{\"a\":1}x", b"1"] {
            let reply = world.request(Method::Post, route.path(), Credentials::default(), body);
            reply.refused(400, "invalid_request");
        }
        let deep = "[".repeat(100_000);
        let reply = world.request(
            Method::Post,
            route.path(),
            Credentials::default(),
            deep.as_bytes(),
        );
        assert!(
            !reply
                .refused(400, "invalid_request")
                .detail("byte")
                .is_empty()
        );
    }
}

#[test]
fn an_authorization_header_that_is_no_secret_is_refused_or_ignored() {
    let mut world = World::new();
    let long = format!("Bearer {}", "x".repeat(5000));
    for (header, status) in [
        (long.as_str(), 401),
        ("Basic c2V0aDpzZXRo", 401),
        ("Bearer", 401),
        ("", 401),
    ] {
        let credentials = Credentials {
            authorization: Some(header),
            ..Credentials::default()
        };
        let reply = world.request(Method::Get, "/messages", credentials, b"");
        reply.refused(status, "auth_failed");
    }
}

#[test]
fn secrets_are_not_in_what_is_printed_for_a_log() {
    let world = World::new();
    let request = airc_core::registry::Request {
        method: Method::Get,
        target: "/messages",
        credentials: Credentials {
            authorization: Some("Bearer the-secret"),
            ..Credentials::default()
        },
        body: b"",
        entropy: [77; 32],
    };
    let call = world.registry.read(&request).unwrap();
    let printed = format!("{request:?} {:?} {call:?}", request.credentials);
    assert!(
        !printed.contains("secret") && !printed.contains("77"),
        "{printed}"
    );
}

#[test]
fn a_registry_and_its_calls_go_between_threads() {
    fn goes<T: Send + Sync>() {}
    goes::<airc_core::registry::Registry>();
    goes::<airc_core::registry::Call>();
    goes::<airc_core::registry::Answer>();
}

#[test]
fn nothing_is_changed_without_a_signature() {
    let mut world = World::new();
    let [seth, alex] = world.agents(["seth", "alex"]);
    let beat = object([("handle", "seth".into()), ("nonce", "a nonce".into())]);
    let now = world.seconds();
    let notice = world.notice(&seth, &alex, None);
    for (path, body) in [
        ("/messages", world.message(&seth, &alex, "hello")),
        (
            "/presence/heartbeat",
            altered(&beat, &seth, [("timestamp", now.into())]),
        ),
        ("/consent/request", notice.clone()),
        ("/consent/accept", notice.clone()),
        ("/consent/block", notice),
        ("/identity", world.registration(&seth, &[])),
        ("/identity/rotate", world.registration(&seth, &[])),
    ] {
        let mut bare = body.into_object().unwrap();
        let signature = bare.remove("signature");
        let before = world.store.clone();
        world
            .post(path, &bare.clone().into())
            .refused(401, "auth_failed");
        // Headers sign no body, and a token is none of the text's either.
        let headers = world.headers(&seth, "POST", path);
        let text = airc_core::json::Value::from(bare.clone()).to_string();
        world
            .with_headers(&headers, Method::Post, path, text.as_bytes())
            .refused(401, "auth_failed");
        for wrong in ["", "????", "AAAA"] {
            bare.insert("signature", wrong);
            world
                .post(path, &bare.clone().into())
                .refused(401, "auth_failed");
        }
        assert!(world.store == before, "{path}");
        assert!(signature.is_some());
    }
}
