//! Operations that outlive their connection, and the device.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aire_embassy::{Error, Event, Operation, Options, TicketStore};
use aire_mio::{Certificate, ErrorCode, Node, Resumable};
use embassy_time::{Duration, Timer, with_timeout};
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use support::link::Weather;
use support::world::{World, options};
use support::{Rng, any_port, builder, certificate, run};

const FRAMES: u32 = 400;

/// What frame `nth` holds: its number, and up to 6 KiB that depend on it.
fn frame(nth: u32) -> Vec<u8> {
    let mut rng = Rng::new(u64::from(nth) + 1000);
    let len = rng.below(6000) as usize * usize::from(!nth.is_multiple_of(5));
    let mut frame = nth.to_be_bytes().to_vec();
    frame.extend(rng.bytes(len));
    frame
}

/// A node whose agent `counter` sends all frames, and can be resumed. How often it was begun is
/// counted.
fn counter(certificate: &Certificate, begun: Arc<AtomicU32>) -> Node {
    builder(certificate)
        .resumable_agent(
            "counter",
            move |operation: &mut aire_mio::Operation| {
                begun.fetch_add(1, Ordering::Relaxed);
                for nth in 0..FRAMES {
                    operation.send(frame(nth))?;
                }
                Ok(())
            },
            Resumable::default().window(8 << 20, 4096),
        )
        .unwrap()
        .listen(any_port())
        .unwrap()
}

fn in_a_hurry(certificate: &Certificate) -> Options {
    Options {
        idle_timeout: Duration::from_millis(600),
        handshake_timeout: Duration::from_secs(2),
        ..options(certificate)
    }
}

/// Receives frames from `first` to before `last`, in pieces.
async fn receive(operation: &Operation, first: u32, last: u32, buffer: &mut [u8]) {
    for nth in first..last {
        let mut whole: Vec<u8> = Vec::new();
        loop {
            let chunk = operation.recv(buffer).await.unwrap();
            let chunk = chunk.unwrap_or_else(|| panic!("no frame {nth}"));
            whole.extend(&buffer[..chunk.len]);
            if chunk.remaining == 0 {
                break;
            }
        }
        assert!(whole == frame(nth), "frame {nth} is another one");
    }
}

#[test]
fn a_stream_goes_on_over_every_cut_and_nothing_is_lost_or_comes_twice() {
    run(async |spawner| {
        let certificate = certificate();
        let begun = Arc::new(AtomicU32::new(0));
        let node = counter(&certificate, begun.clone());
        let weather = Weather {
            lost: 20,
            delay: Duration::from_millis(1),
            ..Weather::default()
        };
        let world = World::new(spawner, node.address(), weather, 11);
        let handle = world.client(in_a_hurry(&certificate), 11);
        let operation = handle.invoke("counter", "all", b"").await.unwrap();
        operation.finish().unwrap();
        assert_eq!(operation.event().await, Ok(Event::Resumable));
        let link = world.link.clone();
        support::spawn(spawner, async move {
            loop {
                Timer::after_millis(500).await;
                link.borrow_mut().weather.cut = true;
                Timer::after_millis(900).await;
                link.borrow_mut().weather.cut = false;
                Timer::after_millis(500).await;
            }
        });
        let mut buffer = [0; 700];
        for nth in 0..FRAMES {
            receive(&operation, nth, nth + 1, &mut buffer).await;
            // A slow reader: frames are cut in the middle of being read.
            Timer::after_millis(8).await;
        }
        assert_eq!(operation.recv(&mut buffer).await, Ok(None));
        assert_eq!(operation.ended().await, Ok(()));
        assert_eq!(operation.received(), u64::from(FRAMES));
        assert!(
            operation.times_resumed() >= 2,
            "{}",
            operation.times_resumed()
        );
        assert_eq!(begun.load(Ordering::Relaxed), 1, "the work was done once");
    });
}

/// Flash that outlives the device.
struct Flash(Vec<u8>);

impl ErrorType for Flash {
    type Error = core::convert::Infallible;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let from = offset as usize;
        bytes.copy_from_slice(&self.0[from..from + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 1024;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.0[from as usize..to as usize].fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        for (cell, byte) in self.0[offset as usize..].iter_mut().zip(bytes) {
            *cell &= byte;
        }
        Ok(())
    }
}

#[test]
fn an_operation_goes_on_after_a_restart_of_the_device_by_its_ticket_in_flash() {
    run(async |spawner| {
        let certificate = certificate();
        let begun = Arc::new(AtomicU32::new(0));
        let node = counter(&certificate, begun.clone());
        let mut store = TicketStore::new(Flash(vec![0; 2048]), 0);
        let mut buffer = [0; 1000];
        {
            let world = World::new(spawner, node.address(), Weather::default(), 12);
            let handle = world.client(in_a_hurry(&certificate), 12);
            let operation = handle.invoke("counter", "all", b"").await.unwrap();
            operation.finish().unwrap();
            let mut ticket = [0; 200];
            let none = operation.ticket("counter", "all", &mut ticket);
            assert_eq!(none, Err(Error::NoToken));
            assert_eq!(operation.event().await, Ok(Event::Resumable));
            receive(&operation, 0, 37, &mut buffer).await;
            // In the middle of a frame: the ticket knows whole ones only.
            let piece = operation.recv(&mut [0; 3]).await.unwrap().unwrap();
            assert!(piece.remaining > 0);
            let ticket = operation.ticket("counter", "all", &mut ticket).unwrap();
            store.save(ticket).unwrap();
            // The power goes.
            world.weather(|weather| weather.cut = true);
            core::mem::forget(operation);
        }
        let mut store = TicketStore::new(store.release(), 0);
        let mut ticket = [0; 200];
        let ticket = store.load(&mut ticket).unwrap().unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 13);
        let handle = world.client(in_a_hurry(&certificate), 13);
        let operation = handle.resume(ticket).unwrap();
        receive(&operation, 37, FRAMES, &mut buffer).await;
        assert_eq!(operation.recv(&mut buffer).await, Ok(None));
        assert_eq!(operation.ended().await, Ok(()));
        assert_eq!(begun.load(Ordering::Relaxed), 1, "the work was done once");
        store.clear().unwrap();
        assert_eq!(store.load(&mut buffer), Ok(None));
    });
}

#[test]
fn a_ticket_is_good_once() {
    run(async |spawner| {
        let certificate = certificate();
        let node = counter(&certificate, Arc::default());
        let world = World::new(spawner, node.address(), Weather::default(), 14);
        let handle = world.client(in_a_hurry(&certificate), 14);
        let operation = handle.invoke("counter", "all", b"").await.unwrap();
        assert_eq!(operation.event().await, Ok(Event::Resumable));
        let mut old = [0; 200];
        let old = operation
            .ticket("counter", "all", &mut old)
            .unwrap()
            .to_vec();
        world.weather(|weather| weather.cut = true);
        Timer::after_millis(800).await;
        world.weather(|weather| weather.cut = false);
        let mut buffer = [0; 1000];
        receive(&operation, 0, FRAMES, &mut buffer).await;
        assert!(operation.times_resumed() >= 1);
        drop(operation);
        let again = handle.resume(&old).unwrap();
        let refused = again.recv(&mut buffer).await;
        assert_eq!(refused, Err(Error::Failed(ErrorCode::ResumeInvalid)));
        let garbage = handle.resume(&old[..20]);
        assert!(matches!(garbage, Err(Error::Ticket(_))));
    });
}

#[test]
fn what_cannot_be_resumed_is_lost_with_its_connection_and_the_next_one_serves() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate).listen(any_port()).unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 15);
        let handle = world.client(in_a_hurry(&certificate), 15);
        let operation = handle.invoke("mirror", "it", b"").await.unwrap();
        world.weather(|weather| weather.cut = true);
        assert_eq!(operation.recv(&mut [0; 8]).await, Err(Error::Lost));
        assert_eq!(operation.send(b"into the void").await, Err(Error::Lost));
        drop(operation);
        let next = handle.invoke("mirror", "it", b"hello");
        assert!(
            with_timeout(Duration::from_millis(300), next)
                .await
                .is_err()
        );
        world.weather(|weather| weather.cut = false);
        let operation = handle.invoke("mirror", "it", b"hello").await.unwrap();
        let mut buffer = [0; 8];
        assert_eq!(operation.recv_frame(&mut buffer).await, Ok(Some(5)));
    });
}
