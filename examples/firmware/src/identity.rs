//! The key in flash: who this device is, and whom it trusts.
//!
//! It lies in a section of its own at a fixed address (the last KiB of the 256), so that a factory
//! writes each device's own over one and the same program:
//! `arm-none-eabi-objcopy --update-section .identity=key.bin firmware.elf`.

use core::ptr;

/// What is written into flash: 64 bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Identity {
    /// The seed of the Ed25519 key pair. Secret.
    pub seed: [u8; 32],
    /// SHA-256 of the public key (SubjectPublicKeyInfo) of the server to trust. All zero where
    /// none is pinned.
    pub server: [u8; 32],
}

// Everybody has this key: it is for demonstrations, and no device is to be shipped with it.
#[used]
#[unsafe(link_section = ".identity")]
static IDENTITY: Identity = Identity {
    seed: *b"AIRE DEMO KEY: NEVER SHIP THIS!!",
    server: [0; 32],
};

/// Reads the identity from flash.
pub fn identity() -> Identity {
    // SAFETY: the pointer is to a static. Volatile, since what it holds may have been written after
    // the compiler saw it.
    unsafe { ptr::read_volatile(&raw const IDENTITY) }
}
