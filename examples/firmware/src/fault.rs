//! What cannot go on says where, and ends the run as a failure.

use core::panic::PanicInfo;

use cortex_m_rt::{ExceptionFrame, exception};

use crate::{host, say};

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // The message would bring the formatting machinery of `core` with it.
    match info.location() {
        Some(at) => say!("panic at ", at.file(), ":", at.line()),
        None => say!("panic"),
    }
    host::exit(false)
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    say!("fault at ", host::Hex(&frame.pc().to_be_bytes()));
    host::exit(false)
}
