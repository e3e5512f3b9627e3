//! The OpenAPI document says what is served, all of it and nothing else.

use std::collections::BTreeSet;

use airc_core::registry::Route;
use airc_registry::http::OPENAPI;
use serde_json::{Value, json};

use crate::support::{Agent, Reply, Stand};

fn document() -> Value {
    serde_json::from_str(OPENAPI).expect("JSON")
}

/// What is served beside the registry's calls.
const OWN: [&str; 7] = [
    "GET /",
    "GET /.well-known/airc",
    "GET /events",
    "GET /healthz",
    "GET /metrics",
    "GET /openapi.json",
    "GET /readyz",
];

#[test]
fn the_document_has_every_route_and_no_other() {
    let document = document();
    let mut documented = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            documented.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let served: BTreeSet<String> = Route::ALL
        .iter()
        .map(|route| route.as_str())
        .chain(OWN)
        .map(str::to_owned)
        .collect();
    assert_eq!(documented, served);
}

#[test]
fn every_reference_leads_somewhere() {
    fn look(document: &Value, value: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    let pointer = reference.strip_prefix('#').expect("within the document");
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                }
                fields.values().for_each(|value| look(document, value));
            }
            Value::Array(items) => items.iter().for_each(|value| look(document, value)),
            _ => {}
        }
    }
    let document = document();
    look(&document, &document);
    // Each schema is one.
    for schema in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .values()
    {
        jsonschema::draft202012::meta::validate(schema).expect("a schema");
    }
}

/// Holds answers against the document.
struct Checker {
    document: Value,
    /// Which operations were seen to answer well.
    seen: BTreeSet<String>,
}

impl Checker {
    fn new() -> Self {
        let mut document = document();
        close(&mut document);
        Self {
            document,
            seen: BTreeSet::new(),
        }
    }

    /// Checks an answer to an operation, and hands it back.
    #[track_caller]
    fn check(&mut self, operation: &str, reply: Reply) -> Reply {
        let (method, path) = operation.split_once(' ').expect("a method and a path");
        let responses = &self.document["paths"][path][method.to_lowercase()]["responses"];
        let status = reply.status.to_string();
        let response = responses.get(&status).unwrap_or(&responses["default"]);
        let response = match response["$ref"].as_str() {
            Some(reference) => self.document.pointer(&reference[1..]).expect("it is there"),
            None => response,
        };
        let content_type = reply.header("content-type").expect("a type");
        let content = &response["content"][content_type];
        assert!(content.is_object(), "{operation} {status}: {content_type}");
        let mut schema = content["schema"].clone();
        schema["components"] = self.document["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).expect("a schema");
        let body = match content_type {
            "application/json" | "application/did+ld+json" => {
                serde_json::from_str(&reply.text).expect("JSON")
            }
            _ => json!(reply.text),
        };
        let wrong: Vec<String> = validator
            .iter_errors(&body)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(
            wrong.is_empty(),
            "{operation} {status}: {wrong:#?}\n{body:#}"
        );
        for name in response["headers"].as_object().into_iter().flatten() {
            let optional = name.0 == "Link" || name.0.starts_with("RateLimit");
            assert!(
                optional || reply.header(name.0).is_some(),
                "{operation}: {}",
                name.0
            );
        }
        if reply.status < 300 {
            self.seen.insert(operation.to_owned());
        }
        reply
    }
}

/// Lets no schema with properties have others than those, so that nothing goes undocumented.
fn close(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let is_closed = fields.get("properties").is_some_and(Value::is_object)
                && fields.get("type") == Some(&json!("object"))
                && !fields.contains_key("additionalProperties");
            if is_closed {
                fields.insert("additionalProperties".into(), json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[test]
fn every_answer_of_a_session_is_as_the_document_says() {
    let stand = Stand::new();
    let mut checker = Checker::new();
    section_4(&stand, &mut checker);
    the_api_dialect(&stand, &mut checker);
    for target in [
        "/.well-known/airc",
        "/openapi.json",
        "/healthz",
        "/readyz",
        "/metrics",
        "/",
    ] {
        checker
            .check(&format!("GET {target}"), stand.get(target))
            .is(200);
    }
    // Events have no end.
    checker.seen.insert("GET /events".into());
    let all: BTreeSet<String> = Route::ALL
        .iter()
        .map(|route| route.as_str())
        .chain(OWN)
        .map(str::to_owned)
        .collect();
    let missing: Vec<_> = all.difference(&checker.seen).collect();
    assert!(missing.is_empty(), "never answered well: {missing:?}");
}

fn section_4(stand: &Stand, checker: &mut Checker) {
    let (alice, bob) = (Agent::new("alice"), Agent::new("bob"));
    let register = |agent: &Agent, more: Value| stand.post("/identity", &agent.registration(more));
    let place = json!({ "aire": { "uri": "aire://example.org:4433", "agent": "echo" } });
    checker
        .check("POST /identity", register(&alice, place))
        .is(201);
    checker
        .check("POST /identity", register(&bob, json!({})))
        .is(201);
    checker
        .check("POST /identity", register(&bob, json!({})))
        .is(200);
    checker
        .check("POST /identity", stand.post("/identity", "{"))
        .is(400);
    let beat = stand.beat(&alice, json!({ "status": "busy", "context": "at work" }));
    checker.check("POST /presence/heartbeat", beat).is(200);
    checker
        .check("GET /presence", stand.get("/presence?status=busy&limit=1"))
        .is(200);
    checker
        .check("GET /presence", stand.get("/presence?limit=x"))
        .is(400);
    for name in ["alice", "bob"] {
        let shown = stand.get(&format!("/identity/{name}"));
        checker.check("GET /identity/{handle}", shown).is(200);
    }
    checker
        .check("GET /identity/{handle}", stand.get("/identity/nobody"))
        .is(404);
    let notice = |from: &Agent, to: &Agent| {
        from.signed(json!({ "from": from.handle, "to": to.handle, "message": "Hey!" }))
    };
    let held = stand.post("/messages", &alice.message(&bob, json!({ "body": "held" })));
    checker.check("POST /messages", held).is(200);
    let asked = stand.post("/consent/request", &notice(&alice, &bob));
    checker.check("POST /consent/request", asked).is(200);
    let inbox = stand.get_as(&bob, "/messages");
    let inbox = checker.check("GET /messages", inbox);
    assert_eq!(inbox.is(200).json()["pendingRequests"], json!(["alice"]));
    checker
        .check("GET /consent", stand.get_as(&bob, "/consent?state=pending"))
        .is(200);
    let strict = alice.message(&bob, json!({ "strict": true }));
    checker
        .check("POST /messages", stand.post("/messages", &strict))
        .is(403);
    let given = stand.post("/consent/accept", &notice(&bob, &alice));
    checker.check("POST /consent/accept", given).is(200);
    let typed = json!({ "payload": { "type": "game:tictactoe", "data": { "turn": "X" } } });
    let sent = stand.post("/messages", &alice.message(&bob, typed));
    checker.check("POST /messages", sent).is(200);
    let inbox = checker.check("GET /messages", stand.get_as(&bob, "/messages?limit=1"));
    assert_eq!(inbox.is(200).json()["hasMore"], true);
    let thread = stand.get_as(&alice, "/messages/thread/bob");
    checker
        .check("GET /messages/thread/{handle}", thread)
        .is(200);
    checker
        .check(
            "GET /consent/{handle}",
            stand.get_as(&bob, "/consent/alice"),
        )
        .is(200);
    checker
        .check("GET /consent", stand.get_as(&bob, "/consent"))
        .is(200);
    checker.check("GET /consent", stand.get("/consent")).is(401);
    let blocked = stand.post("/consent/block", &notice(&bob, &alice));
    checker.check("POST /consent/block", blocked).is(200);
    let refused = stand.post("/messages", &alice.message(&bob, json!({})));
    checker.check("POST /messages", refused).is(403);
    let next = Agent {
        handle: "alice".into(),
        signer: Agent::new("alice_again").signer,
    };
    let rotation = alice.signed(json!({ "handle": "alice", "publicKey": next.key() }));
    let rotated = stand.post("/identity/rotate", &rotation);
    checker.check("POST /identity/rotate", rotated).is(200);
    checker
        .check("GET /identity/{handle}", stand.get("/identity/alice"))
        .is(200);
    let did = stand.get("/agents/alice/did.json");
    checker.check("GET /agents/{handle}/did.json", did).is(200);
    let did = stand.get("/.well-known/aire-did?name=alice");
    checker.check("GET /.well-known/aire-did", did).is(200);
}

fn the_api_dialect(stand: &Stand, checker: &mut Checker) {
    let post = |target: &str, token: &str, body: Value| {
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", authorization.as_str())];
        let headers = if token.is_empty() {
            &headers[..0]
        } else {
            &headers[..]
        };
        stand.send("POST", target, headers, Some(&body.to_string()))
    };
    let get = |target: &str, token: &str| {
        stand.get_with(target, &[("Authorization", &format!("Bearer {token}"))])
    };
    let mut token = |target: &str, name: &str| {
        let body = json!({ "action": "register", "username": name, "workingOn": "tests" });
        let made = checker.check(&format!("POST {target}"), post(target, "", body));
        made.is(201).json()["token"].as_str().unwrap().to_owned()
    };
    let (carol, dave) = (token("/api/presence", "carol"), token("/api/users", "dave"));
    let beat = json!({ "action": "heartbeat", "username": "carol", "status": "away" });
    checker
        .check("POST /api/presence", post("/api/presence", &carol, beat))
        .is(200);
    checker
        .check("GET /api/presence", stand.get("/api/presence"))
        .is(200);
    let ask = json!({ "action": "request", "from": "carol", "to": "dave" });
    checker
        .check("POST /api/consent", post("/api/consent", &carol, ask))
        .is(200);
    let pending = get("/api/consent?user=dave", &dave);
    checker.check("GET /api/consent", pending).is(200);
    let accept = json!({ "action": "accept", "from": "carol", "to": "dave" });
    checker
        .check("POST /api/consent", post("/api/consent", &dave, accept))
        .is(200);
    let between = get("/api/consent?from=carol&to=dave", &dave);
    checker.check("GET /api/consent", between).is(200);
    let note = json!({ "from": "carol", "to": "dave", "text": "hello", "payload": { "a": 1 } });
    checker
        .check(
            "POST /api/messages",
            post("/api/messages", &carol, note.clone()),
        )
        .is(200);
    checker
        .check("POST /api/messages", post("/api/messages", "", note))
        .is(401);
    let inbox = checker.check("GET /api/messages", get("/api/messages?user=dave", &dave));
    assert_eq!(inbox.is(200).json()["messages"][0]["text"], "hello");
    let thread = get("/api/messages?user=dave&with=carol", &dave);
    checker.check("GET /api/messages", thread).is(200);
    let shown = stand.get("/api/identity/carol");
    checker.check("GET /api/identity/{handle}", shown).is(200);
    let nobody = stand.get("/api/identity/nobody");
    checker.check("GET /api/identity/{handle}", nobody).is(404);
    checker
        .check("GET /api/health", stand.get("/api/health"))
        .is(200);
    // What came unsigned is marked for those who read it in the other dialect.
    let erin = stand.agent("erin");
    let accept = erin.signed(json!({ "from": "erin", "to": "carol" }));
    stand.post("/consent/accept", &accept).is(200);
    let note = json!({ "from": "carol", "to": "erin", "text": "unsigned" });
    post("/api/messages", &carol, note).is(200);
    let inbox = checker.check("GET /messages", stand.get_as(&erin, "/messages"));
    assert_eq!(inbox.is(200).json()["messages"][0]["unsigned"], true);
}
