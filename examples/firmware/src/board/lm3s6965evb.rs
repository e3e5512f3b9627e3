//! Texas Instruments (Stellaris) LM3S6965 evaluation board: Cortex-M3 at 50 MHz.

use super::{Interrupt, Vector};
use crate::clock;
use crate::ethernet::{self, stellaris};
use crate::mmio::Register;

/// The board's name, which is QEMU's name of the machine.
pub const NAME: &str = "lm3s6965evb";

/// Core clock ticks in a microsecond.
pub const TICKS_PER_US: u32 = 50;

/// The Ethernet controller.
pub(crate) type Mac = stellaris::Mac;

// System control.
const RIS: Register = Register::at(0x400F_E050);
const RCC: Register = Register::at(0x400F_E060);
const RCGC1: Register = Register::at(0x400F_E104);
const RCGC2: Register = Register::at(0x400F_E108);

const RIS_PLL_LOCKED: u32 = 1 << 6;
const RCC_MAIN_OSCILLATOR_OFF: u32 = 1;
const RCC_SOURCE: u32 = 0b11 << 4;
const RCC_CRYSTAL: u32 = 0b1111 << 6;
const RCC_CRYSTAL_8_MHZ: u32 = 0b1110 << 6;
const RCC_BYPASS: u32 = 1 << 11;
const RCC_PLL_OFF: u32 = 1 << 13;
const RCC_DIVIDE: u32 = 1 << 22;
const RCC_DIVISOR: u32 = 0b1111 << 23;
// The PLL gives 200 MHz: by 4.
const RCC_DIVISOR_50_MHZ: u32 = 3 << 23;
const RCGC1_TIMER_0: u32 = 1 << 16;
const RCGC2_ETHERNET: u32 = 1 << 28 | 1 << 30;
const RCGC2_PORT_F: u32 = 1 << 5;

// Port F, pin 0: the status LED. An address of the data register has the pins that it reaches in it.
const LED_DATA: Register = Register::at(0x4002_5000 + (LED << 2));
const LED_DIRECTION: Register = Register::at(0x4002_5400);
const LED_DIGITAL: Register = Register::at(0x4002_551C);
const LED: u32 = 1;

// General purpose timer 0, its halves joined to 32 bits.
const TIMER_CFG: Register = Register::at(0x4003_0000);
const TIMER_MODE: Register = Register::at(0x4003_0004);
const TIMER_CTL: Register = Register::at(0x4003_000C);
const TIMER_IMR: Register = Register::at(0x4003_0018);
const TIMER_ICR: Register = Register::at(0x4003_0024);
const TIMER_LOAD: Register = Register::at(0x4003_0028);

const TIMER_ONE_SHOT: u32 = 1;
const TIMER_TIMEOUT: u32 = 1;

const ALARM: Interrupt = Interrupt(19);
const ETHERNET: Interrupt = Interrupt(42);

#[used]
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [Vector; 43] = {
    let mut table = [Vector { unused: 0 }; 43];
    table[ALARM.0 as usize] = Vector {
        handler: clock::on_alarm,
    };
    table[ETHERNET.0 as usize] = Vector {
        handler: ethernet::on_interrupt,
    };
    table
};

/// Starts the clock, the alarm timer and power to the Ethernet controller.
pub(crate) fn start() {
    // On the crystal first, by the PLL when that has locked.
    let rest = RCC.read() & !(RCC_DIVIDE | RCC_CRYSTAL | RCC_SOURCE | RCC_MAIN_OSCILLATOR_OFF);
    RCC.write(rest | RCC_BYPASS | RCC_CRYSTAL_8_MHZ);
    RCC.write(RCC.read() & !RCC_PLL_OFF);
    RCC.write(RCC.read() & !RCC_DIVISOR | RCC_DIVISOR_50_MHZ | RCC_DIVIDE);
    while RIS.read() & RIS_PLL_LOCKED == 0 {}
    RCC.write(RCC.read() & !RCC_BYPASS);

    RCGC1.set(RCGC1_TIMER_0);
    RCGC2.set(RCGC2_ETHERNET | RCGC2_PORT_F);
    // A peripheral answers some ticks after its clock is on.
    cortex_m::asm::delay(16);

    LED_DIRECTION.set(LED);
    LED_DIGITAL.set(LED);

    TIMER_CTL.write(0);
    TIMER_CFG.write(0);
    TIMER_MODE.write(TIMER_ONE_SHOT);
    TIMER_IMR.write(TIMER_TIMEOUT);
    ALARM.enable();
}

/// Makes the alarm's interrupt come in `ticks`, once.
pub(crate) fn set_alarm(ticks: u32) {
    stop_alarm();
    TIMER_LOAD.write(ticks);
    TIMER_CTL.write(1);
}

/// No alarm.
pub(crate) fn stop_alarm() {
    TIMER_CTL.write(0);
}

/// Takes the alarm's interrupt away.
pub(crate) fn acknowledge_alarm() {
    TIMER_ICR.write(TIMER_TIMEOUT);
}

/// Lets the Ethernet controller's interrupt through. The controller has been started.
pub(crate) fn enable_ethernet() {
    ETHERNET.enable();
}

/// Switches the status LED.
pub(crate) fn light(on: bool) {
    LED_DATA.write(u32::from(on));
}
