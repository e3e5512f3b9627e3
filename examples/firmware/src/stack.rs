//! How much RAM a run took: what is static, and how deep the stack ever was.
//!
//! cortex-m-rt paints the stack with a pattern before `main` (its feature `paint-stack`); what no
//! longer shows it has been used. Where the stack may go no farther, the memory protection unit stops
//! the program: it does not run on over its own statics.

use crate::mmio::Register;

const MPU_CTRL: Register = Register::at(0xE000_ED94);
const MPU_RNR: Register = Register::at(0xE000_ED98);
const MPU_RBAR: Register = Register::at(0xE000_ED9C);
const MPU_RASR: Register = Register::at(0xE000_EDA0);

const CTRL_ENABLE: u32 = 1;
/// Everything outside the regions stays as it is without the unit.
const CTRL_BACKGROUND: u32 = 1 << 2;
const RASR_ENABLE: u32 = 1;
const RASR_NEVER_EXECUTE: u32 = 1 << 28;

/// Bytes below the stack that nobody may touch: a power of two.
const GUARD: u32 = 256;

const PATTERN: u32 = cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    // Addresses that the linker script of cortex-m-rt defines: the stack grows down from
    // `_stack_start` to, at the most, `_stack_end`. Statics end where it does.
    static _stack_start: u32;
    static _stack_end: u32;
}

/// Bytes of RAM, of which there are `total`.
pub struct Usage {
    /// `.data`, `.bss` and `.uninit`, and padding between them.
    pub statics: u32,
    /// The deepest that the stack has been so far.
    pub stack: u32,
    /// What neither took: the guard's 256 bytes are in it.
    pub free: u32,
}

/// The guard: the first aligned place above the statics.
fn guard() -> u32 {
    (&raw const _stack_end as u32).next_multiple_of(GUARD)
}

/// Closes the guard to every access. A stack that grows into it faults.
pub(crate) fn protect() {
    MPU_RNR.write(0);
    MPU_RBAR.write(guard());
    // The size is 2 to the power of the field plus one. No access bits: none.
    let size = (GUARD.ilog2() - 1) << 1;
    MPU_RASR.write(RASR_NEVER_EXECUTE | size | RASR_ENABLE);
    MPU_CTRL.write(CTRL_BACKGROUND | CTRL_ENABLE);
    cortex_m::asm::dsb();
    cortex_m::asm::isb();
}

/// Scans the stack, above the guard.
pub fn usage() -> Usage {
    const RAM: u32 = 0x2000_0000;
    let top = &raw const _stack_start as u32;
    let end = &raw const _stack_end as u32;
    let mut lowest = guard() + GUARD;
    // SAFETY: between guard and top is RAM that belongs to the stack alone; it is read as words,
    // volatile, since what is below the stack pointer is nobody's object.
    while lowest < top && unsafe { (lowest as *const u32).read_volatile() } == PATTERN {
        lowest += 4;
    }
    Usage {
        statics: end - RAM,
        stack: top - lowest,
        free: lowest - end,
    }
}
