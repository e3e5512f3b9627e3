//! SMSC LAN9118, the Ethernet controller of the MPS2 board: FIFOs for data and, beside them, for
//! the status of each frame.

use super::{Controller, FRAME};
use crate::mmio::Register;

const RX_DATA: Register = Register::at(0x4020_0000);
const TX_DATA: Register = Register::at(0x4020_0020);
const RX_STATUS: Register = Register::at(0x4020_0040);
const IRQ_CFG: Register = Register::at(0x4020_0054);
const INT_STS: Register = Register::at(0x4020_0058);
const INT_EN: Register = Register::at(0x4020_005C);
const BYTE_TEST: Register = Register::at(0x4020_0064);
const FIFO_INT: Register = Register::at(0x4020_0068);
const TX_CFG: Register = Register::at(0x4020_0070);
const HW_CFG: Register = Register::at(0x4020_0074);
const RX_FIFO_INF: Register = Register::at(0x4020_007C);
const TX_FIFO_INF: Register = Register::at(0x4020_0080);
const MAC_CSR_CMD: Register = Register::at(0x4020_00A4);
const MAC_CSR_DATA: Register = Register::at(0x4020_00A8);

const IRQ_ACTIVE_HIGH: u32 = 1 << 4;
const IRQ_PUSH_PULL: u32 = 1;
const IRQ_ENABLE: u32 = 1 << 8;
const INT_RECEIVED: u32 = 1 << 3;
const INT_ROOM: u32 = 1 << 9;
const BYTE_TEST_READY: u32 = 0x8765_4321;
const TX_CFG_ON: u32 = 1 << 1;
/// Sending goes on when nobody has read the status of what was sent. Nobody does.
const TX_CFG_STATUS_OVERRUN: u32 = 1 << 2;
const HW_RESET: u32 = 1;
const HW_TX_FIFO_5_KIB: u32 = 5 << 16;
/// The data sheet has it set always.
const HW_MUST_BE_ONE: u32 = 1 << 20;
const RX_ERROR: u32 = 1 << 15;
const TX_FIRST_AND_LAST: u32 = 1 << 13 | 1 << 12;

// Registers of the MAC behind MAC_CSR_CMD.
const MAC_CR: u32 = 1;
const MAC_ADDRESS_HIGH: u32 = 2;
const MAC_ADDRESS_LOW: u32 = 3;
const MAC_BUSY: u32 = 1 << 31;
const MAC_READ: u32 = 1 << 30;
const MAC_RECEIVE: u32 = 1 << 2;
const MAC_SEND: u32 = 1 << 3;
const MAC_DUPLEX: u32 = 1 << 20;

const HEADER: usize = 14;
const CHECKSUM: usize = 4;
/// What a frame takes of the FIFO for sending: two words of command in front.
const ROOM: u32 = FRAME as u32 + 8 + 4;

pub(crate) struct Mac {
    address: [u8; 6],
}

impl Mac {
    fn command(command: u32) {
        MAC_CSR_CMD.write(MAC_BUSY | command);
        while MAC_CSR_CMD.read() & MAC_BUSY != 0 {}
    }

    fn read(register: u32) -> u32 {
        Self::command(MAC_READ | register);
        MAC_CSR_DATA.read()
    }

    fn write(register: u32, value: u32) {
        MAC_CSR_DATA.write(value);
        Self::command(register);
    }
}

impl Controller for Mac {
    fn start() -> Self {
        while BYTE_TEST.read() != BYTE_TEST_READY {}
        HW_CFG.write(HW_RESET);
        while HW_CFG.read() & HW_RESET != 0 {}
        HW_CFG.write(HW_MUST_BE_ONE | HW_TX_FIFO_5_KIB);
        INT_EN.write(0);
        INT_STS.write(u32::MAX);
        // Room is signalled above so many blocks of 64 bytes; a frame, above none.
        FIFO_INT.write(ROOM.div_ceil(64) << 24);
        IRQ_CFG.write(IRQ_ENABLE | IRQ_ACTIVE_HIGH | IRQ_PUSH_PULL);
        let [a, b, c, d] = Self::read(MAC_ADDRESS_LOW).to_le_bytes();
        let [e, f, ..] = Self::read(MAC_ADDRESS_HIGH).to_le_bytes();
        TX_CFG.write(TX_CFG_ON | TX_CFG_STATUS_OVERRUN);
        Self::write(MAC_CR, MAC_RECEIVE | MAC_SEND | MAC_DUPLEX);
        Self {
            address: [a, b, c, d, e, f],
        }
    }

    fn address(&self) -> [u8; 6] {
        self.address
    }

    fn receive(&mut self, frame: &mut [u8; FRAME]) -> Option<usize> {
        INT_STS.write(INT_RECEIVED);
        while RX_FIFO_INF.read() >> 16 & 0xFF != 0 {
            let status = RX_STATUS.read();
            let total = (status >> 16 & 0x3FFF) as usize;
            let words = total.div_ceil(4);
            match total.checked_sub(CHECKSUM) {
                Some(length) if status & RX_ERROR == 0 && (HEADER..=FRAME).contains(&length) => {
                    let mut chunks = frame[..length].chunks_mut(4);
                    for _ in 0..words {
                        let word = RX_DATA.read().to_le_bytes();
                        // The checksum and the padding after it go nowhere.
                        if let Some(chunk) = chunks.next() {
                            chunk.copy_from_slice(&word[..chunk.len()]);
                        }
                    }
                    return Some(length);
                }
                _ => (0..words).for_each(|_| _ = RX_DATA.read()),
            }
        }
        None
    }

    fn can_send(&self) -> bool {
        TX_FIFO_INF.read() & 0xFFFF >= ROOM
    }

    fn send(&mut self, frame: &[u8]) {
        let length = frame.len() as u32;
        TX_DATA.write(TX_FIRST_AND_LAST | length);
        TX_DATA.write(length);
        for chunk in frame.chunks(4) {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            TX_DATA.write(u32::from_le_bytes(word));
        }
    }

    fn signal_receive(&mut self) {
        INT_EN.set(INT_RECEIVED);
    }

    fn signal_send(&mut self) {
        INT_STS.write(INT_ROOM);
        INT_EN.set(INT_ROOM);
    }

    fn silence() {
        INT_EN.write(0);
    }
}
