//! Secrets that are borne, and names that nobody guesses: made of the random bytes that come with a
//! request.

use alloc::format;
use alloc::string::String;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

use crate::store::SecretHash;

/// The longest `Authorization` header that is looked at, in bytes.
pub(crate) const MAX_AUTHORIZATION: usize = 1024;

/// What a secret is looked up by. Secrets have 256 bits, so nothing is gained by making this slow.
#[must_use]
pub fn hash(secret: &str) -> SecretHash {
    Sha256::digest(secret.as_bytes()).into()
}

/// 256 bits for one purpose, from which nothing follows about those for another.
fn derive(purpose: &str, entropy: &[u8; 32]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(purpose.as_bytes());
    digest.update([0]);
    digest.update(entropy);
    digest.finalize().into()
}

/// A token of the `/api` dialect: 43 characters.
pub(crate) fn token(entropy: &[u8; 32]) -> String {
    BASE64URL_NOPAD.encode(&derive("airc token", entropy))
}

/// A name with 128 random bits and a prefix: `msg_`, `sess_`.
pub(crate) fn name(prefix: &str, entropy: &[u8; 32]) -> String {
    let bytes = derive(prefix, entropy);
    let half = bytes.first_chunk::<16>().map_or(&[][..], |half| half);
    format!("{prefix}{}", HEXLOWER.encode(half))
}

/// The secret in an `Authorization` header, if it is a bearer's.
pub(crate) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, secret) = authorization.trim().split_once(' ')?;
    let secret = secret.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !secret.is_empty()).then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tokens_of_one_request_tell_nothing_about_each_other() {
        let entropy = [7; 32];
        let token = token(&entropy);
        assert_eq!(token.len(), 43);
        let names = [name("msg_", &entropy), name("sess_", &entropy)];
        assert_ne!(names[0].get(4..), names[1].get(5..));
        assert_eq!(names[0].len(), 36);
        assert!(!token.contains(&names[0][4..]));
    }

    #[test]
    fn a_bearer_is_read_whatever_its_case_and_nothing_else_is() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        for bad in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(bearer(bad), None, "{bad}");
        }
    }
}
