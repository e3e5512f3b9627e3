//! A test of the platform alone: the clock, the meter, the storage, DNS, and datagrams of 1,200 bytes both ways.
//!
//! Arguments, from the host: `seed=` (see `entropy`), `peer=host:port` of a UDP echo server,
//! `count=` of datagrams, and `icount=0` where the emulator runs with `-icount shift=0`.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use embassy_executor::Spawner;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{IpEndpoint, Stack};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use firmware::entropy::Entropy;
use firmware::host::{self, Arguments};
use firmware::storage::{SECTOR, Storage};
use firmware::{board, clock, executor, network, report_memory, say};
use static_cell::{ConstStaticCell, StaticCell};

const DATAGRAM: usize = 1200;
/// Datagrams on their way at the same time.
const WINDOW: u32 = 4;

#[entry]
fn main() -> ! {
    firmware::start();
    executor::run(|spawner| {
        spawner.spawn(run(spawner).expect("spawned once"));
    })
}

#[embassy_executor::task]
async fn run(spawner: Spawner) {
    static ARGUMENTS: StaticCell<Arguments> = StaticCell::new();
    let arguments = ARGUMENTS.init_with(Arguments::read);
    say!("echo on ", board::NAME);
    let Some(mut entropy) = Entropy::from_host(arguments) else {
        say!("no seed=, 64 hexadecimal digits, from the host: see entropy.rs");
        host::exit(false)
    };
    let timely = check_clock().await;
    let metered = check_meter(arguments.get("icount").is_some());
    let stored = check_storage();
    let stack = network::start(spawner, arguments, &mut entropy);
    let echoed = match network::resolve(stack, arguments.get("peer").unwrap_or_default()).await {
        Some(peer) => {
            let count = arguments
                .get("count")
                .and_then(|text| text.parse().ok())
                .unwrap_or(500);
            echo(stack, peer, count).await
        }
        None => {
            say!("no peer=host:port, or its name does not resolve");
            false
        }
    };
    report_memory();
    host::exit(timely && metered && stored && echoed)
}

/// A timer of 600 ms comes when it is due, over more than two periods of SysTick, and its task slept
/// meanwhile.
async fn check_clock() -> bool {
    let (start, awake) = (Instant::now(), clock::awake_ticks());
    Timer::after_millis(600).await;
    let took = start.elapsed().as_micros() as u32;
    let awake = (clock::awake_ticks() - awake) as u32 / board::TICKS_PER_US;
    say!("timer: 600000 us took ", took, ", awake ", awake);
    // No upper bound: the host may be busy.
    took >= 600_000 && awake < took / 2
}

/// Meters a loop of known length. It is judged where instructions are what makes the emulated time
/// go by: there it has to be true to a few ticks.
fn check_meter(judged: bool) -> bool {
    const TURNS: u32 = 500_000;
    let before = clock::awake_ticks();
    // SAFETY: the loop counts a register down, and touches nothing else.
    unsafe {
        core::arch::asm!(
            "2:", "subs {turns}, {turns}, #1", "bne 2b",
            turns = inout(reg) TURNS => _, options(nomem, nostack)
        );
    }
    let metered = clock::instructions(clock::awake_ticks() - before) as u32;
    say!("meter: ", 2 * TURNS, " instructions read ", metered);
    !judged || metered.abs_diff(2 * TURNS) < 1000
}

/// Storage is erased to ones, writes only clear bits, and what is out of step or out of bounds is refused.
fn check_storage() -> bool {
    let mut storage = Storage::take();
    let mut read = [0; 4];
    let mut holds = |storage: &mut Storage, expected: [u8; 4]| {
        storage.read(SECTOR as u32, &mut read).is_ok() && read == expected
    };
    let at = SECTOR as u32;
    let erased = storage.erase(at, 2 * at).is_ok() && holds(&mut storage, [0xFF; 4]);
    let written =
        storage.write(at, &[1, 2, 3, 0xF0]).is_ok() && holds(&mut storage, [1, 2, 3, 0xF0]);
    let cleared =
        storage.write(at, &[0xFF, 0xFF, 1, 0x3F]).is_ok() && holds(&mut storage, [1, 2, 1, 0x30]);
    let refused = storage.write(at + 1, &[0; 4]).is_err() && storage.erase(0, 2 * at + 4).is_err();
    let works = erased && written && cleared && refused;
    say!("storage: ", if works { "as flash" } else { "not as flash" });
    works
}

async fn echo(stack: Stack<'static>, peer: IpEndpoint, count: u32) -> bool {
    static RECEIVED: ConstStaticCell<[u8; 4 * DATAGRAM]> = ConstStaticCell::new([0; 4 * DATAGRAM]);
    static SENDING: ConstStaticCell<[u8; 2 * DATAGRAM]> = ConstStaticCell::new([0; 2 * DATAGRAM]);
    let (mut received, mut sending) = ([PacketMetadata::EMPTY; 4], [PacketMetadata::EMPTY; 2]);
    let mut socket = UdpSocket::new(
        stack,
        &mut received,
        RECEIVED.take(),
        &mut sending,
        SENDING.take(),
    );
    if socket.bind(0).is_err() {
        say!("the socket does not bind");
        return false;
    }
    let (mut sent, mut back, mut lost, mut wrong) = (0, 0, 0, 0);
    let (start, awake) = (Instant::now(), clock::awake_ticks());
    while back + lost < count {
        while sent < count && sent - back - lost < WINDOW {
            let datagram = |bytes: &mut [u8]| {
                bytes
                    .iter_mut()
                    .zip(pattern(sent))
                    .for_each(|(to, byte)| *to = byte);
                (DATAGRAM, ())
            };
            if socket.send_to_with(DATAGRAM, peer, datagram).await.is_err() {
                say!("datagram ", sent, " was not sent");
                return false;
            }
            sent += 1;
        }
        let arrival = socket.recv_from_with(|bytes, _| {
            let number = bytes
                .first_chunk()
                .map_or(u32::MAX, |number| u32::from_le_bytes(*number));
            bytes.len() == DATAGRAM && number < count && pattern(number).eq(bytes.iter().copied())
        });
        match with_timeout(Duration::from_secs(5), arrival).await {
            Ok(right) => {
                back += 1;
                wrong += u32::from(!right);
            }
            Err(_) => lost = sent - back,
        }
    }
    say!(
        "echo: ",
        sent,
        " of ",
        DATAGRAM,
        " bytes sent, ",
        back,
        " back, ",
        wrong,
        " wrong, ",
        lost,
        " lost, ",
        start.elapsed().as_millis() as u32,
        " ms, awake ",
        (clock::awake_ticks() - awake) as u32 / board::TICKS_PER_US / 1000
    );
    wrong == 0 && lost == 0
}

/// The bytes of datagram `number`: itself, and what differs from datagram to datagram.
fn pattern(number: u32) -> impl Iterator<Item = u8> {
    number
        .to_le_bytes()
        .into_iter()
        .chain((4..DATAGRAM as u32).map(move |at| (at * 7 + number) as u8))
}
