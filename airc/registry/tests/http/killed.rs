//! A program that is killed has lost nothing that it had acknowledged.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::{Agent, Client, nonce, until};

/// The program, with a database in `dir`, and whoever talks to it.
fn start(dir: &Path) -> (Child, Client) {
    let config = "[limits]\nrequests_per_identity = 0\nrequests_per_address = 0\n";
    std::fs::write(dir.join("registry.toml"), config).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_airc-registry"))
        .args(["--json", "serve", "--open", "--listen", "127.0.0.1:0"])
        .current_dir(dir)
        .env_remove("AIRC_DATABASE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = program.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).expect("it is ready");
    let address = ready["address"].as_str().unwrap().parse().unwrap();
    (program, Client::new(address))
}

/// How often each message is in an inbox, by its id.
fn inbox(client: &Client, owner: &Agent) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let mut target = "/messages?limit=200".to_owned();
    loop {
        let page = client.get_as(owner, &target).is(200).json();
        for message in page["messages"].as_array().unwrap() {
            let id = message["id"].as_str().unwrap().to_owned();
            *found.entry(id).or_default() += 1;
        }
        if page["hasMore"] == false {
            return found;
        }
        let cursor = page["cursor"].as_str().unwrap();
        target = format!("/messages?limit=200&since={cursor}");
    }
}

#[test]
fn every_message_that_was_acknowledged_is_there_once_after_a_kill() {
    let dir = tempfile::TempDir::new().unwrap();
    let (mut program, client) = start(dir.path());
    let (alice, bob) = client.friends("alice", "bob");
    let acknowledged = Mutex::new(Vec::new());
    let count = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let id = format!("msg_{}", nonce());
                    let message = alice.message(&bob, json!({ "id": id }));
                    match client.try_post("/messages", &message) {
                        Some(200) => acknowledged.lock().unwrap().push(id),
                        Some(other) => panic!("{other}"),
                        None => return,
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        until("300 messages", || {
            (count.load(Ordering::SeqCst) >= 300).then_some(())
        });
        // SIGKILL, in the middle of what they send.
        program.kill().unwrap();
        program.wait().unwrap();
    });
    let (mut program, client) = start(dir.path());
    let found = inbox(&client, &bob);
    program.kill().unwrap();
    program.wait().unwrap();
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() >= 300, "{}", acknowledged.len());
    for id in &acknowledged {
        assert_eq!(found.get(id), Some(&1), "{id}");
    }
    assert!(found.values().all(|count| *count == 1));
    // Of what was never acknowledged at most one message a sender is there.
    assert!(found.len() <= acknowledged.len() + 4);
}
