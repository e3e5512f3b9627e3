//! Programs as agents, behind the real command.

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aire_mio::{CancelReason, ErrorCode, Failure, Operation};
use aire_proto::UnixMillis;
use aire_proto::wire::Budget;
use rustix::process::Signal;
use support::{Home, collect, is_gone, next, wait_until};

/// A table of an agent that runs a shell script.
fn script(name: &str, script: &str, more: &str) -> String {
    format!("[agents.{name}]\nexec = [\"sh\", \"-c\", '''{script}''']\n{more}\n")
}

fn tokens(tokens: u64) -> Budget {
    Budget {
        tokens: Some(tokens),
        ..Budget::default()
    }
}

/// The code and the words of the ERROR that ended it.
fn error(end: Result<(), Failure>) -> (ErrorCode, String) {
    match end {
        Err(Failure::Failed { code, detail, .. }) => (code, detail),
        other => panic!("no ERROR: {other:?}"),
    }
}

fn frame(operation: &mut Operation) -> String {
    next(operation).expect("it goes on").expect("a frame")
}

#[test]
fn a_python_program_is_an_agent_with_three_lines_of_toml() {
    let home = Home::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/serve");
    let copy = |name| std::fs::read_to_string(format!("{example}/{name}")).expect("it is there");
    home.file("shout.py", &copy("shout.py"));
    let node = home.serve(&copy("aire.toml"));
    let client = node.connect();
    let mut operation = client
        .invoke("shout", "words", "so much to say")
        .expect("a stream");
    let (frames, end) = collect(&mut operation);
    assert_eq!(frames, ["SO", "MUCH", "TO", "SAY"]);
    assert_eq!(end, Ok(()));
}

#[test]
fn lines_come_while_the_program_still_runs() {
    let home = Home::new();
    let config = script(
        "a",
        "echo one; read go; echo $go; printf last",
        "input = \"lines\"\narguments = \"none\"",
    );
    let node = home.serve(&config);
    let client = node.connect();
    let mut operation = client.invoke("a", "run", "").expect("a stream");
    assert_eq!(frame(&mut operation), "one");
    operation.send("on").expect("it is open");
    let (frames, end) = collect(&mut operation);
    assert_eq!(frames, ["on", "last"]);
    assert_eq!(end, Ok(()));
}

#[test]
fn what_the_caller_streams_are_lines_of_stdin_behind_the_arguments() {
    let home = Home::new();
    let node = home.serve("[agents.cat]\nexec = [\"cat\"]\ninput = \"lines\"\n");
    let client = node.connect();
    let mut operation = client.invoke("cat", "run", "first").expect("a stream");
    for text in ["second", "", "third"] {
        operation.send(text).expect("it is open");
    }
    operation.finish();
    let (frames, end) = collect(&mut operation);
    assert_eq!(frames, ["first", "second", "", "third"]);
    assert_eq!(end, Ok(()));

    let mut operation = client.invoke("cat", "run", "first").expect("a stream");
    operation.send("one\ntwo").expect("it is open");
    let (code, detail) = error(collect(&mut operation).1);
    assert_eq!(code, ErrorCode::Refused);
    assert!(detail.contains("line break"), "{detail}");
}

#[test]
fn chunks_carry_line_breaks_both_ways() {
    let home = Home::new();
    let node =
        home.serve("[agents.cat]\nexec = [\"cat\"]\ninput = \"chunks\"\noutput = \"chunks\"\n");
    let client = node.connect();
    let mut operation = client.invoke("cat", "run", "a\nb").expect("a stream");
    operation.send("").expect("it is open");
    operation.send("c\n").expect("it is open");
    operation.finish();
    assert_eq!(
        collect(&mut operation),
        (vec!["a\nb".into(), String::new(), "c\n".into()], Ok(()))
    );
}

#[test]
fn a_megabyte_of_arguments_arrives_and_may_be_ignored() {
    let home = Home::new();
    let node =
        home.serve("[agents.count]\nexec = [\"wc\", \"-c\"]\n[agents.ignore]\nexec = [\"true\"]\n");
    let client = node.connect();
    let args = vec![b'x'; 1_000_000];
    let mut operation = client
        .invoke("count", "run", args.clone())
        .expect("a stream");
    let (frames, end) = collect(&mut operation);
    assert_eq!(frames.concat().trim(), "1000000");
    assert_eq!(end, Ok(()));
    let mut operation = client.invoke("ignore", "run", args).expect("a stream");
    assert_eq!(collect(&mut operation), (vec![], Ok(())));
}

#[test]
fn arguments_on_the_command_line_are_text_or_refused() {
    let home = Home::new();
    let node =
        home.serve("[agents.say]\nexec = [\"printf\", '%s\\n', \"--\"]\narguments = \"argv\"\n");
    let client = node.connect();
    let mut operation = client
        .invoke("say", "run", "$(id) ; 'x'")
        .expect("a stream");
    let (frames, end) = collect(&mut operation);
    assert_eq!(
        (frames.last().map(String::as_str), end),
        (Some("$(id) ; 'x'"), Ok(()))
    );
    for (args, words) in [
        (b"a\0b".to_vec(), "NUL"),
        (b"\xff".to_vec(), "UTF-8"),
        (vec![b'x'; 131_072], "131,071"),
    ] {
        let mut operation = client.invoke("say", "run", args).expect("a stream");
        let (code, detail) = error(collect(&mut operation).1);
        assert_eq!(code, ErrorCode::Refused);
        assert!(detail.contains(words), "{detail}");
    }
}

#[test]
fn the_environment_is_what_the_configuration_says_and_what_is_known_of_the_operation() {
    let home = Home::new();
    home.file(
        "aire.toml",
        "listen = [\"127.0.0.1:0\"]\n[http]\nlisten = \"127.0.0.1:0\"\n[agents.env]\nexec = \
         [\"env\"]\ninherit = [\"PATH\", \"SHARED\"]\nenvironment = { GIVEN = \"yes\" }\n",
    );
    let mut command = home.command(&["serve", "--json"]);
    command.env("SECRET", "hunter2").env("SHARED", "ours");
    let node = support::Served::start(command);
    let identity = aire_mio::Identity::generate().expect("a key");
    let did = identity.did().to_owned();
    let client = node.connect_as(identity).expect("it answers");
    let in_an_hour = SystemTime::now() + Duration::from_secs(3600);
    let in_an_hour = in_an_hour.duration_since(UNIX_EPOCH).expect("after 1970");
    let deadline = i64::try_from(in_an_hour.as_millis()).expect("near");
    let mut operation = client.invoke("env", "look", "").expect("a stream");
    operation.send_budget(Budget {
        deadline: Some(UnixMillis(deadline)),
        ..tokens(100)
    });
    let (mut frames, end) = collect(&mut operation);
    assert_eq!(end, Ok(()));
    frames.retain(|line| !line.starts_with("PATH="));
    frames.sort();
    let deadline = format!("AIRE_DEADLINE_MS={deadline}");
    let peer = format!("AIRE_PEER={did}");
    // BUDGET is a frame of its own, and may come too late for the environment.
    if frames.iter().any(|line| line.starts_with("AIRE_TOKENS")) {
        assert!(frames.contains(&"AIRE_TOKENS=100".into()));
        assert!(frames.contains(&deadline));
    }
    frames.retain(|line| *line != deadline && line != "AIRE_TOKENS=100");
    assert_eq!(
        frames,
        [
            "AIRE_AGENT=env",
            "AIRE_OPERATION=look",
            peer.as_str(),
            "GIVEN=yes",
            "SHARED=ours"
        ]
    );
}

#[test]
fn a_cancel_ends_the_whole_process_group() {
    let home = Home::new();
    let node = home.serve(&script("a", "sleep 1000 & echo $! $$; wait", ""));
    let client = node.connect();
    let mut operation = client.invoke("a", "run", "").expect("a stream");
    let line = frame(&mut operation);
    let pids: Vec<_> = line.split(' ').collect();
    assert_eq!(pids.len(), 2, "{line}");
    assert!(pids.iter().all(|pid| !is_gone(pid)));
    operation.cancel(CancelReason::UserCancelled, "enough");
    assert_eq!(error(collect(&mut operation).1).0, ErrorCode::Cancelled);
    wait_until("both are gone", || pids.iter().all(|pid| is_gone(pid)));
}

#[test]
fn a_program_that_is_cancelled_may_clean_up() {
    let home = Home::new();
    let config = script(
        "a",
        "trap 'sleep 0.2; echo bye; touch cleaned; exit 0' TERM; echo $$; while :; do sleep 0.1; done",
        "grace = \"100s\"",
    );
    let node = home.serve(&config);
    let client = node.connect();
    let mut operation = client.invoke("a", "run", "").expect("a stream");
    let pid = frame(&mut operation);
    operation.cancel(CancelReason::UserCancelled, "");
    wait_until("it is gone", || is_gone(&pid));
    assert!(home.path().join("cleaned").exists());
}

#[test]
fn a_program_that_will_not_end_is_killed() {
    let home = Home::new();
    let config = script(
        "a",
        "trap '' TERM; echo $$; while :; do sleep 0.1; done",
        "grace = \"100ms\"",
    );
    let node = home.serve(&config);
    let client = node.connect();
    let mut operation = client.invoke("a", "run", "").expect("a stream");
    let pid = frame(&mut operation);
    operation.cancel(CancelReason::UserCancelled, "");
    wait_until("it is gone", || is_gone(&pid));
}

#[test]
fn each_frame_costs_a_token_and_no_more_are_sent_than_paid_for() {
    let home = Home::new();
    let node = home.serve(&script("a", "echo $$; while :; do echo more; done", ""));
    let client = node.connect();
    let mut operation = client.invoke("a", "run", "").expect("a stream");
    operation.send_budget(tokens(3));
    let (frames, end) = collect(&mut operation);
    assert_eq!(error(end).0, ErrorCode::BudgetExceeded);
    // The budget counts from when it is heard (BUD-5), so that frames may come before it.
    assert!(frames.len() >= 3, "{frames:?}");
    wait_until("it is gone", || is_gone(&frames[0]));
}

#[test]
fn a_cap_limits_a_peer_whatever_it_claims() {
    let home = Home::new();
    let config = script("a", "echo $$; while :; do echo more; done", "");
    let node = home.serve(&format!("{config}[[caps]]\nagent = \"a\"\ntokens = 3\n"));
    let client = node.connect();
    let mut operation = client.invoke("a", "run", "").expect("a stream");
    operation.send_budget(tokens(1000));
    let (frames, end) = collect(&mut operation);
    assert_eq!(error(end).0, ErrorCode::BudgetExceeded);
    assert_eq!(frames.len(), 3, "{frames:?}");
    wait_until("it is gone", || is_gone(&frames[0]));
}

#[test]
fn a_program_out_of_budget_waits_for_a_top_up() {
    let home = Home::new();
    let config = script(
        "a",
        "read go; seq 5",
        "input = \"lines\"\narguments = \"none\"\nbudget_patience = \"100s\"",
    );
    let node = home.serve(&config);
    let client = node.connect();
    let mut operation = client.invoke("a", "run", "").expect("a stream");
    operation.send_budget(tokens(2));
    operation.send("go").expect("it is open");
    assert_eq!(frame(&mut operation), "1");
    assert_eq!(frame(&mut operation), "2");
    operation.send_budget(tokens(3));
    let (frames, end) = collect(&mut operation);
    assert_eq!(frames, ["3", "4", "5"]);
    assert_eq!(end, Ok(()));
}

#[test]
fn a_passed_deadline_ends_the_program() {
    let home = Home::new();
    let config = script("a", "echo $$; exec sleep 1000", "");
    let node = home.serve(&format!("{config}[[caps]]\ntime = \"1s\"\n"));
    let client = node.connect();
    let mut operation = client.invoke("a", "run", "").expect("a stream");
    let (frames, end) = collect(&mut operation);
    match end {
        Err(Failure::Failed { code, .. }) => assert_eq!(code, ErrorCode::DeadlineExceeded),
        Err(Failure::Cancelled { reason, .. }) => {
            assert_eq!(reason, CancelReason::DeadlineExceeded);
        }
        other => panic!("{other:?}"),
    }
    // On a slow machine it may not even have begun.
    wait_until("it is gone", || frames.iter().all(|pid| is_gone(pid)));
}

#[test]
fn a_program_runs_no_longer_than_its_timeout() {
    let home = Home::new();
    let config = script("a", "echo $$; exec sleep 1000", "timeout = \"500ms\"");
    let node = home.serve(&config);
    let client = node.connect();
    let mut operation = client.invoke("a", "run", "").expect("a stream");
    let (frames, end) = collect(&mut operation);
    assert_eq!(error(end).0, ErrorCode::DeadlineExceeded);
    wait_until("it is gone", || frames.iter().all(|pid| is_gone(pid)));
}

#[test]
fn a_caller_that_takes_nothing_does_not_keep_a_program_past_its_timeout() {
    let home = Home::new();
    let config = script("a", "echo $$; exec yes", "timeout = \"1s\"");
    let node = home.serve(&config);
    let client = node.connect();
    let mut operation = client.invoke("a", "run", "").expect("a stream");
    let pid = frame(&mut operation);
    wait_until("it is gone", || is_gone(&pid));
}

#[test]
fn an_exit_code_is_an_error_with_the_last_words() {
    let home = Home::new();
    let fails = "echo out; echo first >&2; echo 'no such model' >&2; exit 3";
    let config = script("tells", fails, "")
        + &script("hides", fails, "tell_stderr = false")
        + &script("dies", "kill -9 $$", "");
    let node = home.serve(&config);
    let client = node.connect();
    for (agent, words) in [
        (
            "tells",
            "the program ended with exit code 3: first\nno such model",
        ),
        ("hides", "the program ended with exit code 3"),
        ("dies", "the program was ended by signal 9"),
    ] {
        let mut operation = client.invoke(agent, "run", "").expect("a stream");
        let (frames, end) = collect(&mut operation);
        assert_eq!(error(end), (ErrorCode::Application, words.into()));
        assert_eq!(frames.len(), usize::from(agent != "dies"));
    }
}

#[test]
fn output_that_is_no_frame_is_an_error_and_ends_the_program() {
    let home = Home::new();
    let config = script(
        "long",
        "echo $$; echo 1234567890123456; sleep 1000",
        "max_frame = 15",
    ) + &script(
        "chunk",
        r"printf '\377\377\377\377'; sleep 1000",
        "output = \"chunks\"",
    ) + &script(
        "half",
        r"printf '\000\000\000\005abc'",
        "output = \"chunks\"",
    );
    let node = home.serve(&config);
    let client = node.connect();
    for (agent, words) in [
        ("long", "more than 15 bytes"),
        ("chunk", "4294967295 bytes"),
        ("half", "within a chunk"),
    ] {
        let mut operation = client.invoke(agent, "run", "").expect("a stream");
        let (frames, end) = collect(&mut operation);
        let (code, detail) = error(end);
        assert_eq!(code, ErrorCode::Application);
        assert!(detail.contains(words), "{detail}");
        wait_until("it is gone", || frames.iter().all(|pid| is_gone(pid)));
    }
}

#[test]
fn what_a_program_leaves_behind_is_ended_with_it() {
    let home = Home::new();
    let node = home.serve(&script("a", "sleep 1000 & echo $!", "grace = \"100ms\""));
    let client = node.connect();
    let mut operation = client.invoke("a", "run", "").expect("a stream");
    let (frames, end) = collect(&mut operation);
    assert_eq!(end, Ok(()));
    assert_eq!(frames.len(), 1);
    wait_until("it is gone", || is_gone(&frames[0]));
}

#[test]
fn what_comes_after_a_program_has_exited_comes_whole() {
    let home = Home::new();
    let late = "(sleep 2; echo two; sleep 2; echo three) & echo one";
    let node = home.serve(&script("late", late, "grace = \"3s\""));
    let client = node.connect();
    let mut operation = client.invoke("late", "run", "").expect("a stream");
    let (frames, end) = collect(&mut operation);
    assert_eq!(frames, ["one", "two", "three"]);
    assert_eq!(end, Ok(()));
}

#[test]
fn no_more_run_than_may() {
    let home = Home::new();
    let node = home.serve(&script("a", "echo on; sleep 1000", "max_processes = 1"));
    let client = node.connect();
    let mut first = client.invoke("a", "run", "").expect("a stream");
    assert_eq!(frame(&mut first), "on");
    let mut second = client.invoke("a", "run", "").expect("a stream");
    let (code, detail) = error(collect(&mut second).1);
    assert_eq!(code, ErrorCode::Refused);
    assert!(detail.contains("try again later"), "{detail}");
    first.cancel(CancelReason::UserCancelled, "");
    wait_until("there is room again", || {
        let mut third = client.invoke("a", "run", "").expect("a stream");
        next(&mut third).is_ok()
    });
}

#[test]
fn a_lost_connection_ends_the_program() {
    let home = Home::new();
    let config = script("a", "echo $$; exec sleep 1000", "");
    let node = home.serve(&format!("{config}[limits]\nidle_timeout = \"1s\"\n"));
    let client = node.connect();
    let mut operation = client.invoke("a", "run", "").expect("a stream");
    let pid = frame(&mut operation);
    client.abandon();
    wait_until("it is gone", || is_gone(&pid));
}

#[test]
fn a_node_that_stops_leaves_no_program_behind() {
    let home = Home::new();
    let config = script(
        "a",
        "trap '' TERM; echo $$; while :; do sleep 0.1; done",
        "grace = \"100ms\"",
    );
    let node = home.serve(&format!("{config}[limits]\ndrain_timeout = \"100ms\"\n"));
    let client = node.connect();
    let mut operation = client.invoke("a", "run", "").expect("a stream");
    let pid = frame(&mut operation);
    node.signal(Signal::TERM);
    let (status, rest) = node.ended();
    assert_eq!(status.code(), Some(0));
    assert_eq!(rest.trim(), r#"{"event":"stopped"}"#);
    assert!(is_gone(&pid));
}

#[test]
fn a_second_signal_ends_a_node_and_its_programs_at_once() {
    let home = Home::new();
    let config = script(
        "a",
        "trap '' TERM; echo $$; while :; do sleep 0.1; done",
        "grace = \"1000s\"",
    );
    let node = home.serve(&format!("{config}[limits]\ndrain_timeout = \"1000s\"\n"));
    let client = node.connect();
    let mut operation = client.invoke("a", "run", "").expect("a stream");
    let pid = frame(&mut operation);
    node.signal(Signal::TERM);
    // Two that come at once may be heard as one.
    wait_until("it says GOODBYE", || client.invoke("a", "run", "").is_err());
    node.signal(Signal::TERM);
    assert_eq!(node.ended().0.code(), Some(130));
    wait_until("it is gone", || is_gone(&pid));
}
