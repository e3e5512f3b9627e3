//! The test protocol on the streams of one quiche connection. It waits for nothing: every turn
//! goes as far as it can.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Range;

use aire_interop_quic::server::{self, Command};
use aire_interop_quic::{FAILED, STREAM_WINDOW, pattern};
use quiche::{Connection, Error, Shutdown};

use crate::Failure;

/// What may wait to be sent on a stream, in bytes: beyond it nothing is read.
const BACKLOG: usize = STREAM_WINDOW as usize;

#[derive(Default)]
pub(crate) struct Streams {
    streams: BTreeMap<u64, Stream>,
    opened: u64,
}

/// Both directions of a stream.
struct Stream {
    input: Input,
    /// How many of the streams that this one asked for have no answer yet.
    waiting: u64,
    output: Vec<u8>,
    /// What of the pattern comes after `output`.
    rest: Range<u64>,
    /// The end comes after that.
    ending: bool,
    sent: bool,
}

/// What is done with what comes.
enum Input {
    /// It is the first line, so far.
    Line(Vec<u8>),
    /// It is sent back.
    Echo,
    /// It is counted.
    Sink(u64),
    /// It is the client's answer on a stream that the server opened for another.
    Answer { text: Vec<u8>, parent: u64 },
    /// It is dropped.
    Drop,
    /// Nothing comes any more.
    Ended,
}

impl Streams {
    /// Reads, does and sends what is possible now.
    pub(crate) fn turn(&mut self, connection: &mut Connection) {
        for id in connection.readable() {
            let line = || Stream::new(Input::Line(Vec::new()));
            self.streams.entry(id).or_insert_with(line);
        }
        while self.pass(connection) {}
        self.streams.retain(|_, stream| !stream.is_over());
    }

    /// Does something on every stream, if anything can be done on any: what one stream is told may
    /// be for another.
    fn pass(&mut self, connection: &mut Connection) -> bool {
        let ids: Vec<u64> = self.streams.keys().copied().collect();
        let mut advanced = false;
        for id in ids {
            match self.advance(connection, id) {
                Ok(did) => advanced |= did,
                Err(error) => {
                    eprintln!("stream {id}: {error}");
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.reset(connection, id, FAILED);
                    }
                }
            }
        }
        advanced
    }

    fn advance(&mut self, connection: &mut Connection, id: u64) -> Result<bool, Failure> {
        let read = self.read(connection, id)?;
        let sent = match self.streams.get_mut(&id) {
            Some(stream) => stream.send(connection, id)?,
            None => false,
        };
        Ok(read || sent)
    }

    /// Takes in one chunk, if there is one and its answer has room.
    fn read(&mut self, connection: &mut Connection, id: u64) -> Result<bool, Failure> {
        let full = |stream: &Stream| stream.output.len() >= BACKLOG;
        if !connection.stream_readable(id) || self.streams.get(&id).is_none_or(full) {
            return Ok(false);
        }
        let mut chunk = [0; 16 * 1024];
        match connection.stream_recv(id, &mut chunk) {
            Ok((length, end)) => {
                self.take(connection, id, &chunk[..length])?;
                if end {
                    self.end(id)?;
                }
                Ok(true)
            }
            Err(Error::Done) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn take(&mut self, connection: &mut Connection, id: u64, data: &[u8]) -> Result<(), Failure> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Ok(());
        };
        match &mut stream.input {
            Input::Line(line) => {
                let Some(end) = data.iter().position(|byte| *byte == b'\n') else {
                    line.extend_from_slice(data);
                    return Ok(());
                };
                line.extend_from_slice(&data[..end]);
                let command = str::from_utf8(line)?.parse()?;
                self.begin(connection, id, command)?;
                self.take(connection, id, &data[end + 1..])?;
            }
            Input::Echo => stream.output.extend_from_slice(data),
            Input::Sink(count) => *count += u64::try_from(data.len())?,
            Input::Answer { text, .. } => text.extend_from_slice(data),
            Input::Drop | Input::Ended => {}
        }
        Ok(())
    }

    fn begin(
        &mut self,
        connection: &mut Connection,
        id: u64,
        command: Command,
    ) -> Result<(), Failure> {
        if let Command::Open(count) = command {
            self.open(id, count);
        }
        let Some(stream) = self.streams.get_mut(&id) else {
            return Ok(());
        };
        stream.input = Input::Drop;
        match command {
            Command::Echo => stream.input = Input::Echo,
            Command::Sink => stream.input = Input::Sink(0),
            Command::Source(length) => {
                stream.rest = 0..length;
                stream.ending = true;
            }
            Command::Open(0) => stream.reply("done"),
            Command::Open(count) => stream.waiting = count,
            Command::Reset(code) => stream.reset(connection, id, code),
            Command::KeyUpdate => stream.reply("unsupported"),
            Command::Peer => {
                let path = connection.path_stats().find(|path| path.active);
                let address = path.ok_or("no path is active")?.peer_addr;
                stream.reply(address.to_string());
            }
            Command::Close(code) => connection.close(true, code.into(), b"as told")?,
            Command::Resumed => stream.reply(if connection.is_resumed() { "yes" } else { "no" }),
        }
        Ok(())
    }

    /// What the client does not let us open yet is opened by a later turn.
    fn open(&mut self, parent: u64, count: u64) {
        for number in 0..count {
            let text = Vec::new();
            let mut stream = Stream::new(Input::Answer { text, parent });
            stream.reply(format!("hello {number}\n"));
            // The ids of the bidirectional streams that a server opens (RFC 9000, section 2.1).
            self.streams.insert(self.opened * 4 + 1, stream);
            self.opened += 1;
        }
    }

    fn end(&mut self, id: u64) -> Result<(), Failure> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Ok(());
        };
        match mem::replace(&mut stream.input, Input::Ended) {
            Input::Line(line) => {
                return Err(format!("no command: {}", String::from_utf8_lossy(&line)).into());
            }
            Input::Echo => stream.ending = true,
            Input::Sink(count) => stream.reply(count.to_string()),
            Input::Answer { text, parent } => {
                server::log_answer(id, &text);
                if let Some(parent) = self.streams.get_mut(&parent) {
                    parent.waiting -= 1;
                    if parent.waiting == 0 {
                        parent.reply("done");
                    }
                }
            }
            Input::Drop | Input::Ended => {}
        }
        Ok(())
    }
}

impl Stream {
    fn new(input: Input) -> Self {
        Self {
            input,
            waiting: 0,
            output: Vec::new(),
            rest: 0..0,
            ending: false,
            sent: false,
        }
    }

    /// Sends `output`, and ends.
    fn reply(&mut self, output: impl Into<Vec<u8>>) {
        self.output = output.into();
        self.ending = true;
    }

    fn reset(&mut self, connection: &mut Connection, id: u64, code: u32) {
        for direction in [Shutdown::Write, Shutdown::Read] {
            // One that is over already is none to reset.
            let _ = connection.stream_shutdown(id, direction, code.into());
        }
        self.input = Input::Ended;
        self.sent = true;
    }

    fn send(&mut self, connection: &mut Connection, id: u64) -> Result<bool, Failure> {
        let room = BACKLOG.saturating_sub(self.output.len());
        self.output
            .extend(self.rest.by_ref().take(room).map(pattern));
        let end = self.ending && self.rest.is_empty();
        // Quiche does not repeat a FIN that was lost when all bytes before it were acknowledged
        // (cloudflare/quiche#2525). So one byte is kept for it to travel with.
        let ready = match end {
            true => self.output.len(),
            false => self.output.len().saturating_sub(1),
        };
        if self.sent || (ready == 0 && !end) {
            return Ok(false);
        }
        match connection.stream_send(id, &self.output[..ready], end) {
            Ok(length) => {
                self.output.drain(..length);
                self.sent = end && self.output.is_empty();
                Ok(length > 0 || self.sent)
            }
            Err(Error::Done | Error::StreamLimit) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn is_over(&self) -> bool {
        self.sent && matches!(self.input, Input::Ended)
    }
}
