//! What the two servers in Rust share: the commands, and how a server lives and dies.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::process;
use std::str::FromStr;
use std::thread;

/// What a client asks for in the first line of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `echo`: send back what follows.
    Echo,
    /// `sink`: say how many bytes follow.
    Sink,
    /// `source N`: send so many bytes of the [`pattern`](crate::pattern).
    Source(u64),
    /// `open N`: open so many streams to the client, and say when it has answered on all.
    Open(u64),
    /// `reset CODE`: end both directions of the stream with the code.
    Reset(u32),
    /// `keyupdate`: begin a key update.
    KeyUpdate,
    /// `peer`: say where the client is.
    Peer,
    /// `close CODE`: end the connection with the code.
    Close(u32),
    /// `resumed`: say whether the TLS session was.
    Resumed,
}

impl FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        match (verb, argument.parse::<u32>().ok()) {
            ("echo", _) => Ok(Self::Echo),
            ("sink", _) => Ok(Self::Sink),
            ("source", Some(count)) => Ok(Self::Source(count.into())),
            ("open", Some(count)) => Ok(Self::Open(count.into())),
            ("reset", Some(code)) => Ok(Self::Reset(code)),
            ("keyupdate", _) => Ok(Self::KeyUpdate),
            ("peer", _) => Ok(Self::Peer),
            ("close", Some(code)) => Ok(Self::Close(code)),
            ("resumed", _) => Ok(Self::Resumed),
            _ => Err(format!("no such command: {line}")),
        }
    }
}

/// Says that the server listens on `address`, and from now on ends the process when its standard
/// input closes: a server never outlives its test.
pub fn announce(address: SocketAddr) {
    println!("listening {}", address.port());
    thread::spawn(|| {
        let _end_or_error = io::stdin().read_to_end(&mut Vec::new());
        process::exit(0);
    });
}

/// Logs that a connection of the client at `address` is over, and why.
pub fn log_end(address: SocketAddr, why: impl std::fmt::Display) {
    eprintln!("connection of {address} over: {why}");
}

/// Logs what the client said on a stream that the server had opened.
pub fn log_answer(stream: impl std::fmt::Display, answer: &[u8]) {
    eprintln!(
        "stream {stream} answered {}",
        String::from_utf8_lossy(answer).trim_end()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_command_that_it_names_or_none() {
        for (line, command) in [
            ("echo", Some(Command::Echo)),
            ("source 600000", Some(Command::Source(600_000))),
            ("close 0", Some(Command::Close(0))),
            ("close", None),
            ("reset -1", None),
            ("open 4294967296", None),
            ("", None),
        ] {
            assert_eq!(line.parse().ok(), command, "{line}");
        }
    }
}
