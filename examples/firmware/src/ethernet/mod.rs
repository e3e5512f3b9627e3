//! embassy-net's driver over either board's Ethernet controller.
//!
//! The controllers keep frames in memory of their own, so one buffer for each direction is enough
//! here. The interrupt only says that there is something to do, and masks itself: a frame is read
//! where it is used, in the network task.

#[cfg(feature = "mps2-an386")]
pub(crate) mod lan9118;
#[cfg(feature = "lm3s6965evb")]
pub(crate) mod stellaris;

use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use embassy_sync::waitqueue::AtomicWaker;
use static_cell::ConstStaticCell;

use crate::board::{self, Mac};

/// The largest UDP payload. quic-go begins with datagrams of 1,280 bytes, whatever the client asks
/// for; QUIC itself needs 1,200.
pub const DATAGRAM: usize = 1280;

/// The largest frame, without its checksum: Ethernet's header, IPv4's, UDP's, and the payload.
/// Longer ones are dropped.
pub const FRAME: usize = 14 + 20 + 8 + DATAGRAM;

static WAKER: AtomicWaker = AtomicWaker::new();

/// One of the controllers. An implementation does not wait for an event, and reads a frame whole.
pub(crate) trait Controller {
    /// Resets the controller and starts it, its interrupts masked.
    fn start() -> Self;
    /// Its address, which it knows by itself.
    fn address(&self) -> [u8; 6];
    /// Moves the oldest frame that fits into `frame`: its length, or `None` when there is none.
    /// What has been signalled is forgotten before, so that a frame that comes later signals anew.
    fn receive(&mut self, frame: &mut [u8; FRAME]) -> Option<usize>;
    /// Is there room for a frame of any size?
    fn can_send(&self) -> bool;
    /// Sends a frame. There is room for it.
    fn send(&mut self, frame: &[u8]);
    /// Makes an interrupt come when there is a frame to receive.
    fn signal_receive(&mut self);
    /// Makes an interrupt come when there is room to send.
    fn signal_send(&mut self);
    /// Masks every interrupt.
    fn silence();
}

/// The Ethernet interrupt, from the board's vector table.
pub(crate) extern "C" fn on_interrupt() {
    Mac::silence();
    WAKER.wake();
}

/// The driver.
pub struct Ethernet {
    mac: Mac,
    received: &'static mut [u8; FRAME],
    sending: &'static mut [u8; FRAME],
}

impl Ethernet {
    /// Starts the controller.
    ///
    /// # Panics
    ///
    /// When called twice: there is one controller.
    pub fn start() -> Self {
        static RECEIVED: ConstStaticCell<[u8; FRAME]> = ConstStaticCell::new([0; FRAME]);
        static SENDING: ConstStaticCell<[u8; FRAME]> = ConstStaticCell::new([0; FRAME]);
        let driver = Self {
            mac: Mac::start(),
            received: RECEIVED.take(),
            sending: SENDING.take(),
        };
        // Not sooner: before its start the LAN9118 holds the line active, and cannot be silenced.
        board::enable_ethernet();
        driver
    }

    fn room(&mut self, cx: &mut Context<'_>) -> bool {
        if self.mac.can_send() {
            return true;
        }
        WAKER.register(cx.waker());
        self.mac.signal_send();
        self.mac.can_send()
    }
}

impl Driver for Ethernet {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(RxToken<'_>, TxToken<'_>)> {
        if !self.room(cx) {
            return None;
        }
        let length = self.mac.receive(self.received).or_else(|| {
            WAKER.register(cx.waker());
            self.mac.signal_receive();
            None
        })?;
        let frame = self.received.get_mut(..length)?;
        Some((
            RxToken(frame),
            TxToken {
                mac: &mut self.mac,
                frame: self.sending,
            },
        ))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<TxToken<'_>> {
        self.room(cx).then_some(TxToken {
            mac: &mut self.mac,
            frame: self.sending,
        })
    }

    fn link_state(&mut self, _cx: &mut Context<'_>) -> LinkState {
        // A real board asks its PHY. The emulated Stellaris has none, and no cable to pull.
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac.address())
    }
}

/// A frame that was received.
pub struct RxToken<'a>(&'a mut [u8]);

impl embassy_net_driver::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a frame to send.
pub struct TxToken<'a> {
    mac: &'a mut Mac,
    frame: &'a mut [u8; FRAME],
}

impl embassy_net_driver::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        // The stack keeps to the size that `capabilities` gave it.
        let frame = &mut self.frame[..length];
        let result = f(frame);
        self.mac.send(frame);
        result
    }
}
