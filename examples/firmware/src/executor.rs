//! The loop that runs tasks, and sleeps when none is ready.
//!
//! embassy's own for thread mode waits by WFE, on which QEMU does not sleep. This one waits by WFI,
//! and so knows how long the processor was awake.

use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use embassy_executor::{Spawner, raw};
use static_cell::StaticCell;

use crate::clock;

static READY: AtomicBool = AtomicBool::new(false);

// embassy-executor calls this by its name when a task becomes ready.
#[unsafe(export_name = "__pender")]
fn pend(_context: *mut ()) {
    READY.store(true, Ordering::Release);
}

/// Runs tasks for ever, those first that `start` spawns.
pub fn run(start: impl FnOnce(Spawner)) -> ! {
    static EXECUTOR: StaticCell<raw::Executor> = StaticCell::new();
    let executor: &'static raw::Executor = EXECUTOR.init(raw::Executor::new(ptr::null_mut()));
    start(executor.spawner());
    loop {
        // SAFETY: this is the only place that polls, and no task can reach it.
        unsafe { executor.poll() };
        // With interrupts off, none can come between the test and the sleep; WFI still wakes.
        critical_section::with(|cs| {
            if !READY.load(Ordering::Acquire) {
                clock::sleep(cs);
            }
            READY.store(false, Ordering::Release);
        });
    }
}
