//! What differs between the boards: clock, alarm timer, interrupt table and Ethernet controller.

#[cfg(feature = "lm3s6965evb")]
mod lm3s6965evb;
#[cfg(feature = "lm3s6965evb")]
pub use lm3s6965evb::*;

#[cfg(feature = "mps2-an386")]
mod mps2_an386;
#[cfg(feature = "mps2-an386")]
pub use mps2_an386::*;

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;

/// An entry of the interrupt table.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) union Vector {
    handler: extern "C" fn(),
    unused: usize,
}

#[derive(Clone, Copy)]
struct Interrupt(u16);

// SAFETY: the numbers are constants of the boards, each within its table.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self.0
    }
}

impl Interrupt {
    fn enable(self) {
        // SAFETY: handlers and tasks share only what is behind a critical section.
        unsafe { NVIC::unmask(self) }
    }
}
