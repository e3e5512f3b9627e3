//! Buffers that show whether what they hold was acknowledged.
//!
//! Quiche forgets a stream once all its bytes are acknowledged and its end was queued, although
//! the FIN itself may be lost, or not even sent (cloudflare/quiche#2525). A FIN that travels with
//! bytes is safe: they come again together. One that travels alone is safe only when no byte is
//! under way any more. Quiche does not tell when that is, but it drops a buffer when the peer has
//! all of it.

use std::sync::Arc;

use quiche::BufFactory;

/// The connections of a driver.
pub(super) type Quic = quiche::Connection<Buffers>;

/// What quiche makes buffers with, where it copies.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers;

/// Bytes of one stream, shared by all clones until the last one is dropped.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    bytes: Arc<[u8]>,
    start: usize,
    end: usize,
    _under_way: Option<UnderWay>,
}

/// Counts the buffers of one stream that quiche holds.
#[derive(Clone, Debug, Default)]
pub(super) struct UnderWay(Arc<()>);

impl UnderWay {
    /// Whether the peer has everything that was written.
    pub(super) fn is_over(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Sent {
    /// A copy of `bytes`, counted as under way until it is dropped.
    pub(super) fn copy(bytes: &[u8], under_way: &UnderWay) -> Self {
        Self {
            bytes: bytes.into(),
            start: 0,
            end: bytes.len(),
            _under_way: Some(under_way.clone()),
        }
    }
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }
}

impl quiche::BufSplit for Sent {
    fn split_at(&mut self, at: usize) -> Self {
        let middle = self.start.saturating_add(at).min(self.end);
        let rest = Self {
            start: middle,
            ..self.clone()
        };
        self.end = middle;
        rest
    }
}

impl BufFactory for Buffers {
    type Buf = Sent;
    type DgramBuf = Vec<u8>;

    fn buf_from_slice(bytes: &[u8]) -> Sent {
        Sent {
            bytes: bytes.into(),
            start: 0,
            end: bytes.len(),
            _under_way: None,
        }
    }

    fn dgram_buf_from_slice(bytes: &[u8]) -> Vec<u8> {
        bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use quiche::BufSplit;

    use super::{Sent, UnderWay};

    #[test]
    fn bytes_are_under_way_until_the_last_part_of_their_buffer_is_dropped() {
        let under_way = UnderWay::default();
        assert!(under_way.is_over());
        let mut front = Sent::copy(b"abcdef", &under_way);
        let mut back = front.split_at(4);
        let end = back.split_at(1);
        assert_eq!(front.as_ref(), b"abcd");
        assert_eq!(back.as_ref(), b"e");
        assert_eq!(end.as_ref(), b"f");
        drop(front);
        drop(end);
        assert!(!under_way.is_over());
        drop(back);
        assert!(under_way.is_over());
    }
}
