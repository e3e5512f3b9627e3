//! One small record in two sectors of NOR flash, which a power cut at any moment leaves either as it
//! was or as it became: where a device keeps the [ticket](crate::Operation::ticket) of its
//! operation.
//!
//! Records are appended behind each other, so that a sector is erased once for many. The newest one
//! counts. Where there is no blank room behind it, the other sector is erased, and goes on: the
//! newest record is never in the sector that is erased. What is torn fails its checksum, and nothing
//! behind it is looked at.
//!
//! A record is a header and then the bytes, in whole chunks of 64, the rest of the last one left
//! blank. The header, in little endian: the generation (4 bytes), the length (2), a mark (2), and
//! the CRC-32 of these and the bytes (4).

use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc, Digest, NoTable};
use embedded_storage::nor_flash::NorFlash;

/// What is read and written at once: a multiple of what every known flash wants.
const CHUNK: usize = 64;
const HEADER: usize = 12;
/// What erased flash reads as.
const BLANK: u8 = 0xff;
/// What a header of this layout has at its end.
const MARK: u16 = 0xa1e1;

const SUM: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// Why the store did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StoreError<E> {
    /// The flash says so.
    Flash(E),
    /// The record is longer than a sector, or than 65,535 bytes.
    TooLong,
    /// The buffer is shorter than the record.
    BufferTooSmall,
}

impl<E> From<E> for StoreError<E> {
    fn from(error: E) -> Self {
        Self::Flash(error)
    }
}

impl<E: fmt::Debug> fmt::Display for StoreError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "the flash failed: {error:?}"),
            Self::TooLong => f.write_str("the record is longer than a sector"),
            Self::BufferTooSmall => f.write_str("the buffer is shorter than the record"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for StoreError<E> {}

/// A store over two sectors of `F`. See the [crate's page](crate) for what belongs in it.
pub struct TicketStore<F> {
    flash: F,
    offset: u32,
}

impl<F> fmt::Debug for TicketStore<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketStore")
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// The newest record.
#[derive(Clone, Copy)]
struct Newest {
    /// In which sector it is, 0 or 1.
    sector: u32,
    /// Where in that sector it begins, and where the records there end.
    at: u32,
    end: u32,
    generation: u32,
    len: u16,
}

impl<F: NorFlash> TicketStore<F> {
    /// The store in the two sectors, of [`NorFlash::ERASE_SIZE`] bytes each, that begin at
    /// `offset`. What else is there is no record, and is erased in time.
    pub const fn new(flash: F, offset: u32) -> Self {
        const {
            assert!(
                CHUNK.is_multiple_of(F::WRITE_SIZE),
                "the flash writes larger units than 64 bytes"
            );
            assert!(
                CHUNK.is_multiple_of(F::READ_SIZE),
                "the flash reads larger units than 64 bytes"
            );
            assert!(F::ERASE_SIZE >= 2 * CHUNK, "the sectors are too small");
            assert!(
                F::ERASE_SIZE <= u32::MAX as usize / 4,
                "the sectors are too large"
            );
        }
        Self { flash, offset }
    }

    /// Gives the flash back.
    pub fn release(self) -> F {
        self.flash
    }

    /// Reads the record to the front of `buffer`. `None` when there is none.
    ///
    /// # Errors
    /// [`StoreError::BufferTooSmall`], [`StoreError::Flash`].
    pub fn load<'b>(
        &mut self,
        buffer: &'b mut [u8],
    ) -> Result<Option<&'b [u8]>, StoreError<F::Error>> {
        let Some(newest) = self.newest()?.filter(|newest| newest.len > 0) else {
            return Ok(None);
        };
        let record = buffer
            .get_mut(..usize::from(newest.len))
            .ok_or(StoreError::BufferTooSmall)?;
        let mut rest = &mut *record;
        let mut at = newest.at;
        let mut skip = HEADER;
        while !rest.is_empty() {
            let chunk = self.chunk(newest.sector, at)?;
            let bytes = chunk.get(skip..).unwrap_or_default();
            let len = bytes.len().min(rest.len());
            let (front, behind) = rest.split_at_mut(len);
            front.copy_from_slice(bytes.get(..len).unwrap_or_default());
            rest = behind;
            at = at.saturating_add(CHUNK as u32);
            skip = 0;
        }
        Ok(Some(record))
    }

    /// Writes `record` down in place of the one before.
    ///
    /// # Errors
    /// [`StoreError::TooLong`], [`StoreError::Flash`]; the record before is still there then.
    pub fn save(&mut self, record: &[u8]) -> Result<(), StoreError<F::Error>> {
        let len = u16::try_from(record.len()).map_err(|_| StoreError::TooLong)?;
        let size = size(len);
        if size > Self::SECTOR {
            return Err(StoreError::TooLong);
        }
        let newest = self.newest()?;
        let generation = newest.map_or(1, |newest| newest.generation.saturating_add(1));
        let (sector, at) = match newest {
            Some(newest) if self.is_blank(newest.sector, newest.end, size)? => {
                (newest.sector, newest.end)
            }
            newest => {
                let sector = newest.map_or(0, |newest| newest.sector ^ 1);
                let from = self.address(sector, 0);
                self.flash.erase(from, from.saturating_add(Self::SECTOR))?;
                (sector, 0)
            }
        };
        self.write(sector, at, generation, len, record)
    }

    /// Forgets the record.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn clear(&mut self) -> Result<(), StoreError<F::Error>> {
        match self.newest()? {
            Some(newest) if newest.len > 0 => self.save(&[]),
            _ => Ok(()),
        }
    }

    const SECTOR: u32 = F::ERASE_SIZE as u32;

    fn address(&self, sector: u32, at: u32) -> u32 {
        let sector = sector.saturating_mul(Self::SECTOR);
        self.offset.saturating_add(sector).saturating_add(at)
    }

    fn chunk(&mut self, sector: u32, at: u32) -> Result<[u8; CHUNK], F::Error> {
        let mut chunk = [0; CHUNK];
        let address = self.address(sector, at);
        self.flash.read(address, &mut chunk)?;
        Ok(chunk)
    }

    fn write(
        &mut self,
        sector: u32,
        mut at: u32,
        generation: u32,
        len: u16,
        record: &[u8],
    ) -> Result<(), StoreError<F::Error>> {
        let mut header = Header {
            generation,
            len,
            sum: 0,
        };
        let mut sum = header.digest();
        sum.update(record);
        header.sum = sum.finalize();
        let header = header.encode();
        let (mut front, mut record): (&[u8], &[u8]) = (&header, record);
        while !front.is_empty() || !record.is_empty() {
            let mut chunk = [BLANK; CHUNK];
            let mut room: &mut [u8] = &mut chunk;
            for source in [&mut front, &mut record] {
                let count = source.len().min(room.len());
                let (taken, rest) = source.split_at(count);
                let (place, behind) = core::mem::take(&mut room).split_at_mut(count);
                place.copy_from_slice(taken);
                *source = rest;
                room = behind;
            }
            let address = self.address(sector, at);
            self.flash.write(address, &chunk)?;
            at = at.saturating_add(CHUNK as u32);
        }
        Ok(())
    }

    /// Whether `size` bytes of `sector` at `at` can be written to.
    fn is_blank(&mut self, sector: u32, mut at: u32, size: u32) -> Result<bool, F::Error> {
        let end = at.saturating_add(size);
        if end > Self::SECTOR {
            return Ok(false);
        }
        while at < end {
            if self.chunk(sector, at)? != [BLANK; CHUNK] {
                return Ok(false);
            }
            at = at.saturating_add(CHUNK as u32);
        }
        Ok(true)
    }

    fn newest(&mut self) -> Result<Option<Newest>, F::Error> {
        let mut newest: Option<Newest> = None;
        for sector in 0..2 {
            let mut at = 0;
            let mut last = None;
            while let Some(header) = self.header(sector, at)? {
                last = Some((header, at));
                at = at.saturating_add(size(header.len));
            }
            if let Some((header, begin)) = last
                && newest.is_none_or(|newest| newest.generation < header.generation)
            {
                newest = Some(Newest {
                    sector,
                    at: begin,
                    end: at,
                    generation: header.generation,
                    len: header.len,
                });
            }
        }
        Ok(newest)
    }

    /// The header of the record at `at`, if a whole and good one is there.
    fn header(&mut self, sector: u32, mut at: u32) -> Result<Option<Header>, F::Error> {
        if at.saturating_add(CHUNK as u32) > Self::SECTOR {
            return Ok(None);
        }
        let mut chunk = self.chunk(sector, at)?;
        let Some(header) = Header::decode(&chunk) else {
            return Ok(None);
        };
        if at.saturating_add(size(header.len)) > Self::SECTOR {
            return Ok(None);
        }
        let mut sum = header.digest();
        let mut left = usize::from(header.len);
        let mut skip = HEADER;
        loop {
            let bytes = chunk.get(skip..).unwrap_or_default();
            let bytes = bytes.get(..left.min(bytes.len())).unwrap_or_default();
            sum.update(bytes);
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                return Ok((sum.finalize() == header.sum).then_some(header));
            }
            at = at.saturating_add(CHUNK as u32);
            chunk = self.chunk(sector, at)?;
            skip = 0;
        }
    }
}

/// How many bytes of flash a record of `len` bytes takes.
const fn size(len: u16) -> u32 {
    (len as u32)
        .saturating_add(HEADER as u32)
        .div_ceil(CHUNK as u32)
        .saturating_mul(CHUNK as u32)
}

#[derive(Clone, Copy)]
struct Header {
    generation: u32,
    len: u16,
    sum: u32,
}

impl Header {
    fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let (generation, rest) = out.split_at_mut(4);
        let (len, rest) = rest.split_at_mut(2);
        let (mark, sum) = rest.split_at_mut(2);
        generation.copy_from_slice(&self.generation.to_le_bytes());
        len.copy_from_slice(&self.len.to_le_bytes());
        mark.copy_from_slice(&MARK.to_le_bytes());
        sum.copy_from_slice(&self.sum.to_le_bytes());
        out
    }

    fn decode(chunk: &[u8; CHUNK]) -> Option<Self> {
        let (generation, rest) = chunk.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (mark, rest) = rest.split_first_chunk()?;
        let (sum, _) = rest.split_first_chunk()?;
        (u16::from_le_bytes(*mark) == MARK).then_some(Self {
            generation: u32::from_le_bytes(*generation),
            len: u16::from_le_bytes(*len),
            sum: u32::from_le_bytes(*sum),
        })
    }

    /// The checksum of what stands before it in the header.
    fn digest(&self) -> Digest<'static, u32, NoTable> {
        static SUMMER: Crc<u32, NoTable> = SUM;
        let mut digest = SUMMER.digest();
        digest.update(&self.generation.to_le_bytes());
        digest.update(&self.len.to_le_bytes());
        digest.update(&MARK.to_le_bytes());
        digest
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use embedded_storage::nor_flash::{ErrorType, NorFlashErrorKind, ReadNorFlash};

    use super::*;

    const SECTOR: usize = 512;
    const OFFSET: u32 = 1024;

    /// Flash as it is: bits only fall, until a sector is erased. The power goes once `power` units
    /// of work are done, in the middle of what is being done.
    #[derive(Clone)]
    struct Flash {
        bytes: Vec<u8>,
        power: usize,
        erased: usize,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct PowerCut;

    impl embedded_storage::nor_flash::NorFlashError for PowerCut {
        fn kind(&self) -> NorFlashErrorKind {
            NorFlashErrorKind::Other
        }
    }

    impl Flash {
        fn new() -> Self {
            // What was there before is no record.
            Self {
                bytes: vec![0x5a; 4096],
                power: usize::MAX,
                erased: 0,
            }
        }

        fn work(&mut self) -> Result<(), PowerCut> {
            self.power = self.power.checked_sub(1).ok_or(PowerCut)?;
            Ok(())
        }
    }

    impl ErrorType for Flash {
        type Error = PowerCut;
    }

    impl ReadNorFlash for Flash {
        const READ_SIZE: usize = 4;

        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), PowerCut> {
            let offset = offset as usize;
            assert!(offset.is_multiple_of(4) && bytes.len().is_multiple_of(4));
            bytes.copy_from_slice(&self.bytes[offset..offset + bytes.len()]);
            Ok(())
        }

        fn capacity(&self) -> usize {
            self.bytes.len()
        }
    }

    impl NorFlash for Flash {
        const WRITE_SIZE: usize = 8;
        const ERASE_SIZE: usize = SECTOR;

        fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerCut> {
            assert!(from >= OFFSET && to <= OFFSET + 2 * SECTOR as u32);
            assert!(from.is_multiple_of(SECTOR as u32) && to == from + SECTOR as u32);
            self.erased += 1;
            for byte in from..to {
                if byte.is_multiple_of(64) {
                    self.work()?;
                }
                self.bytes[byte as usize] = 0xff;
            }
            Ok(())
        }

        fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), PowerCut> {
            let offset = offset as usize;
            assert!(offset.is_multiple_of(8) && bytes.len().is_multiple_of(8));
            for (place, byte) in bytes.iter().enumerate() {
                if place.is_multiple_of(8) {
                    self.work()?;
                }
                let cell = &mut self.bytes[offset + place];
                assert_eq!(*cell & byte, *byte, "a bit cannot rise without an erasure");
                *cell &= byte;
            }
            Ok(())
        }
    }

    fn store(flash: Flash) -> TicketStore<Flash> {
        TicketStore::new(flash, OFFSET)
    }

    fn loaded(store: &mut TicketStore<Flash>) -> Option<Vec<u8>> {
        let mut buffer = [0; SECTOR];
        store.load(&mut buffer).unwrap().map(<[u8]>::to_vec)
    }

    /// Records of all lengths, each unlike the others.
    fn record(nth: usize) -> Vec<u8> {
        (0..1 + nth * 37 % 300)
            .map(|at| (nth * 7 + at) as u8)
            .collect()
    }

    #[test]
    fn strange_flash_holds_no_record() {
        assert_eq!(loaded(&mut store(Flash::new())), None);
    }

    #[test]
    fn the_latest_record_is_the_one_that_is_loaded_also_by_another_store() {
        let mut one = store(Flash::new());
        for nth in 0..200 {
            one.save(&record(nth)).unwrap();
            assert_eq!(loaded(&mut one), Some(record(nth)));
            one = store(one.release());
            assert_eq!(loaded(&mut one), Some(record(nth)), "{nth}");
        }
        let erased = one.release().erased;
        assert!(erased < 120, "{erased} erasures for 200 records");
    }

    #[test]
    fn a_power_cut_at_any_moment_leaves_the_record_before_or_the_new_one() {
        for before in 0..12 {
            let mut one = store(Flash::new());
            for nth in 0..before {
                one.save(&record(nth)).unwrap();
            }
            let old = before.checked_sub(1).map(record);
            let flash = one.release();
            for power in 0.. {
                let mut cut = store(Flash {
                    power,
                    ..flash.clone()
                });
                let done = cut.save(&record(before));
                let mut after = store(Flash {
                    power: usize::MAX,
                    ..cut.release()
                });
                let found = loaded(&mut after);
                if done.is_ok() {
                    assert_eq!(found, Some(record(before)));
                    break;
                }
                assert!(
                    found == old || found == Some(record(before)),
                    "{before} records, power for {power}"
                );
                // And it goes on from there.
                after.save(b"next").unwrap();
                assert_eq!(loaded(&mut after).as_deref(), Some(&b"next"[..]));
            }
        }
    }

    #[test]
    fn one_flipped_bit_brings_the_record_before_back() {
        let mut one = store(Flash::new());
        one.save(b"the first").unwrap();
        one.save(b"the second").unwrap();
        let flash = one.release();
        let second = OFFSET as usize + CHUNK;
        for bit in 0..(HEADER + 10) * 8 {
            let mut bad = flash.clone();
            bad.bytes[second + bit / 8] ^= 1 << (bit % 8);
            let mut bad = store(bad);
            assert_eq!(
                loaded(&mut bad).as_deref(),
                Some(&b"the first"[..]),
                "bit {bit}"
            );
            bad.save(b"the third").unwrap();
            assert_eq!(loaded(&mut bad).as_deref(), Some(&b"the third"[..]));
        }
    }

    #[test]
    fn a_cleared_store_has_no_record_and_costs_nothing_to_clear_again() {
        let mut one = store(Flash::new());
        one.clear().unwrap();
        one.save(b"ticket").unwrap();
        one.clear().unwrap();
        assert_eq!(loaded(&mut one), None);
        let mut one = store(Flash {
            power: 0,
            ..one.release()
        });
        one.clear().unwrap();
        assert_eq!(loaded(&mut one), None);
    }

    #[test]
    fn a_record_as_long_as_a_sector_fits_and_no_longer_one() {
        let mut one = store(Flash::new());
        let longest = vec![7; SECTOR - HEADER];
        for _ in 0..5 {
            one.save(&longest).unwrap();
            assert_eq!(loaded(&mut one).as_deref(), Some(&longest[..]));
        }
        assert_eq!(
            one.save(&[7; SECTOR - HEADER + 1]),
            Err(StoreError::TooLong)
        );
        assert_eq!(one.save(&vec![7; 70_000]), Err(StoreError::TooLong));
        assert_eq!(loaded(&mut one).as_deref(), Some(&longest[..]));
        let mut small = [0; 10];
        assert_eq!(one.load(&mut small), Err(StoreError::BufferTooSmall));
    }
}
