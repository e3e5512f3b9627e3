//! Address validation without state: what a Retry's token holds, and how it is checked.
//!
//! `issued:u64 BE ms by the driver's clock, original destination id, HMAC-SHA256`; the HMAC also
//! covers the client's address. A token is good for a few seconds, for one address, on one node.

use std::net::{IpAddr, SocketAddr};

use boring::hash::hmac_sha256;
use boring::memcmp;
use quiche::ConnectionId;

use crate::Error;

/// How long a client may take to come back with its token, in milliseconds.
const LIFETIME_MS: u64 = 10_000;

const MAC_LEN: usize = 32;

pub(super) struct RetryTokens {
    key: [u8; 32],
}

impl RetryTokens {
    pub(super) fn new() -> Result<Self, Error> {
        let mut key = [0; 32];
        boring::rand::rand_bytes(&mut key)?;
        Ok(Self { key })
    }

    /// A token for a client at `from` that sent its first packet to `original`.
    pub(super) fn mint(
        &self,
        from: SocketAddr,
        original: &[u8],
        now_ms: u64,
    ) -> Result<Vec<u8>, Error> {
        let mut token = now_ms.to_be_bytes().to_vec();
        token.extend_from_slice(original);
        let mac = self.mac(&token, from)?;
        token.extend_from_slice(&mac);
        Ok(token)
    }

    /// The original destination id in `token`, if it is one of ours, fresh, and for `from`.
    pub(super) fn check(
        &self,
        from: SocketAddr,
        token: &[u8],
        now_ms: u64,
    ) -> Option<ConnectionId<'static>> {
        let (signed, mac) = token.split_at_checked(token.len().checked_sub(MAC_LEN)?)?;
        if !memcmp::eq(&self.mac(signed, from).ok()?, mac) {
            return None;
        }
        let (issued, original) = signed.split_first_chunk()?;
        let age = now_ms.checked_sub(u64::from_be_bytes(*issued))?;
        (age <= LIFETIME_MS).then(|| ConnectionId::from_vec(original.to_vec()))
    }

    fn mac(&self, signed: &[u8], from: SocketAddr) -> Result<[u8; MAC_LEN], Error> {
        let mut message = signed.to_vec();
        match from.ip() {
            IpAddr::V4(ip) => message.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => message.extend_from_slice(&ip.octets()),
        }
        message.extend_from_slice(&from.port().to_be_bytes());
        Ok(hmac_sha256(&self.key, &message)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_address_and_its_time_only() {
        let tokens = RetryTokens::new().expect("random bytes");
        let from: SocketAddr = "192.0.2.1:5000".parse().expect("an address");
        let other: SocketAddr = "192.0.2.1:5001".parse().expect("an address");
        let token = tokens.mint(from, &[1, 2, 3], 1_000).expect("a token");
        let good = tokens.check(from, &token, 11_000);
        assert_eq!(good.as_deref(), Some(&[1, 2, 3][..]));
        assert!(tokens.check(from, &token, 11_001).is_none(), "too old");
        assert!(tokens.check(from, &token, 999).is_none(), "from the future");
        assert!(
            tokens.check(other, &token, 1_000).is_none(),
            "another address"
        );
        for bit in 0..token.len() * 8 {
            let mut forged = token.clone();
            if let Some(byte) = forged.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            assert!(tokens.check(from, &forged, 1_000).is_none(), "bit {bit}");
        }
        assert!(tokens.check(from, &[], 1_000).is_none());
    }
}
