//! What the tests of the command share: the real binary in a directory of its own, and a node that
//! runs as long as its value.
#![allow(dead_code, reason = "no test uses all of it")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use aire_mio::{Client, Failure, Identity, Operation, Pin, Trust};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// When a test gives up: far longer than anything takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A directory in which the command runs, knowing nothing of whoever runs the test.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).expect("a file");
        path
    }

    /// `aire` with these arguments, not run yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aire"));
        command
            .args(args)
            .current_dir(self.path())
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env_remove("AIRE_KEY")
            .env_remove("AIRC_REGISTRY")
            .env_remove("AIRC_HANDLE")
            .env_remove("AIRC_INVITE")
            .env("AIRE_LOG", "warn")
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&mut self.command(args))
    }

    /// Serves `config`, with an HTTP port that nobody else has.
    pub(crate) fn serve(&self, config: &str) -> Served {
        let head = "listen = [\"127.0.0.1:0\"]\n[http]\nlisten = \"127.0.0.1:0\"\n";
        self.serve_as_it_is(&format!("{head}{config}"))
    }

    pub(crate) fn serve_as_it_is(&self, config: &str) -> Served {
        self.file("aire.toml", config);
        Served::start(self.command(&["serve", "--json"]))
    }
}

/// A command that has ended.
pub(crate) struct Ran(Output);

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self(command.output().expect("the binary runs"))
    }

    pub(crate) fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).expect("text")
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).expect("text")
    }

    /// What it printed, given that it ended well.
    pub(crate) fn good(&self) -> String {
        assert_eq!(self.code(), Some(0), "{}", self.stderr());
        self.stdout()
    }

    /// The JSON that it printed, given that it ended well.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.good()).expect("JSON")
    }
}

/// A node that serves.
pub(crate) struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) ready: Value,
}

impl Served {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("text");
        let ready = serde_json::from_str(&line).expect("a line of JSON when it is ready");
        Self {
            child,
            stdout,
            ready,
        }
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        self.ready[field].as_str().expect(field)
    }

    pub(crate) fn address(&self) -> &str {
        self.ready["addresses"][0].as_str().expect("an address")
    }

    pub(crate) fn uri(&self) -> String {
        format!("aire://{}", self.address())
    }

    pub(crate) fn connect(&self) -> Client {
        self.connect_as(Identity::generate().expect("a key"))
            .expect("it answers")
    }

    pub(crate) fn connect_as(&self, identity: Identity) -> Result<Client, aire_mio::Error> {
        let pin = Pin::from_hex(self.text("pin")).expect("a pin");
        Client::builder(identity, Trust::pinned(pin))
            .connect_timeout(PATIENCE)
            .connect(&self.uri())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it runs");
    }

    /// Waits for its end: how it ended, and what else it printed.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("text");
        (self.child.wait().expect("it was started"), rest)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind, and one that did not asks politely.
        let asked = kill_process(Pid::from_child(&self.child), Signal::TERM);
        if asked.is_ok() && !thread::panicking() {
            let _ended = self.child.wait();
        } else {
            let _gone = self.child.kill();
            let _ended = self.child.wait();
        }
    }
}

/// All that comes on `operation`, and how it ends.
pub(crate) fn collect(operation: &mut Operation) -> (Vec<String>, Result<(), Failure>) {
    let mut frames = Vec::new();
    loop {
        match next(operation) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, Ok(())),
            Err(failure) => return (frames, Err(failure)),
        }
    }
}

/// The next frame, as text.
pub(crate) fn next(operation: &mut Operation) -> Result<Option<String>, Failure> {
    loop {
        match operation.recv_frame_within(PATIENCE)? {
            Some(aire_mio::Received::Stream(payload)) => {
                return Ok(Some(String::from_utf8(payload).expect("text")));
            }
            Some(_) => {}
            None => return Ok(None),
        }
    }
}

/// Waits until `condition` holds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < give_up, "in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether no process with this number runs. One that nobody has reaped yet does not.
pub(crate) fn is_gone(pid: &str) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The state is behind the name, which is in parentheses and may hold anything.
        Ok(stat) => stat
            .rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('Z')),
        Err(_) => {
            let pid = pid.parse().ok().and_then(Pid::from_raw).expect("a pid");
            rustix::process::test_kill_process(pid).is_err()
        }
    }
}
