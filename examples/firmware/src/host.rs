//! The host at the other end of semihosting: an emulator or a debug probe. It gives the command
//! line, prints text and ends the run.

use core::str;

use cortex_m_semihosting::{debug, nr, syscall1};

/// Prints one line of texts and numbers: `say!("sent ", 12, " of ", total)`.
///
/// The formatting machinery of `core` is kilobytes that this program does not have to spend.
#[macro_export]
macro_rules! say {
    ($($part:expr),* $(,)?) => {{
        let mut line = $crate::host::Line::new();
        $($crate::host::Say::say(&$part, &mut line);)*
        line.end();
    }};
}

/// What `say!` can print.
pub trait Say {
    /// Appends `self` to `line`.
    fn say(&self, line: &mut Line);
}

impl Say for &str {
    fn say(&self, line: &mut Line) {
        self.bytes().for_each(|byte| line.push(byte));
    }
}

impl Say for u32 {
    fn say(&self, line: &mut Line) {
        let mut digits = [0; 10];
        let mut rest = *self;
        let mut used = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            used += 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        digits
            .iter()
            .skip(digits.len() - used)
            .for_each(|digit| line.push(*digit));
    }
}

impl Say for u16 {
    fn say(&self, line: &mut Line) {
        u32::from(*self).say(line);
    }
}

impl Say for usize {
    fn say(&self, line: &mut Line) {
        // A word is 32 bits here.
        (*self as u32).say(line);
    }
}

/// Bytes in hexadecimal.
pub struct Hex<'a>(pub &'a [u8]);

impl Say for Hex<'_> {
    fn say(&self, line: &mut Line) {
        let digit = |nibble: u8| {
            if nibble < 10 {
                b'0' + nibble
            } else {
                b'a' + nibble - 10
            }
        };
        for byte in self.0 {
            line.push(digit(byte >> 4));
            line.push(digit(byte & 15));
        }
    }
}

/// Text on its way to the host. Each call to the host stops the processor, so they are few: one
/// for a line that fits the buffer.
pub struct Line {
    // The last byte stays zero: the host reads up to it.
    bytes: [u8; Line::LENGTH + 1],
    used: usize,
}

impl Line {
    const LENGTH: usize = 95;

    #[doc(hidden)]
    #[allow(clippy::new_without_default, reason = "made by `say!` alone")]
    pub fn new() -> Self {
        Self {
            bytes: [0; Self::LENGTH + 1],
            used: 0,
        }
    }

    fn push(&mut self, byte: u8) {
        if self.used == Self::LENGTH {
            self.flush();
        }
        self.bytes[self.used] = byte;
        self.used += 1;
    }

    #[doc(hidden)]
    pub fn end(mut self) {
        self.push(b'\n');
        self.flush();
    }

    fn flush(&mut self) {
        self.bytes[self.used] = 0;
        // SAFETY: SYS_WRITE0 reads from the pointer up to the zero byte, which is there.
        unsafe { syscall1(nr::WRITE0, self.bytes.as_ptr() as usize) };
        self.used = 0;
    }
}

/// Ends the run, and the emulator with it.
pub fn exit(success: bool) -> ! {
    debug::exit(if success {
        debug::EXIT_SUCCESS
    } else {
        debug::EXIT_FAILURE
    });
    loop {
        cortex_m::asm::wfi();
    }
}

/// The command line of the run: words `key=value`, such as `seed=00..ff peer=10.0.2.2:4433`.
pub struct Arguments {
    bytes: [u8; Arguments::CAPACITY],
    used: usize,
}

impl Arguments {
    const CAPACITY: usize = 256;

    /// Asks the host. Empty where there is none, or where the line is longer than 255 bytes.
    pub fn read() -> Self {
        let mut bytes = [0; Self::CAPACITY];
        let mut block = [bytes.as_mut_ptr() as usize, bytes.len()];
        // SAFETY: SYS_GET_CMDLINE takes a buffer and its size, and writes no more than that.
        let status = unsafe { syscall1(nr::GET_CMDLINE, block.as_mut_ptr() as usize) };
        let used = if status == 0 {
            bytes.iter().position(|byte| *byte == 0).unwrap_or(0)
        } else {
            0
        };
        Self { bytes, used }
    }

    /// The value of the first word `key=value`.
    pub fn get(&self, key: &str) -> Option<&str> {
        let line = str::from_utf8(&self.bytes[..self.used]).ok()?;
        line.split(' ')
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }
}
