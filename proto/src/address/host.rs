//! Hosts: a DNS name or an IP address (`URI-1`).

use core::fmt::{self, Write};
use core::hash::{Hash, Hasher};
use core::net::{Ipv4Addr, Ipv6Addr};

/// The longest DNS name, in bytes of its text (RFC 1035 §2.3.4).
pub const MAX_NAME_LEN: usize = 253;

/// The longest label of a DNS name, in bytes (RFC 1035 §2.3.4).
pub const MAX_LABEL_LEN: usize = 63;

/// Why a text is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum HostError {
    /// There is none.
    Missing,
    /// It is over 253 bytes long.
    TooLong,
    /// It has letters beyond ASCII.
    NotAscii,
    /// A label is empty, over 63 bytes long, or has a character that no label has.
    BadLabel,
    /// It ends in a number, and is no IPv4 address: some resolvers would take it for one.
    AlmostIpv4,
    /// What stands in brackets is no IPv6 address, or a bracket is missing.
    BadIpv6,
    /// It is an address where only a name may stand.
    NotAName,
}

impl HostError {
    /// What is wrong, in words that go on from "because".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "it names no host",
            Self::TooLong => "its host is over 253 bytes long",
            Self::NotAscii => {
                "its host is not ASCII: write an international name in its form with xn--"
            }
            Self::BadLabel => {
                "its host is no name and no address: between dots stand 1 to 63 letters, digits, \
                 hyphens or underscores, no hyphen first or last"
            }
            Self::AlmostIpv4 => "its host ends in a number, but is no IPv4 address like 192.0.2.1",
            Self::BadIpv6 => "an IPv6 address stands in brackets, as in [2001:db8::1]",
            Self::NotAName => "its host is an address, where a name must stand",
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for HostError {}

/// A DNS name that a host can have (`URI-1`): dots between labels of letters, digits, hyphens and
/// underscores. It cannot be mistaken for an IP address. Compared without regard to case (`URI-4`),
/// printed in lower case.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    /// Reads a name. A dot at the end is not part of it.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn parse(text: &'a str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Err(HostError::Missing);
        }
        if !text.is_ascii() {
            return Err(HostError::NotAscii);
        }
        if text.len() > MAX_NAME_LEN {
            return Err(HostError::TooLong);
        }
        if !text.split('.').all(is_label) {
            return Err(HostError::BadLabel);
        }
        let last = text.rsplit('.').next().unwrap_or_default();
        // `inet_aton` takes 127.1, 0x7f.1 and 2130706433 for 127.0.0.1.
        if is_number(last) {
            return Err(HostError::AlmostIpv4);
        }
        Ok(Self(text))
    }

    /// The name, in the case that it was written in.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

/// Whether a text is a label of a DNS name, as hosts and our lookups have them.
pub(super) fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL_LEN).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn is_number(label: &str) -> bool {
    let hex = label
        .strip_prefix("0x")
        .or_else(|| label.strip_prefix("0X"))
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hex || label.bytes().all(|byte| byte.is_ascii_digit())
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(other.0)
    }
}

impl Eq for Name<'_> {}

impl Hash for Name<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.0.bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
        state.write_u8(0xff);
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .chars()
            .try_for_each(|letter| f.write_char(letter.to_ascii_lowercase()))
    }
}

/// The host of a URI (`URI-1`). Printed as a URI has it: an IPv6 address in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Host<'a> {
    /// A DNS name.
    Name(Name<'a>),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// Reads a host as a URI has it.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn parse(text: &'a str) -> Result<Self, HostError> {
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').ok_or(HostError::BadIpv6)?;
            return address
                .parse()
                .map(Self::V6)
                .map_err(|_| HostError::BadIpv6);
        }
        match text.parse() {
            Ok(address) => Ok(Self::V4(address)),
            Err(_) => Name::parse(text).map(Self::Name),
        }
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::V4(address) => write!(f, "{address}"),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn uri_1_names_and_addresses_are_told_apart() {
        for (text, printed) in [
            ("Example.COM", "example.com"),
            ("localhost", "localhost"),
            ("my_agent", "my_agent"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("1.2.3.4.example", "1.2.3.4.example"),
            ("0x7f.com", "0x7f.com"),
            ("0xfg", "0xfg"),
        ] {
            let host = Host::parse(text).unwrap();
            assert!(matches!(host, Host::Name(name) if name.as_str() == text));
            assert_eq!(host.to_string(), printed);
        }
        assert_eq!(
            Host::parse("192.0.2.1"),
            Ok(Host::V4(Ipv4Addr::new(192, 0, 2, 1)))
        );
        for (text, printed) in [
            ("[::1]", "[::1]"),
            ("[2001:DB8:0:0::1]", "[2001:db8::1]"),
            ("[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]"),
        ] {
            let host = Host::parse(text).unwrap();
            assert!(matches!(host, Host::V6(_)));
            assert_eq!(host.to_string(), printed);
        }
    }

    #[test]
    fn uri_1_a_label_has_63_bytes_at_most_and_a_name_253() {
        let label = "a".repeat(63);
        assert!(Name::parse(&label).is_ok());
        assert_eq!(Name::parse(&format!("{label}a")), Err(HostError::BadLabel));
        let name = [&*label, &label, &label, &label[..61]].join(".");
        assert_eq!(name.len(), MAX_NAME_LEN);
        assert!(Name::parse(&name).is_ok());
        assert_eq!(Name::parse(&format!("{name}a")), Err(HostError::TooLong));
    }

    #[test]
    fn uri_1_what_is_no_host_is_refused_with_the_reason() {
        use HostError::*;
        for (text, error) in [
            ("", Missing),
            ("bücher.example", NotAscii),
            ("a..b", BadLabel),
            (".a", BadLabel),
            ("a.", BadLabel),
            ("-a", BadLabel),
            ("a-.b", BadLabel),
            ("a b", BadLabel),
            ("a%41", BadLabel),
            ("a\\b", BadLabel),
            ("a\0", BadLabel),
            ("::1", BadLabel),
            ("[::1", BadIpv6),
            ("[::1]x", BadIpv6),
            ("[::1%25eth0]", BadIpv6),
            ("[v1.x]", BadIpv6),
            ("[127.0.0.1]", BadIpv6),
            ("[]", BadIpv6),
        ] {
            assert_eq!(Host::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn uri_1_what_some_resolvers_take_for_an_address_is_no_name() {
        for text in [
            "127.1",
            "2130706433",
            "0177.0.0.1",
            "0x7f000001",
            "0X7F.1",
            "0x",
            "127.0.0.0x1",
            "256.0.0.1",
            "1.2.3.4.5",
            "a.1",
        ] {
            assert_eq!(Host::parse(text), Err(HostError::AlmostIpv4), "{text}");
        }
    }

    #[test]
    fn uri_4_names_are_compared_without_case() {
        assert_eq!(Name::parse("A.example"), Name::parse("a.EXAMPLE"));
        assert_ne!(Name::parse("a.example"), Name::parse("b.example"));
    }
}
