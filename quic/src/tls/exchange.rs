//! The key exchange: X25519 (RFC 7748) and ECDH over P-256 (RFC 8446 §4.2.8, §7.4.2).

use super::codes::ILLEGAL;
use crate::coding::Writer;
use crate::config::Group;
use crate::crypto::Secret;
use crate::error::{Fault, fault};

/// A private key for each group. Only the key of a group that is used becomes more than random
/// bytes.
#[cfg_attr(any(test, feature = "fuzzing"), derive(Clone))]
pub(super) struct PrivateKeys {
    x25519: Secret,
    #[cfg(feature = "p256")]
    p256: Secret,
}

impl PrivateKeys {
    pub(super) fn new(x25519: [u8; 32], p256: [u8; 32]) -> Self {
        #[cfg(not(feature = "p256"))]
        let _ = p256;
        Self {
            x25519: Secret::new(x25519),
            #[cfg(feature = "p256")]
            p256: p256::valid(p256),
        }
    }

    /// Writes the public key for `group`, as a key share has it. `None` when there is no room.
    pub(super) fn write_public(&self, group: Group, out: &mut Writer<'_>) -> Option<()> {
        match group {
            Group::X25519 => curve25519::write_public(&self.x25519, out),
            #[cfg(feature = "p256")]
            Group::P256 => p256::write_public(&self.p256, out),
        }
    }

    /// The secret that is shared with whose public key `theirs` is.
    pub(super) fn agree(&self, group: Group, theirs: &[u8]) -> Result<Secret, Fault> {
        match group {
            Group::X25519 => curve25519::agree(&self.x25519, theirs),
            #[cfg(feature = "p256")]
            Group::P256 => p256::agree(&self.p256, theirs),
        }
        .ok_or(fault!(ILLEGAL, "the server's key share is no public key"))
    }
}

// Each function below has a frame of its own: one curve's temporaries would otherwise be on the
// stack while the other computes.

mod curve25519 {
    use ed25519_compact::x25519::{PublicKey, SecretKey};

    use crate::coding::Writer;
    use crate::crypto::Secret;

    #[inline(never)]
    pub(super) fn write_public(private: &Secret, out: &mut Writer<'_>) -> Option<()> {
        let private = SecretKey::new(*private.bytes());
        out.bytes(&*private.recover_public_key().ok()?)
    }

    /// `None` for a key of the wrong length, or of small order: the secret would be known to all.
    #[inline(never)]
    pub(super) fn agree(private: &Secret, theirs: &[u8]) -> Option<Secret> {
        let theirs = PublicKey::new(theirs.try_into().ok()?);
        let private = SecretKey::new(*private.bytes());
        Some(Secret::new(*theirs.dh(&private).ok()?))
    }
}

#[cfg(feature = "p256")]
mod p256 {
    use p256::SecretKey;
    use p256::ecdh::diffie_hellman;

    use super::super::curve;
    use crate::coding::Writer;
    use crate::crypto::Secret;

    /// One in 2^32 random numbers is no private key, being larger than the group. It is one without
    /// its first byte.
    pub(super) fn valid(mut bytes: [u8; 32]) -> Secret {
        if SecretKey::from_slice(&bytes).is_err() {
            let [first, ..] = &mut bytes;
            *first = 0;
        }
        Secret::new(bytes)
    }

    #[inline(never)]
    pub(super) fn write_public(private: &Secret, out: &mut Writer<'_>) -> Option<()> {
        let private = SecretKey::from_slice(private.bytes()).ok()?;
        out.bytes(&curve::write(private.public_key().as_affine()))
    }

    /// `None` for what is no point of the curve.
    #[inline(never)]
    pub(super) fn agree(private: &Secret, theirs: &[u8]) -> Option<Secret> {
        let theirs = curve::read(theirs.try_into().ok()?)?;
        let private = SecretKey::from_slice(private.bytes()).ok()?;
        let shared = diffie_hellman(private.to_nonzero_scalar(), theirs);
        Some(Secret::new((*shared.raw_secret_bytes()).into()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::tls::support::hex;

    fn public(keys: &PrivateKeys, group: Group) -> std::vec::Vec<u8> {
        let mut out = [0; 65];
        let mut writer = Writer::new(&mut out);
        keys.write_public(group, &mut writer).unwrap();
        writer.written().to_vec()
    }

    fn secret(text: &str) -> [u8; 32] {
        hex(text).try_into().unwrap()
    }

    #[test]
    fn x25519_is_that_of_rfc_7748() {
        let alice = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
        let bob = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";
        let alice = PrivateKeys::new(secret(alice), [1; 32]);
        let bob = PrivateKeys::new(secret(bob), [1; 32]);
        let public_alice = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
        let public_bob = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
        assert_eq!(public(&alice, Group::X25519), hex(public_alice));
        assert_eq!(public(&bob, Group::X25519), hex(public_bob));
        let shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
        for (mine, theirs) in [(&alice, public_bob), (&bob, public_alice)] {
            let agreed = mine.agree(Group::X25519, &hex(theirs)).unwrap();
            assert_eq!(agreed.bytes()[..], hex(shared));
        }
    }

    #[test]
    fn an_x25519_key_of_small_order_or_wrong_length_is_refused() {
        let keys = PrivateKeys::new([1; 32], [2; 32]);
        let mut one = [0; 32];
        one[0] = 1;
        assert!(keys.agree(Group::X25519, &[0; 32]).is_err());
        assert!(keys.agree(Group::X25519, &one).is_err());
        assert!(keys.agree(Group::X25519, &[9; 31]).is_err());
        assert!(keys.agree(Group::X25519, &[9; 33]).is_err());
        assert!(keys.agree(Group::X25519, &[9; 32]).is_ok());
    }

    #[cfg(feature = "p256")]
    #[test]
    fn p256_is_that_of_rfc_5903() {
        let i = "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433";
        let r = "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53";
        let i = PrivateKeys::new([1; 32], secret(i));
        let r = PrivateKeys::new([1; 32], secret(r));
        let public_i = "04\
            dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180\
            5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3";
        let public_r = "04\
            d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63\
            56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab";
        assert_eq!(public(&i, Group::P256), hex(public_i));
        assert_eq!(public(&r, Group::P256), hex(public_r));
        let shared = "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de";
        for (mine, theirs) in [(&i, public_r), (&r, public_i)] {
            let agreed = mine.agree(Group::P256, &hex(theirs)).unwrap();
            assert_eq!(agreed.bytes()[..], hex(shared));
        }
    }

    #[cfg(feature = "p256")]
    #[test]
    fn random_bytes_that_are_larger_than_the_group_still_make_a_key() {
        let keys = PrivateKeys::new([1; 32], [0xff; 32]);
        let other = PrivateKeys::new([1; 32], [2; 32]);
        let share = public(&keys, Group::P256);
        let theirs = other.agree(Group::P256, &share).unwrap();
        let ours = keys
            .agree(Group::P256, &public(&other, Group::P256))
            .unwrap();
        assert_eq!(ours.bytes(), theirs.bytes());
    }

    #[cfg(feature = "p256")]
    #[test]
    fn only_uncompressed_points_of_the_curve_are_taken() {
        let keys = PrivateKeys::new([1; 32], [2; 32]);
        let mut share = public(&PrivateKeys::new([3; 32], [4; 32]), Group::P256);
        assert!(keys.agree(Group::P256, &share).is_ok());
        assert!(keys.agree(Group::P256, &share[..64]).is_err());
        share[64] ^= 1;
        assert!(keys.agree(Group::P256, &share).is_err());
        assert!(keys.agree(Group::P256, &[0]).is_err());
        assert!(keys.agree(Group::P256, &[0; 65]).is_err());
        share[64] ^= 1;
        let compressed = 2 | (share[64] & 1);
        share[0] = compressed;
        assert!(keys.agree(Group::P256, &share[..33]).is_err());
    }
}
