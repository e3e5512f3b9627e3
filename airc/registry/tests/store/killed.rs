//! A registry that is killed (`kill -9`) at any moment has lost nothing that it had answered.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use airc_registry::engine::EngineSettings;
use airc_registry::store::Database;
use proptest::prelude::Rng;
use proptest::test_runner::TestRunner;
use tokio::task::JoinSet;

use crate::inbox::{Post, run};

const DATABASE: &str = "AIRC_TEST_KILLED_DATABASE";
const ROUND: &str = "AIRC_TEST_KILLED_ROUND";
const ROUNDS: u32 = 6;

/// Takes messages, and says which, until it is killed.
#[test]
#[ignore = "this is the process that is killed, not a test"]
fn the_process_that_is_killed() {
    let (Ok(path), Ok(round)) = (std::env::var(DATABASE), std::env::var(ROUND)) else {
        panic!("{DATABASE} and {ROUND} are set by the test that kills this");
    };
    run(async {
        let database = Database::Sqlite(path.into());
        let post = Arc::new(Post::open(&database, EngineSettings::default()).await);
        let mut sending = JoinSet::new();
        for sender in 0..24 {
            let (post, round) = (Arc::clone(&post), round.clone());
            sending.spawn(async move {
                for n in 0_u64.. {
                    let id = format!("msg_{round}_{sender}_{n}");
                    post.send(&id).await.unwrap();
                    // One write, so that a line is there whole or not at all.
                    let line = format!("answered {id}\n");
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            });
        }
        sending.join_all().await;
    });
}

/// Runs a registry, kills it after so many answers, and returns all that it answered.
fn answered_before_the_kill(database: &Path, round: u32, answers: usize) -> Vec<String> {
    let this = std::env::current_exe().expect("this program");
    let mut child = Command::new(this)
        .args(["--exact", "killed::the_process_that_is_killed"])
        .args(["--ignored", "--nocapture", "--test-threads=1"])
        .env(DATABASE, database)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut answered = Vec::new();
    let mut line = String::new();
    while output.read_line(&mut line).expect("its output") > 0 && line.ends_with('\n') {
        // The test harness writes in between.
        if let Some((_, id)) = line.trim_end().split_once("answered ") {
            answered.push(id.to_owned());
        }
        if answered.len() == answers {
            child.kill().expect("it can be killed");
        }
        line.clear();
    }
    let status = child.wait().expect("it has ended");
    assert!(!status.success(), "{status}");
    assert!(answered.len() >= answers, "it ended by itself: {status}");
    answered
}

#[test]
fn a_killed_registry_has_kept_every_message_that_it_answered() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let path = scratch.path().join("airc.db");
    let mut runner = TestRunner::default();
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let answers = 1 + (runner.rng().next_u32() % 400) as usize;
        all.extend(answered_before_the_kill(&path, round, answers));
        let check = rusqlite::Connection::open(&path).expect("a database");
        let sound: String = check
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .expect("it is checked");
        assert_eq!(sound, "ok");
        drop(check);
        run(async {
            let database = Database::Sqlite(path.clone());
            let post = Post::open(&database, EngineSettings::default()).await;
            let kept = post.inbox().await;
            for id in &all {
                assert!(kept.contains(id), "{id} is lost, after {answers} answers");
            }
        });
    }
}
