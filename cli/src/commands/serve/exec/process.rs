//! One program, as it runs: a process group of its own, which never outlives this value.

use std::collections::BTreeSet;
use std::io::{self, PipeWriter};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use aire_mio::Bell;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::framing::Cutter;
use super::pipes::{Piece, Tail, read_frames, read_stderr, write_stdin};

/// The programs that run, of all agents.
#[derive(Debug, Default)]
pub(crate) struct Running {
    state: Mutex<State>,
    fewer: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Process groups. A number stays here no longer than its process is unreaped, so that it is
    /// nobody else's.
    groups: BTreeSet<i32>,
    closed: bool,
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts one more.
    fn start(&self, command: &mut Command) -> io::Result<(Child, Pid)> {
        // Held, so that none starts unseen while all are killed.
        let mut state = self.lock();
        if state.closed {
            return Err(io::Error::other("the node stops"));
        }
        let child = command.spawn()?;
        let group = Pid::from_child(&child);
        state.groups.insert(group.as_raw_pid());
        Ok((child, group))
    }

    fn ended(&self, group: Pid) {
        self.lock().groups.remove(&group.as_raw_pid());
        self.fewer.notify_all();
    }

    /// Kills them all at once, and starts no more.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for group in state.groups.iter().copied().filter_map(Pid::from_raw) {
            // It may have ended meanwhile.
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }

    /// Waits until none runs, but no longer than `most`. Whether none does.
    pub(crate) fn wait_until_none(&self, most: Duration) -> bool {
        let some_run = |state: &mut State| !state.groups.is_empty();
        let waited = self.fewer.wait_timeout_while(self.lock(), most, some_run);
        waited
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .groups
            .is_empty()
    }
}

/// How a program is watched.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) agent: String,
    pub(super) cutter: Cutter,
    pub(super) grace: Duration,
    pub(super) bell: Arc<Bell>,
    pub(super) running: Arc<Running>,
}

/// A program that runs.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Pid,
    grace: Duration,
    bell: Arc<Bell>,
    running: Arc<Running>,
    /// It has ended, and is not reaped.
    exited: Arc<AtomicBool>,
    frames: Option<Receiver<Piece>>,
    stdin: Option<SyncSender<Vec<u8>>>,
    tail: Tail,
    /// Closed, it stops the threads.
    stop: Option<PipeWriter>,
    /// How many threads still hear of the group: that it runs, or holds a pipe of its output.
    signs_of_life: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
    reaped: bool,
}

impl Process {
    /// Starts `command` in a group of its own.
    pub(super) fn start(command: &mut Command, watch: Watch) -> io::Result<Self> {
        let (stop_of_threads, stop) = io::pipe()?;
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let (child, group) = watch.running.start(command)?;
        let (frames, received) = mpsc::sync_channel(FRAMES_AHEAD);
        let (stdin, to_write) = mpsc::sync_channel(INPUT_AHEAD);
        let mut process = Self {
            child,
            group,
            grace: watch.grace,
            bell: watch.bell,
            running: watch.running,
            exited: Arc::new(AtomicBool::new(false)),
            frames: Some(received),
            stdin: Some(stdin),
            tail: Tail::default(),
            stop: Some(stop),
            signs_of_life: Arc::default(),
            threads: Vec::new(),
            reaped: false,
        };
        // A failure from here on drops it, and so ends the program.
        process.start_threads(watch.agent, watch.cutter, stop_of_threads, frames, to_write)?;
        Ok(process)
    }

    fn start_threads(
        &mut self,
        agent: String,
        cutter: Cutter,
        stop: io::PipeReader,
        frames: SyncSender<Piece>,
        to_write: Receiver<Vec<u8>>,
    ) -> io::Result<()> {
        let (exited, group) = (self.exited.clone(), self.group);
        self.watch("aire-exec-wait", move |_| {
            wait_for_exit(group);
            exited.store(true, Ordering::Release);
        })?;
        if let Some(stderr) = self.child.stderr.take() {
            let (stop, tail) = (stop.try_clone()?, self.tail.clone());
            let read = move |_: &Bell| read_stderr(stderr, &stop, &tail, &agent);
            self.watch("aire-exec-err", read)?;
        }
        if let Some(stdout) = self.child.stdout.take() {
            let stop = stop.try_clone()?;
            let read = move |bell: &Bell| read_frames(stdout, &stop, cutter, &frames, bell);
            self.watch("aire-exec-out", read)?;
        }
        if let Some(stdin) = self.child.stdin.take() {
            let bell = self.bell.clone();
            let write = move || write_stdin(stdin, &stop, &to_write, &bell);
            self.threads.push(named("aire-exec-in").spawn(write)?);
        }
        Ok(())
    }

    /// Starts a thread whose end says something of the group.
    fn watch(&mut self, name: &str, work: impl FnOnce(&Bell) + Send + 'static) -> io::Result<()> {
        let (signs, bell) = (self.signs_of_life.clone(), self.bell.clone());
        signs.fetch_add(1, Ordering::Relaxed);
        let thread = named(name).spawn(move || {
            work(&bell);
            signs.fetch_sub(1, Ordering::Release);
            bell.ring();
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// What came of its stdout next, if anything did. The bell rings when there may be more.
    pub(super) fn next_piece(&self) -> Option<Piece> {
        self.frames.as_ref()?.try_recv().ok()
    }

    /// Hands `bytes` to its stdin. They come back when it has to read others first: the bell rings
    /// when it may be otherwise.
    pub(super) fn write(&self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        match self.stdin.as_ref()?.try_send(bytes) {
            Err(TrySendError::Full(bytes)) => Some(bytes),
            Ok(()) | Err(TrySendError::Disconnected(_)) => None,
        }
    }

    /// Nothing more comes on its stdin.
    pub(super) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Whether it has ended. Those that it started may go on.
    pub(super) fn has_exited(&self) -> bool {
        self.exited.load(Ordering::Acquire)
    }

    /// The last that it wrote to stderr. Complete once it is over.
    pub(super) fn last_words(&self) -> String {
        self.tail.text()
    }

    /// Asks the whole group to end, and kills what is left of it when its grace is over.
    pub(super) fn terminate(mut self) {
        self.end_gently();
    }

    fn end_gently(&mut self) {
        self.stdin = None;
        self.frames = None;
        if !self.is_over() {
            // It may end meanwhile.
            let _gone = kill_process_group(self.group, Signal::TERM);
        }
        let until = Instant::now().checked_add(self.grace);
        while !self.is_over() && self.bell.wait(until) {}
        let _status = self.end();
    }

    /// Ends what is left of the group, and says how the program ended.
    pub(super) fn end(&mut self) -> io::Result<ExitStatus> {
        // The program, dead or alive, is not reaped, so that the group's number is still its own.
        let _gone = kill_process_group(self.group, Signal::KILL);
        self.stdin = None;
        self.frames = None;
        self.stop = None;
        for thread in self.threads.drain(..) {
            // They do not panic.
            let _done = thread.join();
        }
        self.running.ended(self.group);
        self.reaped = true;
        self.child.wait()
    }

    /// Whether it has ended, and nobody holds its output any longer: as far as can be known, the
    /// whole group has.
    fn is_over(&self) -> bool {
        self.signs_of_life.load(Ordering::Acquire) == 0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.reaped {
            let _status = self.end();
        }
    }
}

/// Waits until the process has ended, and leaves it to be reaped.
fn wait_for_exit(process: Pid) {
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(waitid(WaitId::Pid(process), ended), Err(Errno::INTR)) {}
}

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.into())
}

/// So many frames may wait for the network before the program has to.
const FRAMES_AHEAD: usize = 4;
/// So many frames may wait for the program before its caller has to.
const INPUT_AHEAD: usize = 2;
