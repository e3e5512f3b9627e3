//! Packet numbers are cut to what the receiver can complete (RFC 9000 §17.1, §A.2, §A.3).

use crate::varint;

/// How many bytes of `number` to send, 1 to 4, when the peer acknowledged up to `largest_acked`.
pub(super) const fn len(number: u64, largest_acked: Option<u64>) -> usize {
    let outstanding = match largest_acked {
        Some(largest) => number.saturating_sub(largest),
        None => number.saturating_add(1),
    };
    // The receiver knows a number from any other within half of what the bytes count to.
    if outstanding > 0x80_0000 {
        return 4;
    }
    match outstanding as u32 {
        0..=0x80 => 1,
        0x81..=0x8000 => 2,
        _ => 3,
    }
}

/// The number whose low `len` bytes are `cut` that is nearest to the one behind `largest`, the
/// largest which was opened.
pub(super) const fn complete(largest: Option<u64>, cut: u32, len: usize) -> u64 {
    let expected = match largest {
        // The last number of all has none behind it.
        Some(largest) if largest < varint::MAX => largest.saturating_add(1),
        Some(_) => varint::MAX,
        None => 0,
    };
    let (window, half): (u64, u64) = match len {
        1 => (0x100, 0x80),
        2 => (0x1_0000, 0x8000),
        3 => (0x100_0000, 0x80_0000),
        _ => (0x1_0000_0000, 0x8000_0000),
    };
    let candidate = expected & window.wrapping_neg() | cut as u64;
    let above = candidate.saturating_add(window);
    if candidate.saturating_add(half) <= expected && above <= varint::MAX {
        above
    } else if candidate > expected.saturating_add(half) && candidate >= window {
        candidate.saturating_sub(window)
    } else {
        candidate
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_rfc_9000_appendix_a() {
        assert_eq!(len(0xac_5c02, Some(0xab_e8b3)), 2);
        assert_eq!(len(0xac_e8fe, Some(0xab_e8b3)), 3);
        assert_eq!(complete(Some(0xa82f_30ea), 0x9b32, 2), 0xa82f_9b32);
    }

    #[test]
    fn the_first_packet_is_number_0_in_one_byte() {
        assert_eq!(len(0, None), 1);
        assert_eq!(complete(None, 0, 1), 0);
        assert_eq!(complete(None, 0xff, 1), 0xff);
    }

    #[test]
    fn numbers_stay_under_2_to_the_62() {
        assert_eq!(complete(Some(varint::MAX), 0, 1), varint::MAX - 0xff);
        assert_eq!(complete(Some(varint::MAX), 0xff, 1), varint::MAX);
    }

    proptest! {
        #[test]
        fn a_cut_number_is_completed_whatever_was_opened_since(
            acked in 0..varint::MAX - 0x8000_0000,
            outstanding in 1_u64..0x8000_0000,
            shift in 0_u32..31,
            opened in any::<u64>(),
        ) {
            let outstanding = (outstanding >> shift).max(1);
            let number = acked + outstanding;
            let len = len(number, Some(acked));
            let cut = number as u32 & u32::MAX >> (32 - 8 * len);
            // The receiver opened what it acknowledged, and perhaps more.
            let largest = acked + opened % outstanding;
            prop_assert_eq!(complete(Some(largest), cut, len), number);
        }
    }
}
