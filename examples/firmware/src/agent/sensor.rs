//! What the node can ask of the sensor.
//!
//! `read` with `interval=MS count=N` answers with N measurements of [`MEASUREMENT`] bytes, one
//! every MS milliseconds. `blink` with `interval=MS` switches the board's LED on and off until it
//! is cancelled, and answers with a byte, 1 or 0, each time.

use core::cell::Cell;
use core::future::poll_fn;
use core::task::Poll;

use aire_embassy::{Error, Handle, Operation};
use aire_proto::ErrorCode;
use critical_section::Mutex;
use embassy_futures::select::{Either, select};
use embassy_sync::waitqueue::AtomicWaker;
use embassy_time::{Duration, Instant, Ticker};

use crate::{board, say};

/// A measurement in bytes, in little endian: its number from 0, 32 bits; milliseconds since the
/// start, 32 bits; hundredths of a degree Celsius, 16 bits; hundredths of a per cent of relative
/// humidity, 16 bits.
pub const MEASUREMENT: usize = 12;

/// The longest arguments.
const ARGUMENTS: usize = 48;
const INTERVAL_MS: u32 = 1000;
const COUNT: u32 = 10;

static SERVED: Mutex<Cell<u32>> = Mutex::new(Cell::new(0));
static SERVED_ONE: AtomicWaker = AtomicWaker::new();

/// Waits until so many operations were served to their end.
pub async fn served(count: u32) {
    poll_fn(|cx| {
        SERVED_ONE.register(cx.waker());
        let served = critical_section::with(|cs| SERVED.borrow(cs).get());
        match served >= count {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

/// Serves one operation after the other, for ever.
pub(super) async fn serve(handle: Handle) -> ! {
    loop {
        let operation = handle.accept().await;
        let name = operation.name();
        let ended = match name.as_str() {
            "read" => until_cancelled(&operation, read(&operation)).await,
            "blink" => until_cancelled(&operation, blink(&operation)).await,
            _ => operation.fail(ErrorCode::Application, "it can read and blink"),
        };
        board::light(false);
        let ended = match ended {
            Ok(()) => operation.ended().await,
            ended => ended,
        };
        say!("sensor/", name.as_str(), ": ", described(&ended));
        critical_section::with(|cs| {
            let served = SERVED.borrow(cs);
            served.set(served.get() + 1);
        });
        SERVED_ONE.wake();
    }
}

/// Does `work` until it is done, or must not go on. What was cancelled is answered so by the
/// protocol.
async fn until_cancelled(
    operation: &Operation,
    work: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    match select(operation.cancelled(), work).await {
        Either::First(error) => Err(error),
        Either::Second(done) => done,
    }
}

async fn read(operation: &Operation) -> Result<(), Error> {
    let mut buffer = [0; ARGUMENTS];
    let arguments = arguments(operation, &mut buffer).await?;
    let count = number(arguments, "count").unwrap_or(COUNT);
    let mut ticker = ticker(arguments);
    for nth in 0..count {
        operation.send(&measure(nth)).await?;
        ticker.next().await;
    }
    operation.finish()
}

async fn blink(operation: &Operation) -> Result<(), Error> {
    let mut buffer = [0; ARGUMENTS];
    let mut ticker = ticker(arguments(operation, &mut buffer).await?);
    let mut on = false;
    loop {
        on = !on;
        board::light(on);
        operation.send(&[u8::from(on)]).await?;
        ticker.next().await;
    }
}

/// The simulated sensor: a room that warms up and cools down over two minutes, and gets drier as
/// it warms up, seen through a little noise.
fn measure(nth: u32) -> [u8; MEASUREMENT] {
    const HALF_MS: u32 = 60_000;
    let at = Instant::now().as_millis() as u32;
    let phase = at % (2 * HALF_MS);
    let rise = phase.min(2 * HALF_MS - phase);
    // The same moment gives the same noise: 0 to 15 hundredths.
    let noise = at.wrapping_mul(0x9e37_79b9) >> 28;
    let celsius = 20_50 + rise * 4_00 / HALF_MS + noise;
    let humidity = 48_00 - rise * 9_00 / HALF_MS + noise;
    let mut bytes = [0; MEASUREMENT];
    bytes[..4].copy_from_slice(&nth.to_le_bytes());
    bytes[4..8].copy_from_slice(&at.to_le_bytes());
    bytes[8..10].copy_from_slice(&(celsius as i16).to_le_bytes());
    bytes[10..].copy_from_slice(&(humidity as u16).to_le_bytes());
    bytes
}

async fn arguments<'b>(
    operation: &Operation,
    buffer: &'b mut [u8; ARGUMENTS],
) -> Result<&'b str, Error> {
    let mut used = 0;
    loop {
        let read = operation.read_args(&mut buffer[used..]).await?;
        if read == 0 {
            // What is no text has no numbers in it either.
            return Ok(str::from_utf8(&buffer[..used]).unwrap_or_default());
        }
        used += read;
    }
}

/// The number behind the first `key=`.
fn number(arguments: &str, key: &str) -> Option<u32> {
    arguments
        .split(' ')
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
}

fn ticker(arguments: &str) -> Ticker {
    let interval = number(arguments, "interval").unwrap_or(INTERVAL_MS).max(1);
    Ticker::every(Duration::from_millis(interval.into()))
}

/// How an operation ended, for people.
pub(super) fn described(ended: &Result<(), Error>) -> &'static str {
    match ended {
        Ok(()) | Err(Error::Ended) => "completed",
        Err(Error::Cancelled(reason)) => reason.name(),
        Err(Error::Failed(code)) => code.name(),
        Err(Error::Lost) => "lost with its connection",
        Err(Error::Reset(_)) => "reset",
        Err(Error::NoToken) => "no token to resume it by",
        Err(Error::OtherFrame) => "resumed with another frame",
        Err(_) => "refused here",
    }
}
