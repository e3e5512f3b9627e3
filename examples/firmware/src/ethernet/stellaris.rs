//! The Ethernet controller of the LM3S6965: 2 KiB of FIFO each way, which a program reads and
//! writes word by word.
//!
//! In the FIFO a frame has two bytes of length in front. On receiving, they count themselves, the
//! frame and its checksum; on sending, the frame's payload alone, without its header of 14 bytes.

use super::{Controller, FRAME};
use crate::mmio::Register;

/// Interrupts: which have come (read), and which to forget (write).
const RIS: Register = Register::at(0x4004_8000);
const IM: Register = Register::at(0x4004_8004);
const RCTL: Register = Register::at(0x4004_8008);
const TCTL: Register = Register::at(0x4004_800C);
const DATA: Register = Register::at(0x4004_8010);
const IA0: Register = Register::at(0x4004_8014);
const IA1: Register = Register::at(0x4004_8018);
const THR: Register = Register::at(0x4004_801C);
const NP: Register = Register::at(0x4004_8034);
const TR: Register = Register::at(0x4004_8038);

const INT_RECEIVED: u32 = 1;
const INT_SENT: u32 = 1 << 2;
const INT_ALL: u32 = 0x7F;
const RCTL_ENABLE: u32 = 1;
const RCTL_DROP_BAD: u32 = 1 << 3;
const RCTL_RESET: u32 = 1 << 4;
const TCTL_ENABLE: u32 = 1;
const TCTL_PAD: u32 = 1 << 1;
const TCTL_CHECKSUM: u32 = 1 << 2;
const TCTL_DUPLEX: u32 = 1 << 4;
/// Sending starts when the program says so, never by how full the FIFO is.
const THR_WHOLE_FRAME: u32 = 0x3F;
const TR_SENDING: u32 = 1;

const LENGTH: usize = 2;
const HEADER: usize = 14;
const CHECKSUM: usize = 4;

pub(crate) struct Mac {
    address: [u8; 6],
}

impl Controller for Mac {
    fn start() -> Self {
        IM.write(0);
        RCTL.write(RCTL_RESET);
        RIS.write(INT_ALL);
        let [a, b, c, d] = IA0.read().to_le_bytes();
        let [e, f, ..] = IA1.read().to_le_bytes();
        THR.write(THR_WHOLE_FRAME);
        TCTL.write(TCTL_ENABLE | TCTL_PAD | TCTL_CHECKSUM | TCTL_DUPLEX);
        RCTL.write(RCTL_ENABLE | RCTL_DROP_BAD);
        Self {
            address: [a, b, c, d, e, f],
        }
    }

    fn address(&self) -> [u8; 6] {
        self.address
    }

    fn receive(&mut self, frame: &mut [u8; FRAME]) -> Option<usize> {
        RIS.write(INT_RECEIVED);
        while NP.read() != 0 {
            let [low, high, first, second] = DATA.read().to_le_bytes();
            let total = usize::from(u16::from_le_bytes([low, high]));
            let words = total.div_ceil(4).saturating_sub(1);
            match total.checked_sub(LENGTH + CHECKSUM) {
                Some(length) if (HEADER..=FRAME).contains(&length) => {
                    frame[..2].copy_from_slice(&[first, second]);
                    let mut chunks = frame[2..length].chunks_mut(4);
                    for _ in 0..words {
                        let word = DATA.read().to_le_bytes();
                        // The checksum and the padding after it go nowhere.
                        if let Some(chunk) = chunks.next() {
                            chunk.copy_from_slice(&word[..chunk.len()]);
                        }
                    }
                    return Some(length);
                }
                _ => (0..words).for_each(|_| _ = DATA.read()),
            }
        }
        None
    }

    fn can_send(&self) -> bool {
        TR.read() & TR_SENDING == 0
    }

    fn send(&mut self, frame: &[u8]) {
        let Some((first, rest)) = frame.split_first_chunk::<2>() else {
            return;
        };
        let payload = frame.len().saturating_sub(HEADER) as u16;
        let [low, high] = payload.to_le_bytes();
        DATA.write(u32::from_le_bytes([low, high, first[0], first[1]]));
        for chunk in rest.chunks(4) {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            DATA.write(u32::from_le_bytes(word));
        }
        RIS.write(INT_SENT);
        TR.write(TR_SENDING);
    }

    fn signal_receive(&mut self) {
        IM.set(INT_RECEIVED);
    }

    fn signal_send(&mut self) {
        IM.set(INT_SENT);
    }

    fn silence() {
        IM.write(0);
    }
}
