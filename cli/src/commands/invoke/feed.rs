//! Further input: a thread that reads lines, since reading a terminal or a pipe waits.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread;

use aire_mio::{Bell, Operation};
use aire_proto::wire::MAX_SEND_PAYLOAD;

use crate::Error;

/// Lines on their way into STREAM frames.
pub(super) struct Feed {
    lines: Receiver<io::Result<Vec<u8>>>,
    /// The line that found no room.
    next: Option<Vec<u8>>,
    path: PathBuf,
}

impl Feed {
    /// Begins to read. `bell` rings for each line.
    pub(super) fn start(path: &Path, bell: &Arc<Bell>) -> Result<Self, Error> {
        let failed = |source| Error::reading(path, source);
        let from: Box<dyn BufRead + Send> = match path == Path::new("-") {
            true => Box::new(BufReader::new(io::stdin())),
            false => Box::new(BufReader::new(File::open(path).map_err(failed)?)),
        };
        let (sender, lines) = mpsc::sync_channel(WAITING);
        let bell = bell.clone();
        thread::Builder::new()
            .name("aire-input".into())
            .spawn(move || {
                read_lines(from, &sender, &bell);
                drop(sender);
                bell.ring();
            })
            .map_err(failed)?;
        Ok(Self {
            lines,
            next: None,
            path: path.into(),
        })
    }

    /// Sends what there is, as far as there is room. Whether more may come.
    pub(super) fn send(&mut self, operation: &mut Operation) -> Result<bool, Error> {
        loop {
            let line = match self.next.take() {
                Some(line) => line,
                None => match self.lines.try_recv() {
                    Ok(line) => line.map_err(|source| Error::reading(&self.path, source))?,
                    Err(TryRecvError::Empty) => return Ok(true),
                    Err(TryRecvError::Disconnected) => {
                        operation.finish();
                        return Ok(false);
                    }
                },
            };
            if !operation.has_room(line.len()) {
                self.next = Some(line);
                return Ok(true);
            }
            if operation.send(line).is_err() {
                // It has ended, or takes no more; what comes on it says how.
                return Ok(false);
            }
        }
    }
}

fn read_lines(mut from: impl BufRead, lines: &SyncSender<io::Result<Vec<u8>>>, bell: &Bell) {
    loop {
        let mut line = Vec::new();
        let read = from
            .by_ref()
            .take(MAX_SEND_PAYLOAD.saturating_add(2))
            .read_until(b'\n', &mut line);
        let line = match read {
            Ok(0) => return,
            Ok(_) => trimmed(line),
            Err(error) => Err(error),
        };
        let bad = line.is_err();
        if lines.send(line).is_err() {
            return;
        }
        bell.ring();
        if bad {
            return;
        }
    }
}

/// A line without its break, if a frame can carry it.
fn trimmed(mut line: Vec<u8>) -> io::Result<Vec<u8>> {
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    if line.len() as u64 > MAX_SEND_PAYLOAD {
        let words = format!("a line is longer than a frame may be, {MAX_SEND_PAYLOAD} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, words));
    }
    Ok(line)
}

/// How many lines are read ahead.
const WAITING: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<Result<Vec<u8>, String>> {
        let (sender, receiver) = mpsc::sync_channel(WAITING);
        read_lines(text, &sender, &Bell::default());
        drop(sender);
        let readable = |line: io::Result<Vec<u8>>| line.map_err(|error| error.to_string());
        receiver.into_iter().map(readable).collect()
    }

    #[test]
    fn lines_lose_their_breaks_and_nothing_else() {
        let read = lines(b"one\r\n\n tw\ro \nlast");
        let expected: [&[u8]; 4] = [b"one", b"", b" tw\ro ", b"last"];
        assert_eq!(read, expected.map(|line| Ok(line.to_vec())));
    }

    #[test]
    fn a_line_that_no_frame_can_carry_ends_the_input() {
        let most = vec![b'x'; MAX_SEND_PAYLOAD as usize];
        let mut text = most.clone();
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(&most);
        text.extend_from_slice(b"xxx\nafter\n");
        let read = lines(&text);
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].as_ref().map(Vec::len), Ok(most.len()));
        assert!(read[1].is_err());
    }
}
