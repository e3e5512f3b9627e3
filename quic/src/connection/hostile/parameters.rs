//! A server's transport parameters, good ones and bad ones.

use std::vec;
use std::vec::Vec;

use super::frames::varint;

/// Parameters in the order in which they are sent.
#[derive(Clone)]
pub(crate) struct Parameters(Vec<(u64, Vec<u8>)>);

impl Parameters {
    /// Those of a usual server, but for the connection ids.
    pub(crate) fn usual() -> Self {
        let mut usual = Self(vec![]);
        for (id, value) in [
            (0x01, 30_000),
            (0x04, 4000),
            (0x05, 1000),
            (0x06, 1000),
            (0x08, 4),
            (0x0e, 4),
        ] {
            usual.set(id, &varint(value));
        }
        usual
    }

    pub(crate) fn set(&mut self, id: u64, value: &[u8]) {
        self.remove(id);
        self.add(id, value);
    }

    /// Adds one even if it is there.
    pub(crate) fn add(&mut self, id: u64, value: &[u8]) {
        self.0.push((id, value.to_vec()));
    }

    pub(crate) fn remove(&mut self, id: u64) {
        self.0.retain(|(other, _)| *other != id);
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![];
        for (id, value) in &self.0 {
            bytes.extend(varint(*id));
            bytes.extend(varint(value.len() as u64));
            bytes.extend(value);
        }
        bytes
    }
}
