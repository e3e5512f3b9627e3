//! From an operation's queue to the protocol, and from the protocol to quiche.

use std::collections::{HashMap, HashSet};

use aire_proto::connection::CallError;
use aire_proto::wire::{Delegate, MAX_DETAIL_LEN, Resumable};
use aire_proto::{Connection, Now, StreamId};
use tracing::{debug, warn};

use super::outbox::{Queued, Stall, Stream, Urgent};
use super::sent::{Quic, Sent, UnderWay};
use super::tables::Tables;

/// How much quiche took.
pub(super) struct Written {
    pub(super) count: usize,
    pub(super) fin: bool,
    /// FIN has to wait until what was written before it is acknowledged.
    pub(super) fin_waits: bool,
    /// The peer wants nothing more, and said so with this code.
    pub(super) stopped: Option<u64>,
}

/// Writes the pieces in order, FIN behind the last, as far as quiche takes them. A FIN alone
/// waits until nothing is `under_way`: see [`sent`](super::sent).
pub(super) fn write(
    quic: &mut Quic,
    stream: StreamId,
    pieces: [&[u8]; 3],
    fin: bool,
    under_way: &UnderWay,
) -> Written {
    let mut written = Written {
        count: 0,
        fin: false,
        fin_waits: false,
        stopped: None,
    };
    let mut left = pieces.iter().map(|piece| piece.len()).sum::<usize>();
    for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
        let ends_here = fin && piece.len() == left;
        left = left.saturating_sub(piece.len());
        match copy(quic, stream, piece, ends_here, under_way) {
            Ok(len) => {
                written.count = written.count.saturating_add(len);
                if len < piece.len() {
                    return written;
                }
                written.fin = ends_here;
            }
            Err(quiche::Error::StreamStopped(code)) => {
                written.stopped = Some(code);
                return written;
            }
            Err(_) => return written,
        }
    }
    if fin && !written.fin && written.count == 0 {
        if !under_way.is_over() {
            written.fin_waits = true;
            return written;
        }
        match quic.stream_send(stream.get(), &[], true) {
            Ok(_) => written.fin = true,
            Err(quiche::Error::StreamStopped(code)) => written.stopped = Some(code),
            Err(_) => {}
        }
    }
    written
}

/// Tells the protocol which of the streams whose FIN waits can take it.
pub(super) fn go_on_with_fins(
    proto: &mut Connection<Tables>,
    streams: &HashMap<StreamId, Stream>,
    waiting: &mut HashSet<StreamId>,
) {
    waiting.retain(|stream| {
        let entry = streams.get(stream);
        let waits = entry.is_some_and(|entry| !entry.under_way.is_over());
        if !waits {
            proto.writable(*stream);
        }
        waits
    });
}

/// Copies what quiche has room for, FIN behind it if that is all. How much it took.
fn copy(
    quic: &mut Quic,
    stream: StreamId,
    piece: &[u8],
    fin: bool,
    under_way: &UnderWay,
) -> Result<usize, quiche::Error> {
    let room = match quic.stream_capacity(stream.get()) {
        Err(stopped @ quiche::Error::StreamStopped(_)) => return Err(stopped),
        // Quiche knows a stream from the first byte on.
        Err(_) => piece.len(),
        Ok(room) => room,
    };
    // One byte more than fits: so quiche notes what holds the stream up, and tells the peer
    // (STREAM_DATA_BLOCKED, DATA_BLOCKED).
    let offered = piece.get(..=room).unwrap_or(piece);
    let bytes = Sent::copy(offered, under_way);
    let all = offered.len() == piece.len();
    let (len, _rest) = quic.stream_send_zc(stream.get(), bytes, fin && all)?;
    Ok(len)
}

/// Gives the protocol what is queued on one operation, until it has to wait. Whether it took
/// anything.
pub(super) fn apply(
    proto: &mut Connection<Tables>,
    stream: StreamId,
    entry: &mut Stream,
    now: Now,
) -> bool {
    if let Some(urgent) = entry.urgent.take() {
        // A frame that is half sent has to be sent whole; what follows it is dropped.
        let half_sent = matches!(
            entry.queue.front(),
            Some(Queued::Payload {
                announced: true,
                ..
            })
        );
        entry.queue.truncate(usize::from(half_sent));
        let done = match urgent {
            Urgent::Cancel { reason, detail } => {
                proto.cancel(stream, reason, truncated(&detail, MAX_DETAIL_LEN), now)
            }
            Urgent::Abort(code) => {
                proto.abort(stream, code);
                Ok(())
            }
        };
        if let Err(error) = done {
            debug!(%stream, %error, "no cancel");
        }
        return true;
    }
    let mut progress = false;
    while let Some(front) = entry.queue.front_mut() {
        let taken = match front {
            Queued::Payload {
                announced: true, ..
            } => break,
            Queued::Payload { bytes, announced } => match proto.send(stream, bytes.len()) {
                Ok(()) => {
                    *announced = true;
                    progress = true;
                    break;
                }
                Err(error) => Err(error),
            },
            Queued::Budget(budget) => unless_unknown(proto.send_budget(stream, budget, now)),
            // In its turn, so that the report follows what was spent on.
            Queued::Stall(Stall::Out { what, patience }) => {
                proto.out_of_budget(stream, *what, *patience, now);
                Ok(())
            }
            Queued::Stall(Stall::Over) => {
                proto.within_budget(stream);
                Ok(())
            }
            Queued::Delegate {
                target,
                target_did,
                sub_op,
            } => {
                let delegate = Delegate {
                    target,
                    target_did,
                    sub_op: *sub_op,
                };
                unless_unknown(proto.send_delegate(stream, &delegate))
            }
            Queued::Resumable {
                ttl_secs,
                token,
                last_seq,
            } => {
                let resumable = Resumable {
                    ttl_secs: *ttl_secs,
                    token,
                    last_seq: *last_seq,
                };
                unless_unknown(proto.send_resumable(stream, &resumable))
            }
            Queued::Finish => proto.finish(stream),
            Queued::Fail { code, detail, data } => {
                if data.len() > MAX_ERROR_DATA {
                    warn!(%stream, len = data.len(), "the data of an ERROR is too long to be sent");
                    data.clear();
                }
                let told = truncated(detail, MAX_ERROR_DETAIL);
                proto.fail(stream, *code, told, data, now)
            }
        };
        match taken {
            Ok(()) => {
                entry.queue.pop_front();
                progress = true;
            }
            // It goes on once the transport has taken what is in the way.
            Err(CallError::Busy | CallError::OutboxFull { .. }) => break,
            Err(error) => {
                debug!(%stream, %error, "a queued frame cannot be sent");
                entry.queue.clear();
                entry.queued_bytes = 0;
                break;
            }
        }
    }
    progress
}

/// A frame that the peer's version does not know is left out (`GAP-13`).
fn unless_unknown(sent: Result<(), CallError>) -> Result<(), CallError> {
    match sent {
        Err(CallError::NotNegotiated) => Ok(()),
        sent => sent,
    }
}

/// The longest detail of an ERROR that is sent, in bytes: what is longer is cut.
const MAX_ERROR_DETAIL: usize = 1024;

/// The longest data of an ERROR that is sent, in bytes: with code and detail it stays under what
/// every node must take (`WIRE-12`).
const MAX_ERROR_DATA: usize = 60 * 1024;

/// The longest beginning of `text` that has at most `most` bytes.
fn truncated(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}
