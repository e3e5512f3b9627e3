//! Bytes in a ring: a window over a stream, moving without copies.
//!
//! `head` is where in the ring the window begins, and is below the ring's length; `from` counts from
//! there. The caller keeps the window no longer than the ring.

/// Where the byte is that lies `from` bytes behind `head`.
pub(super) const fn position(ring: &[u8], head: u32, from: u32) -> u32 {
    let at = head.saturating_add(from);
    let len = ring.len() as u32;
    if at < len { at } else { at.saturating_sub(len) }
}

/// Copies `bytes` into the window.
pub(super) fn store(ring: &mut [u8], head: u32, from: u32, bytes: &[u8]) {
    let at = position(ring, head, from) as usize;
    let straight = bytes.len().min(ring.len().saturating_sub(at));
    let (front, back) = bytes.split_at_checked(straight).unwrap_or_default();
    if let Some(to) = ring
        .get_mut(at..)
        .and_then(|ring| ring.get_mut(..front.len()))
    {
        to.copy_from_slice(front);
    }
    if let Some(to) = ring.get_mut(..back.len()) {
        to.copy_from_slice(back);
    }
}

/// Fills `out` from the window.
pub(super) fn load(ring: &[u8], head: u32, from: u32, out: &mut [u8]) {
    let front = straight(ring, head, from, out.len() as u32);
    let (to, rest) = out.split_at_mut_checked(front.len()).unwrap_or_default();
    to.copy_from_slice(front);
    if let Some(back) = ring.get(..rest.len()) {
        rest.copy_from_slice(back);
    }
}

/// As many of the window's next `count` bytes as lie in one piece.
pub(super) fn straight(ring: &[u8], head: u32, from: u32, count: u32) -> &[u8] {
    let at = position(ring, head, from) as usize;
    let rest = ring.get(at..).unwrap_or_default();
    rest.get(..count as usize).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_wrap_around_the_end_both_ways() {
        let mut ring = [0; 5];
        store(&mut ring, 4, 2, b"abc");
        assert_eq!(&ring, b"\0abc\0");
        store(&mut ring, 3, 0, b"vwxyz");
        assert_eq!(&ring, b"xyzvw");
        let mut out = [0; 4];
        load(&ring, 3, 1, &mut out);
        assert_eq!(&out, b"wxyz");
        assert_eq!(straight(&ring, 3, 0, 4), b"vw");
        assert_eq!(straight(&ring, 3, 2, 2), b"xy");
    }

    #[test]
    fn a_ring_without_memory_holds_nothing() {
        store(&mut [], 0, 0, b"");
        load(&[], 0, 0, &mut []);
        assert_eq!(straight(&[], 0, 0, 3), b"");
    }
}
