//! The demos end well, and show what they promise.

use std::process::Command;

fn shown_by(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.expect("the program is there");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}\n{complaints}");
    shown
}

/// How many lines have all of `words`.
fn lines_with(shown: &str, words: &[&str]) -> usize {
    let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
    shown.lines().filter(has_all).count()
}

#[test]
fn two_nodes_cancel_one_stream_complete_another_and_top_up_a_budget() {
    let shown = shown_by(env!("CARGO_BIN_EXE_two-nodes"), &["demo"]);
    assert_eq!(lines_with(&shown, &["END", "8 tokens, "]), 1, "{shown}");
    assert_eq!(lines_with(&shown, &["END", "20 tokens, complete"]), 1);
    assert_eq!(lines_with(&shown, &["END", "12 tokens, complete"]), 1);
    assert_eq!(lines_with(&shown, &["client  <- BUDGET", "0 left"]), 1);
}

#[test]
fn a_delegated_operation_stays_in_its_budget_and_is_cancelled_whole() {
    let shown = shown_by(env!("CARGO_BIN_EXE_delegation"), &[]);
    assert_eq!(
        lines_with(&shown, &["54 tokens were spent, of 60"]),
        1,
        "{shown}"
    );
    assert_eq!(lines_with(&shown, &["<- CANCEL", "UPSTREAM_CANCELLED"]), 3);
}

#[test]
fn a_thousand_tokens_arrive_through_a_move_two_cuts_and_a_kill() {
    let shown = shown_by(env!("CARGO_BIN_EXE_resume"), &["demo"]);
    assert_eq!(lines_with(&shown, &["it migrated"]), 1, "{shown}");
    assert_eq!(lines_with(&shown, &["node    <- RESUME"]), 2);
    assert_eq!(lines_with(&shown, &["INVOKE", "process"]), 1);
    assert_eq!(lines_with(&shown, &["RESUME", "process"]), 1);
    assert_eq!(
        lines_with(&shown, &["All 1000 tokens, in order, each once"]),
        1
    );
}

#[test]
fn two_agents_meet_at_a_registry_and_go_on_with_the_same_keys() {
    let shown = shown_by(env!("CARGO_BIN_EXE_meeting"), &[]);
    assert_eq!(
        lines_with(&shown, &["ada", "waits for @mason's consent"]),
        1,
        "{shown}"
    );
    assert_eq!(
        lines_with(&shown, &["mason", "ACCEPT", "@ada: accepted"]),
        1
    );
    assert_eq!(
        lines_with(&shown, &["ada", "verified: handoff to aire://"]),
        1
    );
    assert_eq!(lines_with(&shown, &["ada", "STREAM", "roses 5"]), 1);
    // Who registered is who answers.
    let mason = shown
        .lines()
        .find(|line| line.contains("mason") && line.contains("REGISTER"));
    let did = mason
        .and_then(|line| line.split("did:key:").nth(1))
        .expect("a DID");
    assert_eq!(lines_with(&shown, &["ada", "<- HELLO", did]), 1);
    assert_eq!(lines_with(&shown, &["All of it is true."]), 1);
}
