//! How much work a handshake is: instructions from the first packet to the judged HELLO.

use core::future::{Future, poll_fn};
use core::pin::pin;

use aire_embassy::{Closed, Handle, Status};
use aire_quic::CloseReason;

use crate::clock::{awake_ticks, instructions};
use crate::say;

/// Drives `run`, the client, and says of each connection how it was made; where the emulator counts
/// instructions (see [`instructions`]), which `counted` says, what it took as well.
///
/// Time asleep does not count; the tasks of the network do.
pub async fn metered<T>(handle: Handle, counted: bool, run: impl Future<Output = T>) -> T {
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
                Status::Connected => tell(handle, counted.then(|| awake_ticks() - began)),
                Status::Waiting => tell_why(handle),
                _ => {}
            }
            status = now;
        }
        polled
    })
    .await
}

fn tell(handle: Handle, ticks: Option<u64>) {
    let how = match handle.is_tls_resumed() {
        true => "TLS resumed by its ticket",
        false => "certificate checked against the pin",
    };
    let bound = match handle.is_channel_bound() {
        true => "bound to the channel",
        false => "not bound to the channel",
    };
    say!("connected: ", how, ", the node's HELLO ", bound);
    if let Some(ticks) = ticks {
        say!(
            "handshake: ",
            instructions(ticks) as u32,
            " instructions, ",
            how
        );
    }
}

/// Why there is no connection, in as many words as there is flash for.
fn tell_why(handle: Handle) {
    let what = match handle.why() {
        Some(Closed::Transport(reason)) => match reason {
            CloseReason::Idle => "nothing came for too long",
            CloseReason::HandshakeTimeout => "the handshake took too long",
            CloseReason::StatelessReset => "the node has forgotten it",
            CloseReason::Violation(error) => {
                say!("the node broke a rule: code ", error.code.0 as u32);
                return;
            }
            CloseReason::Transport { code, .. } => {
                say!("the node's QUIC closed it: code ", code.0 as u32);
                return;
            }
            CloseReason::Application { code } => {
                say!("the node closed it: code ", code as u32);
                return;
            }
            _ => "closed",
        },
        Some(Closed::Protocol(_)) => "the protocol ended it",
        Some(Closed::NoAddress) => "the node's name has no address",
        Some(Closed::NoTime) => "the time server does not answer",
        _ => "closed here",
    };
    say!("no connection: ", what);
}
