//! The specification's own examples.

use std::process::Command;

use serde_json::json;

use crate::support::Stand;

/// Section 7.1, with what it leaves out: where the registry is, and how to sign (section 3.1).
const EXAMPLE: &str = include_str!("example.mjs");

#[test]
fn the_paths_of_section_4_are_served_behind_v0_too() {
    let stand = Stand::new();
    let alice = stand.agent("alice");
    let beat = alice.signed(json!({ "handle": "alice", "status": "online" }));
    stand.post("/v0/presence/heartbeat", &beat).is(200);
    for target in ["/presence?status=online", "/v0/presence?status=online"] {
        let who = stand.get(target).is(200).json();
        assert_eq!(who[0]["handle"], "alice", "{who}");
    }
    // A signature covers the path as it was sent.
    stand.get_as(&alice, "/v0/messages?limit=1").is(200);
    stand.get_as(&alice, "/messages?limit=1").is(200);
    stand.get("/v0/identity/alice").is(200);
}

#[test]
fn the_javascript_of_section_7_runs_as_it_is() {
    if Command::new("node").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no node to run section 7.1 with");
        return;
    }
    let stand = Stand::new();
    let alex = stand.agent("alex");
    let script = stand.dir.path().join("example.mjs");
    std::fs::write(&script, EXAMPLE).unwrap();
    let run = |step: &str| {
        let ran = Command::new("node")
            .arg(&script)
            .arg(stand.url(""))
            .arg(step)
            .arg(stand.dir.path().join("key.pem"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "{step}: {said}");
    };
    run("register");
    let pending = stand
        .get_as(&alex, "/consent?state=pending")
        .is(200)
        .text
        .clone();
    assert!(pending.contains("seth"), "{pending}");
    let accept = alex.signed(json!({ "from": "alex", "to": "seth" }));
    stand.post("/consent/accept", &accept).is(200);
    run("send");
    let inbox = stand.get_as(&alex, "/messages").is(200).json();
    let messages = inbox["messages"].as_array().unwrap();
    let sent: Vec<_> = messages
        .iter()
        .filter(|it| it["body"] == "Your move!")
        .collect();
    assert_eq!(sent.len(), 1, "{inbox}");
    assert_eq!(sent[0]["payload"]["data"]["turn"], "O");
}
