//! How much RAM a run took: what is static, and how deep the stack ever was.
//!
//! cortex-m-rt paints the stack with a pattern before `main` (its feature `paint-stack`); what no
//! longer shows it has been used.

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
    /// What neither took.
    pub free: u32,
}

/// Scans the stack.
pub fn usage() -> Usage {
    const RAM: u32 = 0x2000_0000;
    let top = &raw const _stack_start as u32;
    let end = &raw const _stack_end as u32;
    let mut lowest = end;
    // SAFETY: between the two symbols is RAM that belongs to the stack alone; it is read as words,
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
