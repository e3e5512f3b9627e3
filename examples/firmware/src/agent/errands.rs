//! What the board asks of its node, over the connection on which it serves the sensor.

use core::cell::RefCell;

use aire_embassy::{Error, Event, Handle, Operation, TicketStore};
use aire_proto::ErrorCode;
use aire_proto::resume::Ticket;
use aire_proto::wire::Budget;
use embassy_futures::join::join4;
use embassy_futures::select::{Either, select};
use embassy_time::Instant;

use super::sensor::described;
use crate::say;
use crate::storage::Storage;

/// The errand of that name; `None` where there is none. Whether it went as it should.
pub async fn run(
    name: &str,
    handle: Handle,
    store: &RefCell<TicketStore<Storage>>,
) -> Option<bool> {
    let ended = match name {
        "budget" => budget(handle).await,
        "resume" => resume(handle, store).await,
        "bulk" => bulk(handle).await,
        "tokens" => tokens(handle).await,
        "reconnect" => reconnect(handle).await,
        _ => return None,
    };
    if let Err(Wrong(what)) = &ended {
        say!(name, ": WRONG: ", *what);
    }
    Some(ended.is_ok())
}

/// What was not as it should be.
struct Wrong(&'static str);

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Self(described(&Err(error)))
    }
}

fn check(is_so: bool, what: &'static str) -> Result<(), Wrong> {
    if is_so { Ok(()) } else { Err(Wrong(what)) }
}

const fn tokens_left(tokens: u64) -> Budget {
    Budget {
        tokens: Some(tokens),
        cost_microunits: None,
        currency: None,
        deadline: None,
        tokens_spent: None,
        cost_microunits_spent: None,
    }
}

/// The node writes a frame for each token that it is given. It gets five, and when it reports that
/// they are spent three more; it then waits in vain, and ends with BUDGET_EXCEEDED.
async fn budget(handle: Handle) -> Result<(), Wrong> {
    const FIRST: u32 = 5;
    const MORE: u32 = 3;
    let operation = handle.invoke("writer", "write", b"").await?;
    operation.send_budget(&tokens_left(FIRST.into())).await?;
    // The budget comes behind the invocation: this tells the node that it is there.
    operation.send(b"go").await?;
    let mut frame = [0; 16];
    for _ in 0..FIRST {
        check(
            operation.recv_frame(&mut frame).await?.is_some(),
            "an early end",
        )?;
    }
    let spent = loop {
        if let Event::Budget(report) = operation.event().await? {
            break report.tokens_spent.unwrap_or_default() as u32;
        }
    };
    say!(
        "budget: ",
        FIRST,
        " tokens given, the node reports ",
        spent,
        " spent"
    );
    check(spent == FIRST, "another report")?;
    operation.send_budget(&tokens_left(MORE.into())).await?;
    let mut more = 0;
    let ended = loop {
        match operation.recv_frame(&mut frame).await {
            Ok(Some(_)) => more += 1,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    say!(
        "budget: ",
        MORE,
        " tokens more bought ",
        more,
        " frames, then ",
        described(&ended)
    );
    check(more == MORE, "a budget that is not kept")?;
    check(
        ended == Err(Error::Failed(ErrorCode::BudgetExceeded)),
        "another end",
    )
}

/// The longest ticket that is kept: a token of the node's is 32 bytes.
const TICKET: usize = 256;
/// So often is the ticket written anew, in frames.
const KEEP_EVERY: u64 = 64;

/// A long answer of frames that count from 1. Whatever happens to the link, each comes once; and
/// what it would take to go on after a restart is in the storage.
async fn resume(handle: Handle, store: &RefCell<TicketStore<Storage>>) -> Result<(), Wrong> {
    const FRAMES: &[u8] = b"1200";
    const COUNT: u64 = 1200;
    let operation = handle.invoke("log", "replay", FRAMES).await?;
    let counted = count(&operation, store);
    let kept = keep(&operation, store);
    let ended = match select(counted, kept).await {
        Either::First(ended) => ended,
        Either::Second(never) => never,
    };
    ended?;
    say!(
        "resume: ",
        operation.received() as u32,
        " frames, each once, resumed ",
        operation.times_resumed(),
        " times"
    );
    check(operation.received() == COUNT, "frames are missing")?;
    check(operation.times_resumed() > 0, "it was never cut")?;
    let mut ticket = [0; TICKET];
    let mut store = store.borrow_mut();
    let kept = store.load(&mut ticket).ok().flatten();
    let kept = kept.and_then(|bytes| Ticket::decode(bytes).ok());
    let kept = kept.filter(|ticket| ticket.agent == "log" && !ticket.token.is_empty());
    let Some(received) = kept.map(|ticket| ticket.received) else {
        return Err(Wrong("no ticket was kept"));
    };
    say!("resume: the ticket in the storage counts ", received as u32);
    check(
        received > 0 && COUNT - received <= KEEP_EVERY,
        "an old ticket",
    )?;
    check(store.clear().is_ok(), "the storage failed")
}

/// Receives to the end, and sees that each frame is the one behind the last.
async fn count(operation: &Operation, store: &RefCell<TicketStore<Storage>>) -> Result<(), Wrong> {
    let mut frame = [0; 64];
    let mut last = 0;
    while let Some(len) = operation.recv_frame(&mut frame).await? {
        let number = frame
            .first_chunk()
            .map(|number| u32::from_le_bytes(*number));
        check(
            len == frame.len() && number == Some(last + 1),
            "a frame out of turn",
        )?;
        last += 1;
        if operation.received().is_multiple_of(KEEP_EVERY) {
            write_down(operation, store)?;
        }
    }
    Ok(())
}

/// Writes each new ticket down.
async fn keep(operation: &Operation, store: &RefCell<TicketStore<Storage>>) -> Result<(), Wrong> {
    loop {
        match operation.event().await {
            Ok(Event::Resumable) => write_down(operation, store)?,
            Ok(_) => {}
            // How it ended is told with its last frame.
            Err(_) => core::future::pending().await,
        }
    }
}

fn write_down(operation: &Operation, store: &RefCell<TicketStore<Storage>>) -> Result<(), Wrong> {
    let mut ticket = [0; TICKET];
    let ticket = match operation.ticket("log", "replay", &mut ticket) {
        // The last frame came with the end.
        Err(Error::NoToken) => return Ok(()),
        ticket => ticket?,
    };
    let saved = store.borrow_mut().save(ticket);
    saved.map_err(|_| Wrong("the storage failed"))
}

/// Four operations at a time, each with frames of 64 KiB there and back, through buffers of 1 KiB
/// each way.
async fn bulk(handle: Handle) -> Result<(), Wrong> {
    let began = Instant::now();
    let (first, second, third, fourth) = join4(
        mirrored(handle, 1),
        mirrored(handle, 2),
        mirrored(handle, 3),
        mirrored(handle, 4),
    )
    .await;
    let stats = handle.stats();
    say!(
        "bulk: 4 operations with frames of ",
        FRAME,
        " bytes there and back, ",
        began.elapsed().as_millis() as u32,
        " ms, ",
        stats.lost_packets,
        " packets lost"
    );
    first.and(second).and(third).and(fourth)
}

/// The length of a frame of [`bulk`].
const FRAME: usize = 64 * 1024;

/// Sends a frame in pieces, and compares what comes back.
async fn mirrored(handle: Handle, salt: u8) -> Result<(), Wrong> {
    let mut piece = [0; 256];
    let operation = handle.invoke("mirror", "it", b"").await?;
    operation.begin(FRAME).await?;
    for at in (0..FRAME).step_by(piece.len()) {
        fill(&mut piece, at, salt);
        operation.write(&piece).await?;
    }
    operation.finish()?;
    let (mut at, mut same) = (0, true);
    while let Some(chunk) = operation.recv(&mut piece).await? {
        let came = piece.get(..chunk.len).unwrap_or_default();
        for (byte, place) in came.iter().zip(at..) {
            same &= *byte == byte_at(place, salt);
        }
        at += chunk.len;
    }
    check(same && at == FRAME, "other bytes came back")
}

fn fill(piece: &mut [u8], at: usize, salt: u8) {
    for (byte, place) in piece.iter_mut().zip(at..) {
        *byte = byte_at(place, salt);
    }
}

/// What is at a place of a frame: no two operations, and no two blocks, have the same bytes.
const fn byte_at(place: usize, salt: u8) -> u8 {
    (place ^ ((place >> 8) * 7)) as u8 ^ salt
}

/// Twenty frames of a peer that knows nothing of the other errands, in order.
async fn tokens(handle: Handle) -> Result<(), Wrong> {
    const COUNT: u8 = 20;
    let operation = handle.invoke("stream", "tokens", b"20 5").await?;
    let mut frame = [0; 16];
    let mut nth = 0;
    while let Some(len) = operation.recv_frame(&mut frame).await? {
        nth += 1;
        let number = frame
            .get(..len)
            .and_then(|text| text.strip_prefix(b"token-"));
        let number = number.and_then(|digits| str::from_utf8(digits).ok()?.parse::<u8>().ok());
        check(number == Some(nth), "a frame out of turn")?;
    }
    say!("tokens: ", u32::from(nth), " frames in order");
    check(nth == COUNT, "frames are missing")
}

/// GOODBYE, and another connection, by TLS's ticket.
async fn reconnect(handle: Handle) -> Result<(), Wrong> {
    handle.disconnect().await;
    handle.connect();
    handle.connected().await;
    check(handle.is_tls_resumed(), "TLS was not resumed")
}
