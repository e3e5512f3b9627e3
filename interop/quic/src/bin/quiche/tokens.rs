//! What a Retry's token holds: the id that the client's first packet went to, and a proof that it
//! was given to this address.

use std::net::SocketAddr;

use boring::hash::hmac_sha256;
use boring::memcmp;
use quiche::ConnectionId;

use crate::Failure;

const MAC_LEN: usize = 32;

pub(crate) struct Tokens {
    key: [u8; 32],
}

impl Tokens {
    pub(crate) fn new() -> Result<Self, Failure> {
        let mut key = [0; 32];
        boring::rand::rand_bytes(&mut key)?;
        Ok(Self { key })
    }

    pub(crate) fn mint(&self, from: SocketAddr, original: &[u8]) -> Result<Vec<u8>, Failure> {
        Ok([&self.mac(from, original)?, original].concat())
    }

    /// The id in `token`, if it was given to this address.
    pub(crate) fn original(
        &self,
        from: SocketAddr,
        token: &[u8],
    ) -> Result<Option<ConnectionId<'static>>, Failure> {
        let Some((mac, original)) = token.split_at_checked(MAC_LEN) else {
            return Ok(None);
        };
        let good = memcmp::eq(mac, &self.mac(from, original)?);
        Ok(good.then(|| ConnectionId::from_vec(original.to_vec())))
    }

    fn mac(&self, from: SocketAddr, original: &[u8]) -> Result<[u8; MAC_LEN], Failure> {
        let message = [from.to_string().as_bytes(), b" ", original].concat();
        Ok(hmac_sha256(&self.key, &message)?)
    }
}
