//! The bridge to AIRE: DISC-1, DISC-5, DISC-7.

use airc_core::json::{Value, object};
use airc_core::registry::Settings;
use aire_proto::address::{DidWeb, Handle, HttpsBody, HttpsUrl};

use crate::support::{World, altered, open};

#[test]
fn a_handle_leads_to_its_document_and_the_document_back_to_the_handle() {
    let mut world = World::new();
    let seth = world.agent("seth");
    let body = world.registration(&seth, &[]);
    let uri = object([
        ("uri", "aire://node.example.com:4433".into()),
        ("agent", "summarizer".into()),
    ]);
    let body = altered(&body, &seth, [("aire", Value::from(vec![uri]))]);
    world.post("/identity", &body).ok(200);

    let handle = Handle::parse("@seth@example.com").unwrap();
    let url = handle.https_url().to_string();
    let path = url.strip_prefix("https://example.com").unwrap().to_string();
    assert!(path.starts_with(HttpsUrl::PATH));
    let reply = world.get(&path).ok(200);
    assert_eq!(reply.text, "did:web:example.com:agents:seth\n");
    let body = HttpsBody::parse(reply.text.as_bytes()).unwrap();
    let web = DidWeb::of(body.0).unwrap();
    let url = web.document_url().to_string();
    let path = url.strip_prefix("https://example.com").unwrap();
    let document = world.get(path).ok(200);
    let names = document.items("alsoKnownAs");
    assert!(handle.is_confirmed_by(names.iter().filter_map(Value::as_str)));
    let service = &document.items("service")[0];
    assert_eq!(
        service.get("serviceEndpoint").unwrap().to_string(),
        r#"[{"accept":["aire/v0.4","aire/v0.2"],"agentId":"summarizer","uri":"aire://node.example.com:4433"}]"#
    );
    assert_eq!(
        document.header("cache-control"),
        Some("public, max-age=300")
    );
}

#[test]
fn disc_5_nobody_is_answered_for_a_handle_that_is_not_here() {
    let mut world = World::new();
    world.agent("seth");
    let reply = world.get("/.well-known/aire-did?name=alex");
    reply.refused(404, "identity_not_found");
    for query in ["", "?name=", "?name=Seth", "?handle=seth"] {
        let reply = world.get(&format!("/.well-known/aire-did{query}"));
        reply.refused(400, "invalid_request");
    }
    world
        .get("/agents/alex/did.json")
        .refused(404, "identity_not_found");
}

#[test]
fn a_rotated_key_and_the_one_before_are_both_in_the_document() {
    let mut world = World::new();
    let seth = world.agent("seth");
    let (_, reply) = world.rotate(&seth, 2);
    reply.ok(200);
    let count = |world: &mut World| {
        let document = world.get("/agents/seth/did.json").ok(200);
        document.items("verificationMethod").len()
    };
    assert_eq!(count(&mut world), 2);
    world.pass(86_400);
    assert_eq!(count(&mut world), 1);
}

#[test]
fn a_registry_at_an_address_has_no_dids() {
    let mut world = World::with(Settings {
        domain: "127.0.0.1:8080".into(),
        ..open()
    });
    world.agent("seth");
    let shown = world.get("/identity/seth").ok(200);
    assert_eq!(shown.body.get("did"), None);
    world
        .get("/agents/seth/did.json")
        .refused(404, "identity_not_found");
}
