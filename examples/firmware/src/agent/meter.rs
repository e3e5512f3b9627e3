//! How much work a handshake is: instructions from the first packet to the judged HELLO.

use core::future::{Future, poll_fn};
use core::pin::pin;

use aire_embassy::{Handle, Status};

use crate::clock::{awake_ticks, instructions};
use crate::say;

/// Drives `run`, the client, and says of each connection what it took to be made.
///
/// Time asleep does not count; the tasks of the network do. Where the emulator does not count
/// instructions, the numbers mean nothing: see [`instructions`].
pub async fn metered<T>(handle: Handle, run: impl Future<Output = T>) -> T {
    let mut run = pin!(run);
    let mut status = handle.status();
    let mut began = 0;
    poll_fn(|cx| {
        let before = awake_ticks();
        let polled = run.as_mut().poll(cx);
        let now = handle.status();
        if now != status {
            match now {
                // The keys for the first packet are made in the same turn.
                Status::Connecting => began = before,
                Status::Connected => tell(handle, awake_ticks() - began),
                _ => {}
            }
            say!("DEBUG status ", now as u32);
            status = now;
        }
        polled
    })
    .await
}

fn tell(handle: Handle, ticks: u64) {
    let how = match handle.is_tls_resumed() {
        true => "TLS resumed by its ticket",
        false => "certificate checked against the pin",
    };
    let bound = match handle.is_channel_bound() {
        true => "bound to the channel",
        false => "not bound to the channel",
    };
    say!("connected: ", how, ", the node's HELLO ", bound);
    say!("handshake: ", instructions(ticks) as u32, " instructions, ", how);
}
