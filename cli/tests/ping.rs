//! `aire ping`, with the real binary.

mod stand;
mod support;

use std::net::UdpSocket;

use serde_json::Value;
use stand::Stand;
use support::Home;

#[test]
fn both_round_trips_are_measured() {
    let stand = Stand::new();
    let more = [
        "echo/say",
        "--count",
        "3",
        "--interval",
        "1ms",
        "--timeout",
        "120s",
    ];
    let told = stand.run("ping", "", &more).good();
    for word in [
        stand.node.did(),
        "connected",
        "3 sent, 3 answered, 0 lost",
        "quic min/avg/max",
        "aire min/avg/max",
    ] {
        assert!(told.contains(word), "{word} is not in:\n{told}");
    }
    let told = stand
        .run("ping", "", &[&more[..], &["--json"]].concat())
        .good();
    let lines: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0]["event"], "connected");
    assert!(lines[2]["quic_ms"].as_f64().expect("a number") > 0.0);
    assert_eq!(lines[4]["sent"], 3);
    assert_eq!(lines[4]["aire"]["answered"], 3);
}

#[test]
fn an_operation_that_fails_is_told_and_is_the_exit_code() {
    let stand = Stand::new();
    let more = ["nobody/x", "--count", "1", "--timeout", "120s"];
    let ran = stand.run("ping", "", &more);
    assert_eq!(ran.code(), Some(1), "{}", ran.stderr());
    assert!(ran.stdout().contains("AGENT_NOT_FOUND"), "{}", ran.stdout());
    assert!(ran.stdout().contains("1 answered"), "{}", ran.stdout());
}

#[test]
fn nobody_there_is_unreachable() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let uri = format!("aire://{}", silent.local_addr().expect("an address"));
    let ran = Home::new().run(&["ping", &uri, "--connect-timeout", "300ms"]);
    assert_eq!(ran.code(), Some(3));
    assert!(!ran.stderr().is_empty());
}
