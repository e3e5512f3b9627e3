//! What a registry tells of itself, and the page without a browser.

use serde_json::json;

use crate::support::{Stand, config, read_until, write};

#[test]
fn a_registry_is_well_and_ready() {
    let stand = Stand::new();
    assert_eq!(stand.get("/healthz").is(200).json()["status"], "ok");
    assert_eq!(stand.get("/readyz").is(200).json()["status"], "ready");
    let head = stand.send("HEAD", "/presence", &[], None);
    assert_eq!(head.is(200).text, "");
}

#[test]
fn metrics_count_what_is_answered_and_done() {
    let stand = Stand::new();
    let (alice, bob) = stand.friends("alice", "bob");
    stand.beat(&alice, json!({ "status": "busy" })).is(200);
    stand
        .post("/messages", &alice.message(&bob, json!({})))
        .is(200);
    stand.post("/messages", "{").is(400);
    stand.get("/nothing").is(404);
    let text = stand.get("/metrics").is(200).text.clone();
    for line in [
        "airc_requests_total{route=\"POST /identity\",code=\"201\"} 2",
        "airc_requests_total{route=\"POST /messages\",code=\"200\"} 1",
        "airc_requests_total{route=\"other\",code=\"404\"} 1",
        "airc_events_total{event=\"registered\"} 2",
        "airc_events_total{event=\"delivered\"} 1",
        "airc_identities_online{status=\"busy\"} 1",
        "airc_identities_online{status=\"online\"} 0",
        "airc_store_failures_total 0",
    ] {
        assert!(text.lines().any(|said| said == line), "{line}\n{text}");
    }
    for name in [
        "airc_queue_depth ",
        "airc_transaction_duration_seconds_count ",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "{name}\n{text}"
        );
    }
    // Every sample belongs to a family that was announced.
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        assert!(text.contains(&format!("# TYPE {family} ")), "{line}");
    }
}

#[test]
fn the_discovery_document_says_what_holds() {
    let stand = Stand::new();
    let document = stand.get("/.well-known/airc").is(200).json();
    assert_eq!(document["protocol"], "AIRC");
    assert_eq!(document["protocol_version"], "0.1");
    let port = stand.address.port();
    assert_eq!(document["registry_url"], format!("http://localhost:{port}"));
    assert_eq!(document["features"]["open_registration"], true);
    for (_, path) in document["endpoints"].as_object().unwrap() {
        let path = path.as_str().unwrap().replace("{handle}", "nobody");
        let reply = stand.get(&path);
        let is_there = reply.status != 404 || reply.text.contains("identity_not_found");
        assert!(is_there, "{path}: {}", reply.text);
    }
    let mut closed = config();
    closed.open = false;
    closed.legacy = false;
    let stand = Stand::with(closed);
    let document = stand.get("/.well-known/airc").json();
    assert_eq!(document["features"]["open_registration"], false);
    assert_eq!(document["base_urls"]["api"], json!(null));
}

#[test]
fn the_page_lists_who_is_there_without_scripts() {
    let stand = Stand::new();
    let (alice, bob) = (stand.agent("alice"), stand.agent("bob"));
    let hostile = "</p><script>alert(1)</script>";
    stand
        .beat(&alice, json!({ "status": "busy", "context": hostile }))
        .is(200);
    stand.beat(&bob, json!({ "status": "online" })).is(200);
    let page = stand.get("/");
    let policy = page.is(200).header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(page.text.contains("@alice") && page.text.contains("@bob"));
    assert!(page.text.contains("2 agents are here"), "{}", page.text);
    assert!(!page.text.contains(hostile));
    assert!(page.text.contains("&lt;/p&gt;&lt;script&gt;alert(1)"));
    let narrowed = stand.get("/?q=SCRIPT");
    assert!(narrowed.text.contains("@alice") && !narrowed.text.contains("@bob"));
    // A query that makes no sense is none.
    assert!(stand.get("/?q=%ff&q=1").is(200).text.contains("@bob"));
}

#[test]
fn events_tell_who_comes() {
    let stand = Stand::new();
    let (alice, bob) = (stand.agent("alice"), stand.agent("bob"));
    stand
        .beat(
            &alice,
            json!({ "status": "online", "context": "line\nbreak" }),
        )
        .is(200);
    let watcher = stand.connect();
    write(&watcher, b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let first = read_until(&watcher, "\n\n");
    let first = match first.contains("event: all") {
        true => first,
        false => first + &read_until(&watcher, "\n\n"),
    };
    assert!(first.contains("text/event-stream"), "{first}");
    assert!(
        first.contains("event: all") && first.contains("\"alice\""),
        "{first}"
    );
    assert!(first.contains(r"line\nbreak"), "{first}");
    stand
        .beat(&bob, json!({ "status": "busy", "context": "on it" }))
        .is(200);
    let next = read_until(&watcher, "on it");
    assert!(next.contains("event: change"), "{next}");
    assert!(
        !next.contains("alice"),
        "what did not change is not told: {next}"
    );
    stand.beat(&bob, json!({ "status": "offline" })).is(200);
    let next = read_until(&watcher, r#""gone":["bob"]"#);
    assert!(next.contains("event: change"), "{next}");
}
