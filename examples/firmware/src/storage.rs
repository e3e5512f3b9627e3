//! Storage that outlives a connection: two sectors of 1 KiB behind `embedded-storage`'s traits.
//!
//! It is RAM that behaves like NOR flash: QEMU's boards do not let a program write their flash. So
//! it outlives a connection and not a power cut. A real board puts its flash controller here and
//! changes nothing else.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read,
    check_write,
};
use static_cell::ConstStaticCell;

/// Bytes that are erased at once.
pub const SECTOR: usize = 1024;
/// Bytes in all.
pub const CAPACITY: usize = 2 * SECTOR;

/// The storage.
pub struct Storage(&'static mut [u8; CAPACITY]);

impl Storage {
    /// Takes the storage, erased.
    ///
    /// # Panics
    ///
    /// When called twice: it has one owner.
    pub fn take() -> Self {
        // Zero, and erased here: an initial value of ones would take as much flash.
        static MEMORY: ConstStaticCell<[u8; CAPACITY]> = ConstStaticCell::new([0; CAPACITY]);
        let memory = MEMORY.take();
        memory.fill(0xFF);
        Self(memory)
    }
}

/// An access that the storage refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(NorFlashErrorKind);

impl NorFlashError for Refused {
    fn kind(&self) -> NorFlashErrorKind {
        self.0
    }
}

impl ErrorType for Storage {
    type Error = Refused;
}

impl ReadNorFlash for Storage {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Refused> {
        check_read(self, offset, bytes.len()).map_err(Refused)?;
        let from = offset as usize;
        bytes.copy_from_slice(&self.0[from..from + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        CAPACITY
    }
}

impl NorFlash for Storage {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Refused> {
        check_erase(self, from, to).map_err(Refused)?;
        self.0[from as usize..to as usize].fill(0xFF);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Refused> {
        check_write(self, offset, bytes.len()).map_err(Refused)?;
        let from = offset as usize;
        // Flash clears bits, and sets none without an erase.
        for (kept, new) in self.0[from..from + bytes.len()].iter_mut().zip(bytes) {
            *kept &= new;
        }
        Ok(())
    }
}
