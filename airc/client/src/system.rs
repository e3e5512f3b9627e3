//! What comes from the operating system: the time, and random bytes.

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;

use crate::Error;

/// Unix seconds. A clock before 1970 counts as 1970: the registry will say what it thinks of it.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// 32 random bytes.
pub(crate) fn seed() -> Result<[u8; 32], Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}

/// 128 random bits as 22 letters, digits, `-` and `_`: a nonce (section 2.3 wants 16 or more
/// characters).
pub(crate) fn nonce() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

/// A new message's id: `msg_` and 128 random bits in hex, which is alphanumeric as section 2.3 asks.
pub(crate) fn message_id() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("msg_{}", data_encoding::HEXLOWER.encode(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_and_ids_are_long_enough_and_never_the_same() {
        let nonce = nonce().expect("random bytes");
        assert!(nonce.len() >= 16);
        assert_ne!(nonce, super::nonce().expect("random bytes"));
        let id = message_id().expect("random bytes");
        let digits = id.strip_prefix("msg_").expect("its prefix");
        assert!(digits.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(digits.len(), 32);
        assert_ne!(id, message_id().expect("random bytes"));
    }
}
