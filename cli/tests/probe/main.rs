//! `aire probe`: what it says of a good node, of a bad one, and of none.

mod bad_server;

use std::collections::{BTreeMap, BTreeSet};
use std::net::UdpSocket;
use std::process::{Command, Output};
use std::time::Duration;

use aire_mio::{Certificate, Failure, Identity, Node, Operation, Resumable};
use aire_proto::budget::Charge;
use serde_json::Value;
use tempfile::TempDir;

use bad_server::BadServer;

/// Runs `aire probe`, as somebody without a key.
fn probe(args: &[&str]) -> Output {
    let home = TempDir::new().expect("a directory");
    Command::new(env!("CARGO_BIN_EXE_aire"))
        .arg("probe")
        .args(args)
        .env("XDG_CONFIG_HOME", home.path())
        .env_remove("AIRE_KEY")
        .output()
        .expect("it runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into()
}

/// What each check came to, and why, by its name.
fn outcomes(report: &Value) -> BTreeMap<String, (String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let checks = report["checks"].as_array().expect("checks").iter();
    checks
        .map(|check| {
            let came = (text(&check["outcome"]), text(&check["reason"]));
            (text(&check["name"]), came)
        })
        .collect()
}

/// The checks that there are.
fn listed() -> Vec<Value> {
    let output = probe(&["--list", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    json(&output).as_array().expect("a list").clone()
}

/// A node with an echo, and a stream that costs a token for each frame.
fn node() -> (Node, String, String) {
    let certificate = Certificate::self_signed(&["localhost"]).expect("a certificate");
    let pin = certificate.pin().to_string();
    let identity = Identity::generate().expect("a key");
    let node = Node::builder(identity, certificate)
        .agent("echo", echo)
        .and_then(|node| {
            let keep = Resumable::for_ttl(Duration::from_secs(300));
            node.resumable_agent("stream", stream, keep)
        })
        .and_then(|node| node.listen("127.0.0.1:0".parse().expect("an address")))
        .expect("a node");
    let uri = format!("aire://{}", node.address());
    (node, uri, pin)
}

fn echo(operation: &mut Operation) -> Result<(), Failure> {
    let args = operation.args().to_vec();
    operation.send(args)
}

fn stream(operation: &mut Operation) -> Result<(), Failure> {
    let args = String::from_utf8_lossy(operation.args()).into_owned();
    let mut numbers = args.split(' ').map(|word| word.parse::<u64>());
    let (Some(Ok(count)), Some(Ok(pause))) = (numbers.next(), numbers.next()) else {
        return Err(Failure::application("two numbers are needed"));
    };
    operation.set_budget_patience(Duration::from_secs(10));
    for n in 1..=count {
        if n > 1 && pause > 0 {
            operation.sleep(Duration::from_millis(pause))?;
        }
        operation.charge(&Charge::tokens(1))?;
        operation.send(format!("token-{n}"))?;
    }
    Ok(())
}

#[test]
fn our_node_passes_every_check() {
    let (node, uri, pin) = node();
    let output = probe(&[&uri, "--pin", &pin, "--timeout", "60s", "--json"]);
    let report = json(&output);
    let checks = listed().len();
    assert!(checks >= 45, "{checks} checks");
    for check in report["checks"].as_array().expect("checks") {
        assert_eq!(check["outcome"], "pass", "{check:#}");
    }
    assert_eq!(report["summary"]["pass"], checks, "{report:#}");
    assert_eq!(report["did"], node.did());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    node.stop();
}

#[test]
fn a_node_that_requires_the_channel_binding_is_judged_too() {
    let certificate = Certificate::self_signed(&["localhost"]).expect("a certificate");
    let pin = certificate.pin().to_string();
    let identity = Identity::generate().expect("a key");
    let identity = identity.require_channel_binding().expect("room");
    let node = Node::builder(identity, certificate)
        .agent("echo", echo)
        .and_then(|node| node.listen("127.0.0.1:0".parse().expect("an address")))
        .expect("a node");
    let uri = format!("aire://{}", node.address());
    let output = probe(&[&uri, "--pin", &pin, "--timeout", "60s", "--json"]);
    let report = json(&output);
    for (name, (outcome, reason)) in outcomes(&report) {
        let is_good = ["pass", "skipped", "not-applicable"].contains(&outcome.as_str());
        assert!(is_good, "{name}: {outcome}: {reason}");
    }
    let outcomes = outcomes(&report);
    for name in [
        "echo",
        "byte-by-byte",
        "replayed-hello",
        "nonce-of-another",
        "binding-of-another",
    ] {
        assert_eq!(outcomes[name].0, "pass", "{name}");
    }
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    node.stop();
}

#[test]
fn without_agents_what_needs_them_is_skipped_with_the_reason() {
    let certificate = Certificate::self_signed(&["localhost"]).expect("a certificate");
    let pin = certificate.pin().to_string();
    let node = Node::builder(Identity::generate().expect("a key"), certificate)
        .listen("127.0.0.1:0".parse().expect("an address"))
        .expect("a node");
    let uri = format!("aire://{}", node.address());
    let only = "echo,budget-stops,double-hello,resume-unknown-token,concatenated";
    let output = probe(&[&uri, "--pin", &pin, "--timeout", "60s", "--only", only]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{table}");
    for line in [
        "skip  M  echo ",
        "skip  M  budget-stops ",
        "pass  M  double-hello ",
        "n/a   M  resume-unknown-token ",
        "pass  M  concatenated ",
        "name one that does with --echo",
        "5 checks in ",
    ] {
        assert!(table.contains(line), "no {line:?} in:\n{table}");
    }
    node.stop();
}

#[test]
fn a_server_that_refuses_nothing_and_signs_badly_is_caught() {
    let server = BadServer::start();
    let uri = format!("aire://{}", server.address);
    let output = probe(&[
        &uri,
        "--pin",
        &server.pin,
        "--timeout",
        "6s",
        "--jobs",
        "32",
        "--json",
    ]);
    let outcomes = outcomes(&json(&output));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("of the checks that a server must pass failed"));
    let came = |name: &str, outcome: &str| {
        let (came, reason) = &outcomes[name];
        assert_eq!(came, outcome, "{name}: {reason}");
    };
    for name in [
        "own-signature",
        "double-hello",
        "tampered-signature",
        "replayed-hello",
        "reset-cancels",
        "cancel-ends",
        "cancel-empty",
        "budget-stops",
        "budget-lowered",
        "deadline-stops",
        "resume-unknown-token",
    ] {
        came(name, "fail");
    }
    for name in [
        "certificate",
        "hello-comes-first",
        "own-method",
        "flags-ignored",
        "echo",
    ] {
        came(name, "pass");
    }
    // What a server passes that does nothing about it shows nothing.
    let harmless: BTreeSet<_> = [
        "other-protocol",
        "other-quic-version",
        "oversized-frame",
        "endless-frame",
        "empty-stream",
    ]
    .into();
    for check in listed() {
        let name = check["name"].as_str().expect("a name");
        if check["hostile"] == true && !harmless.contains(name) {
            assert_ne!(outcomes[name].0, "pass", "{name}");
        }
    }
}

#[test]
fn the_list_names_each_check_with_its_requirements() {
    let listed = listed();
    let named = |name: &str| listed.iter().find(|check| check["name"] == name);
    let double = named("double-hello").expect("it is there");
    assert_eq!(double["ids"], serde_json::json!(["HS-3"]));
    assert_eq!(double["level"], "M");
    let only = probe(&["--list", "--only", "SIG-9"]);
    let text = String::from_utf8_lossy(&only.stdout).into_owned();
    assert!(text.lines().count() >= 4, "{text}");
    assert!(text.lines().all(|line| line.contains("SIG-9")), "{text}");
}

#[test]
fn where_nobody_answers_there_is_nothing_to_judge() {
    // A port that was just given back, and one behind which nobody speaks.
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let silent = format!("aire://{}", socket.local_addr().expect("bound"));
    let output = probe(&[
        &silent,
        "--danger-accept-any-certificate",
        "--timeout",
        "1s",
    ]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("does not answer"),
        "{}",
        stderr(&output)
    );
    drop(socket);
    let output = probe(&[
        &silent,
        "--danger-accept-any-certificate",
        "--timeout",
        "30s",
    ]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("nobody listens"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_certificate_that_is_not_believed_is_told_apart_from_silence() {
    let (node, uri, _) = node();
    let other = "00".repeat(32);
    let output = probe(&[&uri, "--pin", &other, "--timeout", "60s"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("is not believed"),
        "{}",
        stderr(&output)
    );
    node.stop();
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (args, words) in [
        (&["--list", "--only", "SIG-99"][..], "SIG-99"),
        (
            &["--list", "--only", "TR-3", "--skip", "TR-3"],
            "no check is left",
        ),
        (&["aire://localhost/echo/say"], "--echo"),
        (&["aire://localhost", "--echo", "/say"], "AGENT/OPERATION"),
        (&["http://localhost"], "http://localhost"),
    ] {
        let output = probe(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}
