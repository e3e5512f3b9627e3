//! The two servers that a device asks before it dials: one for names, one for the time.

use embassy_net::Stack;

use super::unix_now;
use super::world::{GATEWAY, socket};

/// Answers every question about a name with the gateway's address, or that there is no such name.
pub async fn names(gateway: Stack<'static>, known: &'static str) {
    let socket = socket(gateway, 53);
    let mut query = vec![0; 512];
    loop {
        let Ok((len, from)) = socket.recv_from(&mut query).await else {
            continue;
        };
        let query = &query[..len];
        let mut asked = String::new();
        let mut at = 12;
        while query[at] > 0 {
            let len = usize::from(query[at]);
            asked += &String::from_utf8_lossy(&query[at + 1..=at + len]);
            asked.push('.');
            at += len + 1;
        }
        let question = &query[12..at + 5];
        let is_known = asked.trim_end_matches('.') == known;
        let mut answer = query[..2].to_vec();
        // A response, recursion wanted and available; "no such name" is 3.
        answer.extend([0x81, if is_known { 0x80 } else { 0x83 }]);
        answer.extend([0, 1, 0, u8::from(is_known), 0, 0, 0, 0]);
        answer.extend(question);
        if is_known {
            // The name again, A, IN, for a minute, four bytes.
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(GATEWAY.octets());
        }
        let _lost = socket.send_to(&answer, from).await;
    }
}

/// Says what time it is, as a server of stratum 1 does.
pub async fn time(gateway: Stack<'static>) {
    let socket = socket(gateway, 123);
    let mut request = [0; 48];
    loop {
        let Ok((48, from)) = socket.recv_from(&mut request).await else {
            continue;
        };
        let millis = unix_now().0 as u64;
        let seconds = millis / 1000 + 2_208_988_800;
        let fraction = ((millis % 1000) << 32) / 1000;
        let stamp = ((seconds << 32) | fraction).to_be_bytes();
        let mut answer = [0; 48];
        // No leap second, version 4, server; stratum 1.
        answer[0] = 0x24;
        answer[1] = 1;
        answer[16..24].copy_from_slice(&stamp);
        answer[24..32].copy_from_slice(&request[40..48]);
        answer[32..40].copy_from_slice(&stamp);
        answer[40..48].copy_from_slice(&stamp);
        let _lost = socket.send_to(&answer, from).await;
    }
}
