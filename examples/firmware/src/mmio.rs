//! A hardware register: the only way in this program to touch a peripheral.

/// A 32-bit register at a fixed address.
#[derive(Clone, Copy)]
pub(crate) struct Register(u32);

impl Register {
    /// The register at `address`. Evaluated while compiling, where a wrong address fails the build.
    pub(crate) const fn at(address: u32) -> Self {
        let peripheral = address >= 0x4000_0000 && address < 0x6000_0000;
        let core = address >= 0xE000_0000 && address < 0xE010_0000;
        assert!(
            peripheral || core,
            "the architecture has no peripherals there"
        );
        assert!(address.is_multiple_of(4), "registers are words");
        Self(address)
    }

    pub(crate) fn read(self) -> u32 {
        // SAFETY: `at` takes only aligned addresses of the peripheral space, where no Rust object
        // lives and where the hardware answers every word that this program names.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    pub(crate) fn write(self, value: u32) {
        // SAFETY: as for `read`. No register that this program names starts a transfer by itself
        // into memory: there is no DMA.
        unsafe { (self.0 as *mut u32).write_volatile(value) }
    }

    /// Sets the bits of `mask` and leaves the others.
    pub(crate) fn set(self, mask: u32) {
        self.write(self.read() | mask);
    }
}
