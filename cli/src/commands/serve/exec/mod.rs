//! Any program as an agent.
//!
//! For every operation the program is started anew, in a process group of its own. Its stdout
//! becomes STREAM frames, each paid for from the operation's budget before it is sent (`BUD-6`);
//! its exit code ends the operation, and a CANCEL, a passed deadline, a lost connection or a stop
//! of the node ends the program: SIGTERM to the whole group, and SIGKILL after a grace.

mod framing;
mod pipes;
mod process;

use std::env;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aire_mio::{Agent, Bell, ErrorCode, Failure, Operation, Received};
use aire_proto::budget::Charge;
use tracing::{debug, error, warn};

use super::config::{Arguments, Exec, Input};
use framing::{Cutter, framed};
use pipes::Piece;
pub(super) use process::Running;
use process::{Process, Watch};

/// A program that serves operations.
#[derive(Debug)]
pub(super) struct Program {
    name: String,
    exec: Exec,
    /// Where the program itself is.
    path: PathBuf,
    directory: PathBuf,
    /// Its whole environment, but for what is about the operation.
    environment: Vec<(String, std::ffi::OsString)>,
    processes: Arc<AtomicUsize>,
    running: Arc<Running>,
}

impl Program {
    /// The agent `name`, in `directory`. The words of an error are about the program's name.
    pub(super) fn new(
        name: &str,
        exec: Exec,
        directory: PathBuf,
        running: Arc<Running>,
    ) -> Result<Self, String> {
        let given = exec.environment.iter();
        let inherited = exec.inherit.iter().filter(|name| {
            // What is given counts.
            !exec.environment.contains_key(*name)
        });
        let environment: Vec<_> = inherited
            .filter_map(|name| Some((name.clone(), env::var_os(name)?)))
            .chain(given.map(|(name, value)| (name.clone(), value.into())))
            .collect();
        let program = exec.command.get_ref().first().map_or("", String::as_str);
        let search = environment.iter().find(|(name, _)| name == "PATH");
        let path = find(
            program,
            &directory,
            search.map(|(_, dirs)| dirs.as_os_str()),
        )?;
        Ok(Self {
            name: name.into(),
            exec,
            path,
            directory,
            environment,
            processes: Arc::default(),
            running,
        })
    }

    /// How long it has between SIGTERM and SIGKILL.
    pub(super) const fn grace(&self) -> Duration {
        self.exec.grace
    }

    /// How long it may run.
    pub(super) const fn timeout(&self) -> Option<Duration> {
        self.exec.timeout
    }

    /// A place for one more process, if there is one.
    fn slot(&self) -> Result<Slot, Failure> {
        let slot = Slot(self.processes.clone());
        if slot.0.fetch_add(1, Ordering::Relaxed) >= self.exec.max_processes {
            return Err(failed(
                ErrorCode::Refused,
                "as many operations of this agent run as may; try again later",
            ));
        }
        Ok(slot)
    }

    fn command(&self, operation: &Operation) -> Result<Command, Failure> {
        if operation.operation().contains('\0') {
            return Err(failed(
                ErrorCode::Refused,
                "the operation's name has a NUL in it",
            ));
        }
        let mut command = Command::new(&self.path);
        command
            .args(self.exec.command.get_ref().iter().skip(1))
            .current_dir(&self.directory)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("AIRE_PEER", operation.peer())
            .env("AIRE_AGENT", operation.agent())
            .env("AIRE_OPERATION", operation.operation());
        let budget = operation.ledger().free();
        if let Some(tokens) = budget.tokens {
            command.env("AIRE_TOKENS", tokens.to_string());
        }
        if let Some(deadline) = budget.deadline {
            command.env("AIRE_DEADLINE_MS", deadline.0.to_string());
        }
        if let Some(argument) = self.argument(operation.args())? {
            command.arg(argument);
        }
        Ok(command)
    }

    /// What goes on the command line of the operation's arguments.
    fn argument<'a>(&self, args: &'a [u8]) -> Result<Option<&'a str>, Failure> {
        let refused = |words: &str| Err(failed(ErrorCode::Refused, words));
        match self.exec.arguments {
            Arguments::Stdin => Ok(None),
            Arguments::None if args.is_empty() => Ok(None),
            Arguments::None => refused("this agent takes no arguments"),
            Arguments::Argv if args.len() > MAX_ARGUMENT => {
                refused("this agent takes arguments of at most 131,071 bytes")
            }
            Arguments::Argv if args.contains(&0) => {
                refused("this agent takes arguments without NUL")
            }
            Arguments::Argv => match std::str::from_utf8(args) {
                Ok(text) => Ok(Some(text)),
                Err(_) => refused("this agent takes arguments in UTF-8"),
            },
        }
    }

    /// What stdin begins with.
    fn first_input(&self, args: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        match self.exec.arguments {
            Arguments::Stdin => framed(self.exec.input, args.to_vec())
                .map(Some)
                .ok_or_else(not_a_line),
            Arguments::Argv | Arguments::None => Ok(None),
        }
    }
}

impl Agent for Program {
    fn handle(&self, operation: &mut Operation) -> Result<(), Failure> {
        let _slot = self.slot()?;
        operation.set_budget_patience(self.exec.budget_patience);
        let mut command = self.command(operation)?;
        let first_input = self.first_input(operation.args())?;
        if let Some(failure) = operation.failure() {
            return Err(failure);
        }
        let bell = Arc::new(Bell::default());
        operation.rings(&bell);
        let watch = Watch {
            agent: self.name.clone(),
            cutter: Cutter::new(self.exec.output, self.exec.max_frame),
            grace: self.exec.grace,
            bell: bell.clone(),
            running: self.running.clone(),
        };
        let process = Process::start(&mut command, watch).map_err(|error| {
            error!(agent = self.name, %error, "the program cannot be started");
            Failure::application("the program cannot be started")
        })?;
        let serving = Serving {
            exec: &self.exec,
            process,
            bell,
            until: self
                .exec
                .timeout
                .and_then(|most| Instant::now().checked_add(most)),
            input: first_input,
            more_input: self.exec.input != Input::None,
            output_ended: false,
            quiet_since: None,
        };
        serving.serve(operation)
    }
}

/// One operation, and the program that works on it.
struct Serving<'a> {
    exec: &'a Exec,
    process: Process,
    bell: Arc<Bell>,
    /// When it has run long enough: the operation's deadline, but it counts without a connection
    /// too.
    until: Option<Instant>,
    /// What waits for its stdin.
    input: Option<Vec<u8>>,
    /// Whether more may come for its stdin.
    more_input: bool,
    output_ended: bool,
    /// When it was known to have exited, or its output last came after that.
    quiet_since: Option<Instant>,
}

impl Serving<'_> {
    fn serve(mut self, operation: &mut Operation) -> Result<(), Failure> {
        match self.run(operation) {
            Ok(()) => self.conclude(),
            Err(failure) => {
                debug!(%failure, "the program is ended");
                // The caller need not wait until the program has come to its end.
                operation.fail(&failure);
                self.process.terminate();
                Err(failure)
            }
        }
    }

    /// Until the program is done.
    fn run(&mut self, operation: &mut Operation) -> Result<(), Failure> {
        loop {
            if let Some(failure) = operation.failure() {
                return Err(failure);
            }
            self.feed(operation)?;
            if self.take_output(operation)? {
                // What it said last is still in the pipe when it has exited, and may take long to
                // be sent: the time of those that it left behind begins anew.
                self.quiet_since = self.quiet_since.map(|_| Instant::now());
                continue;
            }
            let now = Instant::now();
            if self.until.is_some_and(|until| until <= now) {
                return Err(failed(
                    ErrorCode::DeadlineExceeded,
                    "the program ran for as long as it may",
                ));
            }
            if self.quiet_since.is_none() && self.process.has_exited() {
                self.quiet_since = Some(now);
            }
            // Those that it left behind hold its output for as long as its grace in silence, and no
            // longer.
            let quiet = self.quiet_since;
            let left_until = quiet.and_then(|at| at.checked_add(self.exec.grace));
            if quiet.is_some() && (self.output_ended || left_until <= Some(now)) {
                return Ok(());
            }
            let until = [self.until, left_until].into_iter().flatten().min();
            self.bell.wait(until);
        }
    }

    /// Sends what came of its output next. Whether anything did.
    fn take_output(&mut self, operation: &mut Operation) -> Result<bool, Failure> {
        match self.process.next_piece() {
            Some(Piece::Frame(payload)) => {
                if self.exec.tokens_per_frame > 0 {
                    operation.charge(&Charge::tokens(self.exec.tokens_per_frame))?;
                }
                operation.send(payload)?;
                Ok(true)
            }
            Some(Piece::End(Ok(()))) => {
                self.output_ended = true;
                Ok(true)
            }
            Some(Piece::End(Err(broken))) => Err(Failure::application(broken)),
            None => Ok(false),
        }
    }

    /// Hands what the caller streams to its stdin, as far as it reads.
    fn feed(&mut self, operation: &mut Operation) -> Result<(), Failure> {
        loop {
            if let Some(input) = self.input.take() {
                self.input = self.process.write(input);
                if self.input.is_some() {
                    return Ok(());
                }
            }
            if !self.more_input {
                self.process.close_stdin();
                return Ok(());
            }
            match operation.recv_frame_within(Duration::ZERO) {
                Ok(Some(Received::Stream(payload))) => {
                    self.input = Some(framed(self.exec.input, payload).ok_or_else(not_a_line)?);
                }
                Ok(Some(_)) => {}
                Ok(None) => self.more_input = false,
                Err(Failure::TimedOut) => return Ok(()),
                Err(failure) => return Err(failure),
            }
        }
    }

    /// The program is done: well, or not.
    fn conclude(mut self) -> Result<(), Failure> {
        let status = self.process.end().map_err(|error| {
            warn!(%error, "it is not known how the program ended");
            Failure::application("it is not known how the program ended")
        })?;
        if status.success() {
            return Ok(());
        }
        let mut detail = in_words(status);
        let words = self.process.last_words();
        if self.exec.tell_stderr && !words.is_empty() {
            detail = format!("{detail}: {words}");
        }
        Err(Failure::application(detail))
    }
}

/// One of the processes that may run.
struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn failed(code: ErrorCode, words: &str) -> Failure {
    Failure::Failed {
        code,
        detail: words.into(),
        data: Vec::new(),
    }
}

fn not_a_line() -> Failure {
    failed(
        ErrorCode::Refused,
        "this agent takes lines: a frame with a line break in it is none",
    )
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the program ended with exit code {code}"),
        (None, Some(signal)) => format!("the program was ended by signal {signal}"),
        (None, None) => format!("the program ended with {status}"),
    }
}

/// Where the program is: by its path, relative to its directory, or by its name in one of the
/// directories of PATH.
fn find(
    program: &str,
    directory: &Path,
    search: Option<&std::ffi::OsStr>,
) -> Result<PathBuf, String> {
    if program.contains('/') {
        let path = directory.join(program);
        return match is_executable(&path) {
            true => Ok(path),
            false => Err(format!("{} is no program that can be run", path.display())),
        };
    }
    let search = search.ok_or("without a PATH in its environment, the program needs a path")?;
    env::split_paths(search)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .find(|path| is_executable(path))
        .ok_or_else(|| format!("there is no program {program:?} in PATH"))
}

fn is_executable(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

/// The longest argument of a command line on Linux, without the NUL behind it.
const MAX_ARGUMENT: usize = 128 * 1024 - 1;
