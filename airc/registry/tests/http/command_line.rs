//! The `airc-registry` command.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use airc_registry::Config;
use airc_registry::config::Loaded;
use serde_json::{Value, json};

use crate::support::{Agent, Stand, config};

fn run(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_airc-registry"));
    command.args(args).current_dir(dir).stdin(Stdio::null());
    command
        .env_remove("AIRC_DATABASE")
        .output()
        .expect("it runs")
}

#[track_caller]
fn good(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn refused(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty());
    stderr
}

#[test]
fn invites_are_issued_listed_used_and_revoked() {
    let mut closed = config();
    closed.open = false;
    let stand = Stand::with(closed);
    let database = format!("sqlite:{}", stand.dir.path().join("r.db").display());
    let here = stand.dir.path();
    let invite = |args: &[&str]| {
        let mut all = vec!["--json", "invite"];
        all.extend(args);
        all.extend(["--database", &database]);
        let output = run(here, &all);
        serde_json::from_str::<Value>(&good(&output)).expect("JSON")
    };
    let register = |name: &str, key: Option<&str>| {
        let authorization = key.map(|key| format!("Bearer {key}"));
        let headers: Vec<_> = authorization
            .iter()
            .map(|text| ("Authorization", text.as_str()))
            .collect();
        let body = Agent::new(name).registration(json!({}));
        stand.send("POST", "/identity", &headers, Some(&body))
    };
    register("alice", None).refused(401, "auth_failed");
    register("alice", Some("invite_code_here")).refused(401, "auth_failed");
    let made = invite(&["create", "--uses", "1", "--note", "for alice"]);
    let key = made["key"].as_str().unwrap();
    assert!(key.len() > 40, "256 bits: {key}");
    register("alice", Some(key)).is(201);
    register("bob", Some(key)).refused(401, "auth_failed");
    let many = invite(&["create", "--uses", "0", "--expires", "12h"]);
    let key = many["key"].as_str().unwrap();
    register("bob", Some(key)).is(201);
    register("carol", Some(key)).is(201);
    let id = many["id"].as_str().unwrap();
    invite(&["revoke", id]);
    register("dave", Some(key)).refused(401, "auth_failed");
    let listed = invite(&["list"]);
    let states: Vec<&str> = listed["invites"]
        .as_array()
        .unwrap()
        .iter()
        .map(|invite| invite["state"].as_str().unwrap())
        .collect();
    assert!(
        states.contains(&"used") && states.contains(&"revoked"),
        "{listed}"
    );
    assert!(!listed.to_string().contains(key), "keys are not kept");
    // The older dialect needs them as well.
    let body = r#"{"action":"register","username":"erin","workingOn":"x"}"#;
    assert!(stand.post("/api/presence", body).status >= 400);
    let unknown = run(
        here,
        &["invite", "revoke", "inv_nothing", "--database", &database],
    );
    assert!(refused(&unknown).contains("there is no invite"));
}

#[test]
fn a_configuration_that_is_no_good_is_told_with_file_line_and_field() {
    let dir = tempfile::TempDir::new().unwrap();
    for (text, words) in [
        ("listn = 1", "registry.toml:1:1: listn: unknown field"),
        (
            "[limits]\nburst = 0",
            "registry.toml:2:9: limits.burst: at least 1",
        ),
        (
            "domain = \"a.b\"\nlisten = \"0.0.0.0:1\"",
            "registry.toml:2:10: listen: others",
        ),
        (
            "database = \"mysql:x\"",
            "registry.toml:1:12: database: a database is sqlite:PATH",
        ),
        (
            "[tls]\ncertificate = \"a\"\nkey = \"b\"",
            "a is no certificate in PEM",
        ),
    ] {
        std::fs::write(dir.path().join("registry.toml"), text).unwrap();
        for command in ["check", "serve"] {
            let said = refused(&run(dir.path(), &[command]));
            assert!(said.contains(words), "{command} {text}: {said}");
        }
    }
    std::fs::write(dir.path().join("good.toml"), "open = true\n").unwrap();
    let said = good(&run(dir.path(), &["check", "--config", "good.toml"]));
    assert_eq!(said, "good.toml is good\n");
    let missing = run(dir.path(), &["check", "--config", "missing.toml"]);
    assert!(refused(&missing).contains("cannot read missing.toml"));
}

#[test]
fn plain_http_is_not_served_to_others_by_accident() {
    let dir = tempfile::TempDir::new().unwrap();
    let args = ["serve", "--listen", "0.0.0.0:0", "--domain", "example.org"];
    let said = refused(&run(dir.path(), &args));
    assert!(said.contains("danger_plain_http"), "{said}");
    let said = refused(&run(dir.path(), &["serve", "--listen", "[::]:0"]));
    assert!(said.contains("domain"), "{said}");
    assert!(!dir.path().join("registry.db").exists());
}

#[test]
fn the_openapi_document_is_printed() {
    let dir = tempfile::TempDir::new().unwrap();
    let printed = good(&run(dir.path(), &["openapi"]));
    let document: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    let stand = Stand::new();
    assert_eq!(stand.get("/openapi.json").is(200).text, printed);
}

#[test]
fn the_configurations_of_the_guide_are_good() {
    let guide = include_str!("../../README.md");
    let dir = tempfile::TempDir::new().unwrap();
    let mut blocks = 0;
    for block in guide.split("```toml\n").skip(1) {
        let (text, _) = block.split_once("```").expect("the end of a block");
        let path = dir.path().join("registry.toml");
        std::fs::write(&path, text).unwrap();
        let loaded = Loaded::read(&path).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let config = loaded
            .check()
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        if text.contains("[limits]") {
            // What are said to be the defaults are.
            let mut defaults = Config::default();
            defaults.database.clone_from(&config.database);
            assert_eq!(*config, defaults);
        }
        blocks += 1;
    }
    assert_eq!(blocks, 3);
}
