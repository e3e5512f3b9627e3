//! Arm MPS2 board with the FPGA image AN386: Cortex-M4 at 25 MHz.

use super::{Interrupt, Vector};
use crate::clock;
use crate::ethernet::{self, lan9118};
use crate::mmio::Register;

/// The board's name, which is QEMU's name of the machine.
pub const NAME: &str = "mps2-an386";

/// Core clock ticks in a microsecond.
pub const TICKS_PER_US: u32 = 25;

/// The Ethernet controller.
pub(crate) type Mac = lan9118::Mac;

// The first timer of Arm's Cortex-M system design kit. With a reload value of zero it stops when
// it gets to zero.
const TIMER_CTRL: Register = Register::at(0x4000_0000);
const TIMER_VALUE: Register = Register::at(0x4000_0004);
const TIMER_RELOAD: Register = Register::at(0x4000_0008);
const TIMER_INTERRUPT: Register = Register::at(0x4000_000C);

const CTRL_ENABLE: u32 = 1;
const CTRL_INTERRUPT: u32 = 1 << 3;

// The first user LED, of the FPGA's own registers.
const LED: Register = Register::at(0x4002_8000);

const ALARM: Interrupt = Interrupt(8);
const ETHERNET: Interrupt = Interrupt(13);

#[used]
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [Vector; 14] = {
    let mut table = [Vector { unused: 0 }; 14];
    table[ALARM.0 as usize] = Vector {
        handler: clock::on_alarm,
    };
    table[ETHERNET.0 as usize] = Vector {
        handler: ethernet::on_interrupt,
    };
    table
};

/// Starts the alarm timer. The FPGA's clock runs already.
pub(crate) fn start() {
    TIMER_CTRL.write(0);
    TIMER_RELOAD.write(0);
    ALARM.enable();
}

/// Makes the alarm's interrupt come in `ticks`, once.
pub(crate) fn set_alarm(ticks: u32) {
    stop_alarm();
    TIMER_VALUE.write(ticks);
    TIMER_CTRL.write(CTRL_ENABLE | CTRL_INTERRUPT);
}

/// No alarm.
pub(crate) fn stop_alarm() {
    TIMER_CTRL.write(0);
}

/// Takes the alarm's interrupt away.
pub(crate) fn acknowledge_alarm() {
    TIMER_INTERRUPT.write(1);
}

/// Lets the Ethernet controller's interrupt through. The controller has been started.
pub(crate) fn enable_ethernet() {
    ETHERNET.enable();
}

/// Switches the first user LED.
pub(crate) fn light(on: bool) {
    LED.write(u32::from(on));
}
