//! A program that calls all of aire-quic, so that all of it is in the image. It is measured, and
//! never run: without the feature `quic` it is what a program takes that does nothing.

#![no_std]
#![no_main]

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

#[cfg(feature = "quic")]
use {
    aire_quic::{Config, Connection, Event, Instant, Storage, Trust},
    static_cell::ConstStaticCell,
};

/// What nothing is known about when this is compiled, and what keeps results from being dropped.
static OUTSIDE: AtomicU32 = AtomicU32::new(0);

#[cfg(feature = "quic")]
static STORAGE: ConstStaticCell<Storage<4, 1024, 1024>> = ConstStaticCell::new(Storage::new());
#[cfg(feature = "quic")]
static DATAGRAM: ConstStaticCell<[u8; 1500]> = ConstStaticCell::new([0; 1500]);

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

fn keep(value: usize) {
    OUTSIDE.store(value as u32, Ordering::Relaxed);
}

#[cortex_m_rt::entry]
fn main() -> ! {
    keep(1);
    #[cfg(feature = "quic")]
    run();
    loop {}
}

#[cfg(feature = "quic")]
fn outside() -> u32 {
    OUTSIDE.load(Ordering::Relaxed)
}

#[cfg(feature = "quic")]
fn run() {
    let datagram = DATAGRAM.take();
    let pins = [[outside() as u8; 32]];
    let mut config = Config::new("node.example", b"aire/v0", Trust::Pins(&pins));
    #[cfg(feature = "authority")]
    let authorities: [&[u8]; 1] = [&[outside() as u8; 3]];
    #[cfg(feature = "authority")]
    if outside() == 2 {
        config.trust = Trust::Authorities(&authorities);
    }
    config.unix_time = Some(u64::from(outside()));
    let mut connection = Connection::new(STORAGE.take());
    connection.offer_ticket(datagram);
    connection.offer_token(datagram);
    if connection
        .connect(&config, &[1; 32], Instant::from_micros(0))
        .is_err()
    {
        return;
    }
    loop {
        let now = Instant::from_micros(u64::from(outside()));
        connection.handle_datagram(datagram, now);
        connection.handle_timeout(now);
        while let Some(len) = connection.poll_transmit(datagram, now) {
            keep(len);
        }
        keep(usize::from(connection.next_deadline() > Some(now)));
        while let Some(event) = connection.poll_event() {
            react(&mut connection, event, datagram, now);
        }
    }
}

/// No program does all of this; it is what can be called.
#[cfg(feature = "quic")]
fn react(connection: &mut Connection<'_>, event: Event, buffer: &mut [u8; 1500], now: Instant) {
    match event {
        Event::Connected | Event::StreamsAvailable => {
            if let Ok(stream) = connection.open() {
                keep(connection.write(stream, buffer));
                connection.finish(stream);
            }
        }
        Event::Readable(stream) => {
            let peek = connection.peek(stream);
            let (count, fin) = (peek.bytes.len(), peek.fin);
            connection.consume(stream, count, fin);
        }
        Event::Opened(stream) => {
            connection.reset(stream, 1);
            connection.stop_sending(stream, 1);
        }
        Event::Ticket => keep(connection.ticket().map_or(0, <[u8]>::len)),
        Event::Token => keep(connection.token().map_or(0, <[u8]>::len)),
        Event::Closed(_) => connection.close(1, "", now),
        _ => {
            connection.ping();
            keep(usize::from(connection.update_keys(now)));
            keep(usize::from(connection.address_changed(now).is_ok()));
            keep(connection.stats().in_flight as usize);
            connection.export_keying_material(b"label", &[], buffer);
        }
    }
}
