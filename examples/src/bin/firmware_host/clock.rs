//! A time server for one board: SNTP (RFC 4330) on this machine, so that nothing has to be asked
//! outside.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// From 1900, where NTP begins to count, to 1970.
const SECONDS_TO_1970: u64 = 2_208_988_800;

/// A message without extensions.
const MESSAGE: usize = 48;

/// Answers as long as the process lives. Where it listens.
pub(crate) fn start() -> io::Result<SocketAddr> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?;
    thread::spawn(move || {
        let mut request = [0; MESSAGE];
        loop {
            if let Ok((MESSAGE, from)) = socket.recv_from(&mut request) {
                let _lost = socket.send_to(&answer(&request), from);
            }
        }
    });
    Ok(address)
}

fn answer(request: &[u8; MESSAGE]) -> [u8; MESSAGE] {
    let now = timestamp(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    );
    // No leap second, version 4, a server; one of stratum 1.
    let mut answer = [0; MESSAGE];
    answer[0] = 0b00_100_100;
    answer[1] = 1;
    answer[16..24].copy_from_slice(&now);
    // When the client asked, when that came, when this leaves.
    answer[24..32].copy_from_slice(&request[40..]);
    answer[32..40].copy_from_slice(&now);
    answer[40..].copy_from_slice(&now);
    answer
}

fn timestamp(since_1970: Duration) -> [u8; 8] {
    let seconds = since_1970.as_secs() + SECONDS_TO_1970;
    let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
    (seconds << 32 | fraction).to_be_bytes()
}
