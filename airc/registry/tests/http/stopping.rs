//! How a registry ends.

use std::process::{Command, Stdio};
use std::time::Duration;

use airc_registry::config::Time;
use serde_json::json;

use crate::support::{Stand, config, read_until, until, write};

#[test]
fn a_request_that_has_begun_is_finished_and_nothing_new_is_taken() {
    let mut stand = Stand::new();
    let alice = stand.agent("alice");
    let beat = alice.signed(json!({ "handle": "alice", "status": "online" }));
    let stream = stand.connect();
    let head = format!(
        "POST /presence/heartbeat HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        beat.len()
    );
    let (one, two) = beat.split_at(beat.len() / 2);
    write(&stream, head.as_bytes()).unwrap();
    write(&stream, one.as_bytes()).unwrap();
    // The request is there when one that came after it was answered.
    stand.get("/healthz").is(200);
    let watcher = stand.connect();
    write(&watcher, b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    read_until(&watcher, "event: all");
    let stopping = stand.stop_in_background();
    let address = stand.address;
    until("nobody listens", || {
        std::net::TcpStream::connect(address).is_err().then_some(())
    });
    write(&stream, two.as_bytes()).unwrap();
    let answer = read_until(&stream, "}");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    stand.wait_for(stopping);
    // Who watched was let go.
    crate::support::read_all(&watcher);
}

#[test]
fn a_request_that_never_ends_does_not_keep_a_registry() {
    let mut config = config();
    config.times.drain_timeout = Time(Duration::from_millis(100));
    let mut stand = Stand::with(config);
    let stream = stand.connect();
    let head = "POST /messages HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{";
    write(&stream, head.as_bytes()).unwrap();
    stand.get("/healthz").is(200);
    let stopping = stand.stop_in_background();
    stand.wait_for(stopping);
}

#[test]
fn the_program_ends_well_when_it_is_told_to() {
    for signal in ["TERM", "INT"] {
        let dir = tempfile::TempDir::new().unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_airc-registry"));
        let mut program = program
            .args(["--json", "serve", "--listen", "127.0.0.1:0"])
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines =
            std::io::BufRead::lines(std::io::BufReader::new(program.stdout.take().unwrap()));
        let ready: serde_json::Value =
            serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(ready["event"], "ready");
        let pid = program.id().to_string();
        let killed = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(killed.unwrap().success());
        let last: serde_json::Value =
            serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(last["event"], "stopped");
        assert_eq!(program.wait().unwrap().code(), Some(0), "{signal}");
    }
}
