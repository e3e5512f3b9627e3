//! What cannot go on says where, and ends the run as a failure.

use core::panic::PanicInfo;

use cortex_m_rt::{ExceptionFrame, exception};

use crate::mmio::Register;
use crate::{host, say};

const CFSR: Register = Register::at(0xE000_ED28);

/// Faults of the memory protection unit, which protects the end of the stack and nothing else.
const CFSR_PROTECTION: u32 = 0xFF;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // Reading the place keeps every path name and, by the compiler's reasoning, the formatting
    // machinery of `core`: 11 KiB of flash, where there are 256.
    match info.location().filter(|_| cfg!(feature = "panic-location")) {
        Some(at) => say!("panic at ", at.file(), ":", at.line()),
        None => say!("panic; build with --features panic-location to see where"),
    }
    host::exit(false)
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    if CFSR.read() & CFSR_PROTECTION != 0 {
        // The frame is not there: there was no room to write it.
        say!("the stack is full");
    } else {
        say!("fault at ", host::Hex(&frame.pc().to_be_bytes()));
    }
    host::exit(false)
}
