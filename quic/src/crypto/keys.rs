//! Keys of one direction: payloads are sealed and opened, headers are masked (RFC 9001 §5).
//!
//! Only raw keys are kept. AES's key schedule and GHASH's key would take 384 bytes a direction, and
//! each generation of 1-RTT keys 208 more; to make them anew costs a twentieth of what it takes to
//! encrypt a full packet on a 32-bit core.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::cipher::BlockCipherEncrypt;
#[cfg(feature = "chacha20")]
use chacha20::{ChaChaCore, KeyIvInit, R20, cipher::StreamCipherCore, variants::Ietf};
#[cfg(feature = "chacha20")]
use chacha20poly1305::ChaCha20Poly1305;
use zeroize::Zeroize;

use super::aes::{Aes128, Aes128Gcm};
use super::{Secret, hkdf};
use crate::config::Suite;

/// How many bytes a sealed payload is longer than its plaintext.
pub(crate) const TAG_LEN: usize = 16;

/// How many bytes of ciphertext a header's mask is made of.
pub(crate) const SAMPLE_LEN: usize = 16;

/// "A salt for version 1" (RFC 9001 §5.2), with zeros behind it up to a key's length.
const INITIAL_SALT: [u8; 32] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad,
    0xcc, 0xbb, 0x7f, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
const RETRY_KEY: [u8; 16] = [
    0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e,
];
const RETRY_NONCE: [u8; 12] = [
    0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb,
];

/// A key as long as the suite wants it, in the front.
type Key = [u8; 32];

fn derive_key(suite: Suite, secret: &Secret, label: &[u8]) -> Key {
    let mut key = [0; 32];
    match suite {
        Suite::Aes128Gcm => {
            if let Some(front) = key.first_chunk_mut::<16>() {
                hkdf::fill(secret, label, &[], front);
            }
        }
        #[cfg(feature = "chacha20")]
        Suite::ChaCha20Poly1305 => hkdf::fill(secret, label, &[], &mut key),
    }
    key
}

/// AES-128's half of a key.
fn half(key: &Key) -> [u8; 16] {
    key.first_chunk().copied().unwrap_or_default()
}

/// What seals and opens payloads.
pub(super) struct PacketKey {
    key: Key,
    iv: [u8; 12],
}

impl PacketKey {
    pub(super) fn new(suite: Suite, secret: &Secret) -> Self {
        let mut iv = [0; 12];
        hkdf::fill(secret, b"quic iv", &[], &mut iv);
        let key = derive_key(suite, secret, b"quic key");
        Self { key, iv }
    }

    fn nonce(&self, number: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        if let Some(tail) = nonce.last_chunk_mut() {
            *tail = (u64::from_be_bytes(*tail) ^ number).to_be_bytes();
        }
        nonce
    }

    /// Seals `body`, whose last [`TAG_LEN`] bytes are free. `None` when it has not even those.
    pub(super) fn seal(
        &self,
        suite: Suite,
        number: u64,
        header: &[u8],
        body: &mut [u8],
    ) -> Option<()> {
        let nonce = self.nonce(number).into();
        let (text, tag) = body.split_last_chunk_mut::<TAG_LEN>()?;
        *tag = match suite {
            Suite::Aes128Gcm => Aes128Gcm::new(&half(&self.key).into())
                .encrypt_inout_detached(&nonce, header, text.into())
                .ok()?
                .into(),
            #[cfg(feature = "chacha20")]
            Suite::ChaCha20Poly1305 => ChaCha20Poly1305::new(&self.key.into())
                .encrypt_inout_detached(&nonce, header, text.into())
                .ok()?
                .into(),
        };
        Some(())
    }

    /// Opens `body`; its plaintext is then in its front, as long as said. `None`, and nothing was
    /// changed, when it is not authentic.
    pub(super) fn open(
        &self,
        suite: Suite,
        number: u64,
        header: &[u8],
        body: &mut [u8],
    ) -> Option<usize> {
        let nonce = self.nonce(number).into();
        let (text, tag) = body.split_last_chunk_mut::<TAG_LEN>()?;
        let tag = (*tag).into();
        let len = text.len();
        match suite {
            Suite::Aes128Gcm => Aes128Gcm::new(&half(&self.key).into())
                .decrypt_inout_detached(&nonce, header, text.into(), &tag)
                .ok()?,
            #[cfg(feature = "chacha20")]
            Suite::ChaCha20Poly1305 => ChaCha20Poly1305::new(&self.key.into())
                .decrypt_inout_detached(&nonce, header, text.into(), &tag)
                .ok()?,
        }
        Some(len)
    }
}

impl Drop for PacketKey {
    fn drop(&mut self) {
        self.key.zeroize();
        self.iv.zeroize();
    }
}

/// What hides headers. It outlives key updates.
pub(super) struct HeaderKey(Key);

impl HeaderKey {
    pub(super) fn new(suite: Suite, secret: &Secret) -> Self {
        Self(derive_key(suite, secret, b"quic hp"))
    }

    /// The mask for a header whose packet has `sample` in its ciphertext (RFC 9001 §5.4.3, §5.4.4).
    pub(super) fn mask(&self, suite: Suite, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        match suite {
            Suite::Aes128Gcm => {
                let mut block = (*sample).into();
                Aes128::new(&half(&self.0).into()).encrypt_block(&mut block);
                block.first_chunk().copied().unwrap_or_default()
            }
            #[cfg(feature = "chacha20")]
            Suite::ChaCha20Poly1305 => {
                let [a, b, c, d, nonce @ ..] = *sample;
                let mut stream = ChaChaCore::<R20, Ietf>::new(&self.0.into(), &nonce.into());
                stream.set_block_pos(u32::from_le_bytes([a, b, c, d]));
                let mut block = [0; 64].into();
                stream.write_keystream_block(&mut block);
                block.first_chunk().copied().unwrap_or_default()
            }
        }
    }
}

impl Drop for HeaderKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// One direction's keys for Initial or Handshake packets. They live for seconds, so that nothing
/// counts what is sealed or fails to open: the limits of RFC 9001 §6.6 are out of reach.
pub(crate) struct Keys {
    suite: Suite,
    packet: PacketKey,
    header: HeaderKey,
}

impl Keys {
    pub(crate) fn new(suite: Suite, secret: &Secret) -> Self {
        Self {
            suite,
            packet: PacketKey::new(suite, secret),
            header: HeaderKey::new(suite, secret),
        }
    }

    /// Seals `body`, whose last [`TAG_LEN`] bytes are free. `None` when it has not even those.
    pub(crate) fn seal(&self, number: u64, header: &[u8], body: &mut [u8]) -> Option<()> {
        self.packet.seal(self.suite, number, header, body)
    }

    /// Opens `body`; its plaintext is then in its front, as long as said. `None`, and nothing was
    /// changed, when it is not authentic.
    pub(crate) fn open(&self, number: u64, header: &[u8], body: &mut [u8]) -> Option<usize> {
        self.packet.open(self.suite, number, header, body)
    }

    pub(crate) fn mask(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        self.header.mask(self.suite, sample)
    }
}

/// A client's keys for Initial or Handshake packets, both ways.
pub(crate) struct Pair {
    pub(crate) write: Keys,
    pub(crate) read: Keys,
}

impl Pair {
    pub(crate) fn new(suite: Suite, client: &Secret, server: &Secret) -> Self {
        Self {
            write: Keys::new(suite, client),
            read: Keys::new(suite, server),
        }
    }

    /// Of Initial packets: anybody can make them, who saw the client's first destination connection
    /// id, or the one that a Retry gave (RFC 9001 §5.2).
    pub(crate) fn initial(destination: &[u8]) -> Self {
        let (client, server) = initial_secrets(destination);
        Self::new(Suite::Aes128Gcm, &client, &server)
    }
}

fn initial_secrets(destination: &[u8]) -> (Secret, Secret) {
    let common = hkdf::extract(&INITIAL_SALT, destination);
    (
        hkdf::derive(&common, b"client in", &[]),
        hkdf::derive(&common, b"server in", &[]),
    )
}

/// Whether `tag` is the Retry integrity tag of `pseudo`, the Retry Pseudo-Packet (RFC 9001 §5.8).
pub(crate) fn is_retry_authentic(pseudo: &[u8], tag: &[u8; TAG_LEN]) -> bool {
    Aes128Gcm::new(&RETRY_KEY.into())
        .decrypt_inout_detached(
            &RETRY_NONCE.into(),
            pseudo,
            (&mut [][..]).into(),
            &(*tag).into(),
        )
        .is_ok()
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;
    use crate::packet::rfc9001::*;

    #[test]
    fn the_keys_of_rfc_9001_appendix_a_1() {
        let (client, server) = initial_secrets(&hex(CLIENT_DESTINATION));
        assert_eq!(
            client.bytes()[..],
            hex("c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea")
        );
        assert_eq!(
            server.bytes()[..],
            hex("3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b")
        );
        let Pair { write, read } = Pair::initial(&hex(CLIENT_DESTINATION));
        for (keys, key, iv, hp) in [
            (
                write,
                "1f369613dd76d5467730efcbe3b1a22d",
                "fa044b2f42a3fd3b46fb255c",
                "9f50449e04a0e810283a1e9933adedd2",
            ),
            (
                read,
                "cf3a5331653c364c88f0f379b6067e37",
                "0ac1493ca1905853b0bba03e",
                "c206b8d9b9f0f37644430b490eeaa314",
            ),
        ] {
            assert_eq!(half(&keys.packet.key)[..], hex(key));
            assert_eq!(keys.packet.iv[..], hex(iv));
            assert_eq!(half(&keys.header.0)[..], hex(hp));
        }
    }

    #[cfg(feature = "chacha20")]
    #[test]
    fn the_keys_of_rfc_9001_appendix_a_5() {
        let secret = Secret::new(hex(SHORT_SECRET).try_into().unwrap());
        let keys = Keys::new(Suite::ChaCha20Poly1305, &secret);
        assert_eq!(
            keys.packet.key[..],
            hex("c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8")
        );
        assert_eq!(keys.packet.iv[..], hex("e0459b3474bdd0e44a41c144"));
        assert_eq!(
            keys.header.0[..],
            hex("25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4")
        );
        assert_eq!(
            keys.packet.nonce(SHORT_NUMBER)[..],
            hex("e0459b3474bdd0e46d417eb0")
        );
        let sample = hex("5e5cd55c41f69080575d7999c25a5bfb");
        assert_eq!(
            keys.mask(sample.first_chunk().unwrap())[..],
            hex("aefefe7d03")
        );
    }

    #[cfg(feature = "chacha20")]
    #[test]
    fn a_mask_is_made_from_the_last_block_of_a_stream_as_well() {
        let keys = Keys::new(Suite::ChaCha20Poly1305, &Secret::ZERO);
        let mut sample = [0xff; SAMPLE_LEN];
        let last = keys.mask(&sample);
        sample[0] = 0;
        assert_ne!(keys.mask(&sample), last);
    }

    #[test]
    fn a_body_without_room_for_a_tag_is_neither_sealed_nor_opened() {
        for suite in Config::SUITES {
            let keys = Keys::new(*suite, &Secret::ZERO);
            for len in 0..TAG_LEN {
                let mut body = [0; TAG_LEN];
                assert_eq!(keys.seal(0, &[], &mut body[..len]), None);
                assert_eq!(keys.open(0, &[], &mut body[..len]), None);
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_but_not_with_a_bit_flipped(
            number in any::<u64>(),
            header in proptest::collection::vec(any::<u8>(), 1..64),
            text in proptest::collection::vec(any::<u8>(), 0..256),
            secret in any::<[u8; 32]>(),
            flipped in any::<proptest::sample::Index>(),
        ) {
            for suite in Config::SUITES {
                let keys = Keys::new(*suite, &Secret::new(secret));
                let mut body = text.clone();
                body.extend([0; TAG_LEN]);
                keys.seal(number, &header, &mut body).unwrap();
                let sealed: Vec<u8> = [&header[..], &body[..]].concat();

                let mut broken = sealed.clone();
                let bit = flipped.index(broken.len() * 8);
                broken[bit / 8] ^= 1 << (bit % 8);
                let before = broken.clone();
                let (head, rest) = broken.split_at_mut(header.len());
                prop_assert_eq!(keys.open(number, head, rest), None);
                prop_assert_eq!(&broken, &before);

                prop_assert_eq!(keys.open(number ^ 1, &header, &mut body), None);
                prop_assert_eq!(keys.open(number, &header, &mut body), Some(text.len()));
                prop_assert_eq!(&body[..text.len()], &text[..]);
            }
        }
    }
}
