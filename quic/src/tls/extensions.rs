//! Blocks of extensions, as a server sends them (RFC 8446 §4.2).

use super::codes::{ILLEGAL, alert, extension, malformed};
use crate::coding::Reader;
use crate::error::{Code, Fault, fault};

/// A block in which every extension is whole and has a type of its own. Gives types and contents.
pub(super) struct Extensions<'a>(Reader<'a>);

impl<'a> Extensions<'a> {
    /// Reads a block behind its length.
    pub(super) fn read(message: &mut Reader<'a>) -> Result<Self, Fault> {
        let block = Reader::new(message.u16_bytes().ok_or(malformed())?);
        let mut left = block;
        while !left.is_empty() {
            let (kind, _) = split(&mut left).ok_or(malformed())?;
            if Self(left).any(|(other, _)| other == kind) {
                return Err(fault!(ILLEGAL, "an extension is there twice"));
            }
        }
        Ok(Self(block))
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        split(&mut self.0)
    }
}

fn split<'a>(block: &mut Reader<'a>) -> Option<(u16, &'a [u8])> {
    let kind = block.u16()?;
    Some((kind, block.u16_bytes()?))
}

/// An answer to what was not asked.
pub(super) const fn unsolicited() -> Fault {
    fault!(
        Code::crypto(alert::UNSUPPORTED_EXTENSION),
        "an extension answers nothing"
    )
}

/// What is wrong with an extension that does not belong into the message where it is.
pub(super) const fn misplaced(kind: u16) -> Fault {
    if is_known(kind) {
        fault!(ILLEGAL, "an extension is in the wrong message")
    } else {
        unsolicited()
    }
}

/// Whether this client has a use for extensions of type `kind` anywhere.
pub(super) const fn is_known(kind: u16) -> bool {
    matches!(
        kind,
        extension::SERVER_NAME
            | extension::SUPPORTED_GROUPS
            | extension::SIGNATURE_ALGORITHMS
            | extension::ALPN
            | extension::PRE_SHARED_KEY
            | extension::SUPPORTED_VERSIONS
            | extension::COOKIE
            | extension::PSK_KEY_EXCHANGE_MODES
            | extension::KEY_SHARE
            | extension::QUIC_TRANSPORT_PARAMETERS
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn read(block: &[u8]) -> Result<std::vec::Vec<(u16, &[u8])>, Fault> {
        let mut message = Reader::new(block);
        Extensions::read(&mut message).map(Iterator::collect)
    }

    #[test]
    fn a_block_gives_its_extensions_in_order() {
        assert_eq!(read(&[0, 0]).unwrap(), []);
        let block = [0, 9, 0, 1, 0, 1, 7, 0, 2, 0, 0];
        assert_eq!(read(&block).unwrap(), [(1, &[7][..]), (2, &[])]);
    }

    #[test]
    fn a_block_that_is_cut_or_overrun_does_not_parse() {
        for block in [
            &[0][..],
            &[0, 1, 0],
            &[0, 4, 0, 1, 0, 1],
            &[0, 5, 0, 1, 0, 0, 0],
        ] {
            assert_eq!(read(block).unwrap_err().code, Code::crypto(50));
        }
    }

    #[test]
    fn an_extension_is_there_once_at_most() {
        let block = [0, 12, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0];
        assert_eq!(read(&block).unwrap_err().code, Code::crypto(47));
    }
}
