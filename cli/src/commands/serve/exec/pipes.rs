//! The threads at the three pipes of a program. Each ends when its pipe does, or when it is told
//! to stop: a process that slipped out of the group may hold the other end for ever.

use std::collections::VecDeque;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::process::{ChildStderr, ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use aire_mio::Bell;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tracing::info;

use super::framing::{Broken, Cutter};

/// What came of a program's stdout.
#[derive(Debug)]
pub(super) enum Piece {
    /// A frame.
    Frame(Vec<u8>),
    /// Nothing more.
    End(Result<(), Broken>),
}

/// The last of what a program wrote to stderr.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = bytes
            .get(bytes.len().saturating_sub(TAIL)..)
            .unwrap_or(bytes);
        let over = (kept.len() + bytes.len()).saturating_sub(TAIL);
        kept.drain(..over);
        kept.extend(bytes);
    }

    /// As text, without blanks at either end.
    pub(super) fn text(&self) -> String {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: &[u8] = kept.make_contiguous();
        // A character that is cut in half at the front is left out.
        let is_inside = |byte: &&u8| (0x80..0xc0).contains(*byte);
        let skipped = bytes.iter().take(3).take_while(is_inside).count();
        let whole = bytes.get(skipped..).unwrap_or_default();
        String::from_utf8_lossy(whole).trim().to_owned()
    }
}

/// Hands on the frames of `stdout`. When nobody takes them any longer, reads on, so that the
/// program can write its farewell.
pub(super) fn read_frames(
    mut stdout: ChildStdout,
    stop: &PipeReader,
    cutter: Cutter,
    frames: &SyncSender<Piece>,
    bell: &Bell,
) {
    let mut cutter = Some(cutter);
    let tell = |piece| {
        let _gone = frames.send(piece);
        bell.ring();
    };
    drain(&mut stdout, stop, |bytes| {
        if let Some(current) = &mut cutter
            && let Err(broken) = current.push(bytes, &mut |frame| tell(Piece::Frame(frame)))
        {
            cutter = None;
            tell(Piece::End(Err(broken)));
        }
    });
    if let Some(cutter) = cutter {
        let ended = cutter.end().map(|last| {
            if let Some(last) = last {
                tell(Piece::Frame(last));
            }
        });
        tell(Piece::End(ended));
    }
}

/// Logs each line of `stderr`, and keeps the last of it.
pub(super) fn read_stderr(mut stderr: ChildStderr, stop: &PipeReader, tail: &Tail, agent: &str) {
    let mut line = Vec::new();
    let log = |line: &mut Vec<u8>| {
        info!(
            agent,
            "stderr: {}",
            String::from_utf8_lossy(line).escape_debug()
        );
        line.clear();
    };
    drain(&mut stderr, stop, |bytes| {
        tail.push(bytes);
        for byte in bytes {
            if *byte == b'\n' || line.len() >= MAX_LOGGED {
                log(&mut line);
            }
            if *byte != b'\n' {
                line.push(*byte);
            }
        }
    });
    if !line.is_empty() {
        log(&mut line);
    }
}

/// Writes what comes to `stdin`, and closes it when nothing more can come. What a program that
/// closed its stdin does not want is thrown away.
pub(super) fn write_stdin(
    mut stdin: ChildStdin,
    stop: &PipeReader,
    pieces: &Receiver<Vec<u8>>,
    bell: &Bell,
) {
    let mut wanted = true;
    while let Ok(piece) = pieces.recv() {
        bell.ring();
        for part in piece.chunks(ATOMIC) {
            wanted = wanted
                && wait(&stdin, PollFlags::OUT, stop) == Wait::Ready
                && stdin.write_all(part).is_ok();
        }
    }
}

/// Reads all there is, until the pipe ends or it is told to stop.
fn drain(pipe: &mut (impl Read + AsFd), stop: &PipeReader, mut take: impl FnMut(&[u8])) {
    let mut buffer = vec![0; BUFFER];
    let mut last_words = LAST_READS;
    loop {
        match wait(pipe, PollFlags::IN, stop) {
            Wait::Ready => {}
            // What was written before is still heard, but not for ever.
            Wait::ReadyAndStopped if last_words > 0 => last_words -= 1,
            Wait::ReadyAndStopped | Wait::Stopped => return,
        }
        match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => take(buffer.get(..len).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Ready,
    ReadyAndStopped,
    Stopped,
}

/// Waits until `pipe` is ready, or `stop` is closed.
fn wait(pipe: &impl AsFd, what: PollFlags, stop: &PipeReader) -> Wait {
    loop {
        let mut both = [PollFd::new(pipe, what), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut both, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return Wait::Stopped,
        }
        let [pipe, stop] = both.map(|fd| !fd.revents().is_empty());
        match (pipe, stop) {
            (true, false) => return Wait::Ready,
            (true, true) => return Wait::ReadyAndStopped,
            (false, true) => return Wait::Stopped,
            (false, false) => {}
        }
    }
}

/// With the exit code before it, it fits an ERROR's detail.
const TAIL: usize = 768;
/// A longer line is logged in pieces.
const MAX_LOGGED: usize = 1024;
/// What is read at once.
const BUFFER: usize = 16 * 1024;
/// How often it is read on after it was told to stop: what a pipe holds, and more.
const LAST_READS: usize = 64;
/// So much never blocks where a pipe is ready: PIPE_BUF.
const ATOMIC: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };
