//! IP addresses in text (RFC 4291 §2.2, and dotted decimals), as their octets: what a certificate
//! has. The parser of `core` does the same and takes three times the flash.

use super::name::has;

/// The octets of the longest address.
pub(super) const MAX: usize = 16;

/// The address that `text` is, in the front of `octets`, which are zeros.
pub(super) fn parse<'o>(text: &[u8], octets: &'o mut [u8; MAX]) -> Option<&'o [u8]> {
    if !has(text, b':') {
        let octets = octets.first_chunk_mut::<4>()?;
        return ipv4(text, octets).map(|()| &octets[..]);
    }
    // Where `::` stands, for one group of zeros at least.
    let mut gap = None;
    let mut len = 0_usize;
    let mut rest = text;
    if let Some(behind) = text.strip_prefix(b"::") {
        gap = Some(0);
        rest = behind;
    }
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == b':');
        let (group, behind) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        let room = octets.get_mut(len..)?;
        if behind.is_empty() && has(group, b'.') {
            ipv4(group, room.first_chunk_mut()?)?;
            len = len.saturating_add(4);
        } else {
            *room.first_chunk_mut()? = number(group, 16, 4)?.to_be_bytes();
            len = len.saturating_add(2);
        }
        rest = match behind {
            [] => behind,
            [_, b':', behind @ ..] if gap.is_none() => {
                gap = Some(len);
                behind
            }
            [_, b':', ..] | [_] => return None,
            [_, behind @ ..] => behind,
        };
    }
    match gap {
        None if len == MAX => {}
        Some(gap) if len < MAX => {
            // What stands behind the gap goes to the end.
            for at in (gap..len).rev() {
                let moved = core::mem::take(octets.get_mut(at)?);
                *octets.get_mut(at.saturating_add(MAX.saturating_sub(len)))? = moved;
            }
        }
        _ => return None,
    }
    Some(octets)
}

fn ipv4(text: &[u8], octets: &mut [u8; 4]) -> Option<()> {
    let mut parts = text.split(|&byte| byte == b'.');
    for octet in octets {
        let part = parts.next()?;
        // Zeros in front would say octal to some.
        if part.len() > 1 && part.first() == Some(&b'0') {
            return None;
        }
        *octet = number(part, 10, 3)?.try_into().ok()?;
    }
    parts.next().is_none().then_some(())
}

/// A number of 1 to `most` digits, of which there are four at the most.
fn number(digits: &[u8], radix: u32, most: usize) -> Option<u16> {
    if !(1..=most).contains(&digits.len()) {
        return None;
    }
    digits.iter().try_fold(0_u16, |number, &digit| {
        let digit = char::from(digit).to_digit(radix)?;
        Some(number.wrapping_mul(radix as u16).wrapping_add(digit as u16))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn ours(text: &str) -> Option<Vec<u8>> {
        parse(text.as_bytes(), &mut [0; MAX]).map(<[u8]>::to_vec)
    }

    fn theirs(text: &str) -> Option<Vec<u8>> {
        text.parse().ok().map(|address| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        })
    }

    #[test]
    fn addresses_are_those_that_the_standard_library_sees() {
        for text in [
            "192.0.2.1",
            "0.0.0.0",
            "255.255.255.255",
            "256.1.1.1",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "1.2.3.4.",
            ".1.2.3",
            "1..2.3",
            "1.2.3.0004",
            "",
            ".",
            ":",
            "::",
            ":::",
            "::1",
            "1::",
            "1::2",
            "1::2::3",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4:5:6:7",
            "::2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "1:2:3:4::5:6:7:8",
            "::1:2:3:4:5:6:7:8",
            ":1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:",
            "2001:DB8::fFfF",
            "::ffff:192.0.2.1",
            "1:2:3:4:5:6:192.0.2.1",
            "1:2:3:4:5:6:7:192.0.2.1",
            "::192.0.2.1:1",
            "::192.0.2",
            "1.2.3.4::",
            "1.2.3.4:1::",
            "::12345",
            "::g",
            "[::1]",
            "::1%1",
            "+1::",
        ] {
            assert_eq!(ours(text), theirs(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_to_both_or_to_neither(text in "[0-9a-f:.]{0,20}|([0-9a-f]{0,3}:){0,8}[0-9.]{0,9}|[0-9.]{3,16}") {
            prop_assert_eq!(ours(&text), theirs(&text));
        }

        #[test]
        fn every_address_is_read_back(octets in any::<[u8; 16]>(), zeros in any::<u8>()) {
            let mut octets = octets;
            for (pair, bit) in octets.chunks_mut(2).zip(0..8) {
                if zeros >> bit & 1 == 1 {
                    pair.fill(0);
                }
            }
            let [a, b, c, d, ..] = octets;
            let (four, six) = (IpAddr::from([a, b, c, d]), IpAddr::from(octets));
            prop_assert_eq!(ours(&std::format!("{}", four)), Some(std::vec![a, b, c, d]));
            prop_assert_eq!(ours(&std::format!("{}", six)), Some(octets.to_vec()));
        }
    }
}
