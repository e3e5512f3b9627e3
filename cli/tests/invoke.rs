//! `aire invoke`, with the real binary.

mod stand;
mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::UdpSocket;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::Ordering;

use aire_mio::{CancelReason, Failure, Identity};
use aire_proto::resume::Ticket;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stand::Stand;
use support::{PATIENCE, wait_until};

fn start(stand: &Stand, path: &str, more: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let uri = stand.uri(path);
    let mut command = stand.home.command(&stand.args("invoke", &uri, more));
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = child.stderr(Stdio::piped()).spawn().expect("it starts");
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    (child, stdout)
}

fn line(from: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("text");
    line
}

#[test]
fn what_comes_is_printed_as_it_is() {
    let stand = Stand::new();
    let ran = stand.run("invoke", "", &["echo/say", "hello"]);
    assert_eq!(ran.good(), "hello");
    let ran = stand.run("invoke", "", &["echo/say", "hello", "--lines"]);
    assert_eq!(ran.good(), "hello\n");
    // The target can name the agent as well.
    let ran = stand.run("invoke", "/echo/say", &["hello"]);
    assert_eq!(ran.good(), "hello");
}

#[test]
fn arguments_come_from_a_file_and_from_stdin() {
    let stand = Stand::new();
    stand.home.file("args", "from a file\n");
    let ran = stand.run("invoke", "/echo/say", &["--file", "args"]);
    assert_eq!(ran.good(), "from a file\n");

    let (mut child, _) = start(&stand, "/echo/say", &["-"]);
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"from stdin").expect("it reads");
    drop(stdin);
    assert!(child.wait().expect("it was started").success());

    let ran = stand.run("invoke", "/echo/say", &["--file", "missing"]);
    assert_eq!(ran.code(), Some(2));
    assert!(ran.stderr().contains("missing"), "{}", ran.stderr());
}

#[test]
fn lines_of_input_are_frames_that_are_answered_at_once() {
    let stand = Stand::new();
    let (mut child, mut stdout) = start(&stand, "/echo/all", &["--input", "-", "--lines"]);
    let mut stdin = child.stdin.take().expect("a pipe");
    for text in ["one\n", "two\n"] {
        stdin.write_all(text.as_bytes()).expect("it reads");
        assert_eq!(line(&mut stdout), text);
    }
    drop(stdin);
    assert!(child.wait().expect("it was started").success());
}

#[test]
fn more_input_than_fits_anywhere_comes_back_whole() {
    let stand = Stand::new();
    let text: String = (0..20_000).map(|n| format!("{n:0100}\n")).collect();
    stand.home.file("input", &text);
    let ran = stand.run("invoke", "/echo/all", &["--input", "input", "--lines"]);
    assert!(ran.good() == text, "something is missing");
    // An agent that reads until the end of its input is told that there is none.
    let ran = stand.run("invoke", "/echo/all", &["hello", "--end-input"]);
    assert_eq!(ran.good(), "hello");
}

#[test]
fn json_has_a_line_for_each_thing_that_happens() {
    let stand = Stand::new();
    let told = stand.run("invoke", "/spend/all", &["2", "--json"]).good();
    let lines: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let events: Vec<_> = lines.iter().filter_map(|it| it["event"].as_str()).collect();
    assert_eq!(events, ["connected", "stream", "stream", "end"]);
    assert_eq!(lines[0]["peer"], stand.node.did());
    assert_eq!(lines[1]["text"], "x");
    assert_eq!(lines[3]["outcome"], "completed");
    assert_eq!(lines[3]["accounting"]["tokens_out"], 2);

    stand.home.file("raw", "");
    fs::write(stand.home.path().join("raw"), [0xff, 0xfe]).expect("a file");
    let told = stand
        .run("invoke", "/echo/say", &["--file", "raw", "--json"])
        .good();
    assert!(told.contains("\"base64\":\"//4=\""), "{told}");
}

#[test]
fn what_the_agent_says_is_the_exit_code() {
    let stand = Stand::new();
    let ran = stand.run("invoke", "/fail/x", &[]);
    assert_eq!(ran.code(), Some(1));
    assert_eq!(ran.stdout(), "some\n");
    assert!(
        ran.stderr().contains("there is no more"),
        "{}",
        ran.stderr()
    );

    let ran = stand.run("invoke", "/nobody/x", &["--json"]);
    assert_eq!(ran.code(), Some(1));
    assert!(ran.stdout().contains("AGENT_NOT_FOUND"), "{}", ran.stdout());

    let ran = stand.run("invoke", "", &[]);
    assert_eq!(ran.code(), Some(2));
    assert!(ran.stderr().contains("names no agent"), "{}", ran.stderr());
}

#[test]
fn a_budget_is_kept() {
    let stand = Stand::new();
    let ran = stand.run("invoke", "/spend/limited", &["5", "--tokens", "3"]);
    assert_eq!(ran.code(), Some(5), "{}", ran.stderr());
    assert_eq!(ran.stdout(), "xxx");
    let ran = stand.run("invoke", "/wait/x", &["--deadline", "100ms"]);
    assert_eq!(ran.code(), Some(5), "{}", ran.stderr());
    assert!(
        ran.stderr().contains("DEADLINE_EXCEEDED"),
        "{}",
        ran.stderr()
    );
}

#[test]
fn ctrl_c_cancels_and_waits_for_the_agent() {
    let stand = Stand::new();
    let (child, mut stdout) = start(&stand, "/wait/x", &[]);
    assert_eq!(line(&mut stdout), "waiting\n");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    let ended = child.wait_with_output().expect("it was started");
    assert_eq!(ended.status.code(), Some(130));
    let stopped = stand.stopped.recv_timeout(PATIENCE).expect("it stopped");
    let Failure::Cancelled { reason, .. } = stopped else {
        panic!("not cancelled: {stopped}");
    };
    assert_eq!(reason, CancelReason::UserCancelled);
}

#[test]
fn nobody_there_and_somebody_else_there_are_told_apart() {
    let stand = Stand::new();
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let uri = format!("aire://{}/a/b", silent.local_addr().expect("an address"));
    let ran = stand
        .home
        .run(&["invoke", &uri, "--connect-timeout", "300ms"]);
    assert_eq!(ran.code(), Some(3), "{}", ran.stderr());

    let other = Identity::generate().expect("a key");
    let ran = stand.run("invoke", "/echo/x", &["--expect", other.did()]);
    assert_eq!(ran.code(), Some(4), "{}", ran.stderr());
    assert!(ran.stderr().contains(stand.node.did()), "{}", ran.stderr());

    // A certificate that nobody vouches for.
    let ran = stand.home.run(&["invoke", &stand.uri("/echo/x")]);
    assert_eq!(ran.code(), Some(4), "{}", ran.stderr());
}

#[test]
fn another_process_goes_on_where_one_was_killed() {
    let stand = Stand::new();
    stand.home.run(&["keygen"]).good();
    let more = ["--resume", "ticket", "--lines"];
    let (mut child, mut stdout) = start(&stand, "/count/up", &more);
    for number in ["1\n", "2\n", "3\n"] {
        assert_eq!(line(&mut stdout), number);
    }
    let file = stand.home.path().join("ticket");
    wait_until("the ticket is up to date", || {
        let bytes = fs::read(&file).unwrap_or_default();
        Ticket::decode(&bytes).is_ok_and(|ticket| ticket.received == 3)
    });
    child.kill().expect("it runs");
    child.wait().expect("it was started");
    stand.gate.store(true, Ordering::SeqCst);

    let ran = stand.run("invoke", "/echo/say", &more);
    assert_eq!(ran.code(), Some(2), "it is of another operation");
    let ran = stand.run("invoke", "/count/up", &more);
    assert_eq!(ran.good(), "4\n5\n6\n");
    assert!(!file.exists(), "it is of no use any more");
}

#[test]
fn an_operation_that_is_left_goes_on_without_the_process() {
    let stand = Stand::new();
    stand.home.run(&["keygen"]).good();
    let more = ["--resume", "ticket", "--lines"];
    let (child, mut stdout) = start(&stand, "/count/up", &more);
    for number in ["1\n", "2\n", "3\n"] {
        assert_eq!(line(&mut stdout), number);
    }
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    let ended = child.wait_with_output().expect("it was started");
    assert_eq!(ended.status.code(), Some(130));
    stand.gate.store(true, Ordering::SeqCst);
    let ran = stand.run("invoke", "/count/up", &more);
    assert_eq!(ran.good(), "4\n5\n6\n");
}

#[test]
fn resuming_takes_a_key_that_lasts() {
    let stand = Stand::new();
    let ran = stand.run("invoke", "/count/up", &["--resume", "ticket"]);
    assert_eq!(ran.code(), Some(2), "{}", ran.stderr());
}

/// As in `aire invoke ... | head -1`.
#[test]
fn who_has_read_enough_cancels() {
    let stand = Stand::new();
    let (mut child, mut stdout) = start(&stand, "/echo/all", &["--input", "-", "--lines"]);
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"one\n").expect("it reads");
    assert_eq!(line(&mut stdout), "one\n");
    drop(stdout);
    // What comes now finds nobody.
    stdin.write_all(b"two\n").expect("it reads");
    let ended = child.wait_with_output().expect("it was started");
    assert_eq!(ended.status.code(), Some(0));
    wait_until("the operation is over", || {
        stand.node.metrics().operations_live == 0
    });
}
