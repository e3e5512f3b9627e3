//! As much of HTTP/1.1 as load needs: requests that are bytes already, answers with a length.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Failure;

/// A connection that stays open.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let buffer = Vec::with_capacity(16 * 1024);
        Ok(Self { stream, buffer })
    }

    /// Sends a request, and waits for the status and the body of its answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<(u16, String), Failure> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the registry closed a connection".into());
            }
            let Some(head) = find(&self.buffer, b"\r\n\r\n") else {
                continue;
            };
            let text = str::from_utf8(&self.buffer[..head])?;
            let status = text.split(' ').nth(1).unwrap_or_default().parse()?;
            let length = text
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .ok_or("an answer has no length")?
                .1;
            let (begin, length): (_, usize) = (head + 4, length.trim().parse()?);
            while self.buffer.len() < begin + length {
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    return Err("an answer was cut off".into());
                }
            }
            let body = self.buffer[begin..begin + length].to_vec();
            return Ok((status, String::from_utf8(body)?));
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// A request with a JSON body, in bytes.
pub(crate) fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: registry\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
