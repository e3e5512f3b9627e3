//! Time: the embassy-time driver, and the meter of time awake.
//!
//! SysTick counts core clock ticks, in periods of exactly 2^18 microseconds. The board's one-shot
//! timer is the alarm: SysTick itself could not be one without losing count.

use core::cell::Cell;
use core::cell::RefCell;
use core::task::Waker;

use cortex_m_rt::exception;
use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

use crate::board;
use crate::mmio::Register;

const SYST_CSR: Register = Register::at(0xE000_E010);
const SYST_RVR: Register = Register::at(0xE000_E014);
const SYST_CVR: Register = Register::at(0xE000_E018);
const ICSR: Register = Register::at(0xE000_ED04);

const CSR_ENABLE: u32 = 1;
const CSR_INTERRUPT: u32 = 1 << 1;
const CSR_CORE_CLOCK: u32 = 1 << 2;
const ICSR_SYSTICK_PENDING: u32 = 1 << 26;

const PERIOD_LOG2_US: u32 = 18;
const PERIOD_TICKS: u32 = board::TICKS_PER_US << PERIOD_LOG2_US;
const _: () = assert!(PERIOD_TICKS <= 1 << 24, "SysTick has 24 bits");

/// The farthest alarm, in microseconds. A later one is set again when this has come.
const ALARM_MAX_US: u32 = u32::MAX / board::TICKS_PER_US;

struct Clock {
    // Whole periods since the start: 32 bits last 35 years.
    periods: Mutex<Cell<u32>>,
    asleep: Mutex<Cell<u64>>,
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock {
    periods: Mutex::new(Cell::new(0)),
    asleep: Mutex::new(Cell::new(0)),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

impl Clock {
    /// Whole periods, and ticks into the present one.
    fn reading(&self, cs: CriticalSection<'_>) -> (u32, u32) {
        let mut periods = self.periods.borrow(cs).get();
        let mut left = SYST_CVR.read();
        if ICSR.read() & ICSR_SYSTICK_PENDING != 0 {
            // It wrapped, perhaps after the reading, and interrupts are off: count it here.
            left = SYST_CVR.read();
            periods += 1;
        }
        // The interrupt comes with zero, so the period starts there.
        (periods, if left == 0 { 0 } else { PERIOD_TICKS - left })
    }

    fn now(&self, cs: CriticalSection<'_>) -> u64 {
        let (periods, ticks) = self.reading(cs);
        (u64::from(periods) << PERIOD_LOG2_US) + u64::from(ticks / board::TICKS_PER_US)
    }

    /// Wakes who is due, and sets the alarm for who is next.
    fn serve(&self, cs: CriticalSection<'_>) {
        let now = self.now(cs);
        let next = self.queue.borrow_ref_mut(cs).next_expiration(now);
        if next == u64::MAX {
            board::stop_alarm();
        } else {
            let wait = u32::try_from(next.saturating_sub(now)).unwrap_or(u32::MAX);
            board::set_alarm(wait.clamp(1, ALARM_MAX_US) * board::TICKS_PER_US);
        }
    }
}

impl Driver for Clock {
    fn now(&self) -> u64 {
        critical_section::with(|cs| self.now(cs))
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            if self.queue.borrow_ref_mut(cs).schedule_wake(at, waker) {
                self.serve(cs);
            }
        });
    }
}

/// Starts SysTick.
pub(crate) fn start() {
    SYST_RVR.write(PERIOD_TICKS - 1);
    // Any write sets it to zero, where a period starts.
    SYST_CVR.write(0);
    SYST_CSR.write(CSR_ENABLE | CSR_INTERRUPT | CSR_CORE_CLOCK);
}

#[exception]
fn SysTick() {
    critical_section::with(|cs| {
        let periods = CLOCK.periods.borrow(cs);
        periods.set(periods.get() + 1);
    });
}

/// The alarm's interrupt, from the board's vector table.
pub(crate) extern "C" fn on_alarm() {
    board::acknowledge_alarm();
    critical_section::with(|cs| CLOCK.serve(cs));
}

/// Core clock ticks since the start.
fn ticks(cs: CriticalSection<'_>) -> u64 {
    let (periods, ticks) = CLOCK.reading(cs);
    u64::from(periods) * u64::from(PERIOD_TICKS) + u64::from(ticks)
}

/// Sleeps until an interrupt is pending, and remembers how long that was.
pub(crate) fn sleep(cs: CriticalSection<'_>) {
    let before = ticks(cs);
    cortex_m::asm::dsb();
    cortex_m::asm::wfi();
    let asleep = CLOCK.asleep.borrow(cs);
    asleep.set(asleep.get() + (ticks(cs) - before));
}

/// Core clock ticks since the start that were not slept through.
///
/// In QEMU with `-icount shift=0` an instruction takes one nanosecond of the emulated time, so the
/// instructions executed are this, times 1000, by the clock's megahertz: see [`instructions`].
pub fn awake_ticks() -> u64 {
    critical_section::with(|cs| ticks(cs) - CLOCK.asleep.borrow(cs).get())
}

/// The instructions in `ticks` of [`awake_ticks`] where the emulator runs with `-icount shift=0`.
/// Exact to one tick: 20 instructions at 50 MHz, 40 at 25 MHz. Meaningless elsewhere.
pub const fn instructions(ticks: u64) -> u64 {
    ticks * (1000 / board::TICKS_PER_US as u64)
}
