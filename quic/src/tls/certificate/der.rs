//! A cursor over DER (X.690 §10): one-byte tags, definite lengths in their shortest form, at most
//! 65,535 bytes. `None` is anything else; what was read of the element is then of no use.

use crate::coding::Reader;

#[cfg(feature = "authority")]
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
#[cfg(feature = "authority")]
pub(super) const OCTET_STRING: u8 = 0x04;
#[cfg(feature = "authority")]
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;

#[derive(Clone, Copy)]
pub(super) struct Der<'a> {
    rest: Reader<'a>,
}

/// One element: what it is, what is in it, and all its bytes.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    pub(super) whole: &'a [u8],
}

impl<'a> Der<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: Reader::new(bytes),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Option<()> {
        self.is_empty().then_some(())
    }

    pub(super) fn element(&mut self) -> Option<Element<'a>> {
        let all = self.rest.rest();
        let tag = self.rest.u8()?;
        // The long form of tags has no use in certificates.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let length = match self.rest.u8()? {
            short @ 0..=0x7f => u16::from(short),
            0x81 => u16::from(self.rest.u8()?),
            0x82 => self.rest.u16()?,
            _ => return None,
        };
        let header = all.len().checked_sub(self.rest.len())?;
        let shortest = match length {
            0..=0x7f => 2,
            0x80..=0xff => 3,
            _ => 4,
        };
        if header != shortest {
            return None;
        }
        let content = self.rest.bytes(usize::from(length))?;
        let whole = all.get(..header.checked_add(content.len())?)?;
        Some(Element {
            tag,
            content,
            whole,
        })
    }

    /// The next element, which must be a `tag`.
    pub(super) fn expect(&mut self, tag: u8) -> Option<Element<'a>> {
        self.element().filter(|element| element.tag == tag)
    }

    /// The next element when it is a `tag`; the cursor stays where it is when it is not.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Option<Element<'a>>> {
        if self.rest.rest().first() == Some(&tag) {
            self.element().map(Some)
        } else {
            Some(None)
        }
    }

    pub(super) fn sequence(&mut self) -> Option<Self> {
        self.expect(SEQUENCE)
            .map(|element| Self::new(element.content))
    }

    /// An INTEGER that is not negative, without the zero in front that only says so.
    pub(super) fn unsigned(&mut self) -> Option<&'a [u8]> {
        match self.expect(INTEGER)?.content {
            [0, magnitude @ ..] if magnitude.first().is_some_and(|&byte| byte >= 0x80) => {
                Some(magnitude)
            }
            [0, _, ..] | [0x80..=0xff, ..] | [] => None,
            magnitude => Some(magnitude),
        }
    }

    /// A BIT STRING of whole bytes.
    pub(super) fn bits(&mut self) -> Option<&'a [u8]> {
        match self.expect(BIT_STRING)?.content {
            [0, bytes @ ..] => Some(bytes),
            _ => None,
        }
    }

    /// A BOOLEAN DEFAULT FALSE: FALSE is never written then.
    #[cfg(feature = "authority")]
    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.optional(BOOLEAN)? {
            None => Some(false),
            Some(element) => (element.content == [0xff]).then_some(true),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn read(bytes: &[u8]) -> Option<usize> {
        let mut der = Der::new(bytes);
        let element = der.element()?;
        assert_eq!(element.whole, bytes);
        Some(element.content.len())
    }

    #[test]
    fn lengths_are_taken_in_their_shortest_form_alone() {
        for (header, length) in [
            (&[4, 0][..], 0),
            (&[4, 127], 127),
            (&[4, 0x81, 128], 128),
            (&[4, 0x81, 255], 255),
            (&[4, 0x82, 1, 0], 256),
            (&[4, 0x82, 0xff, 0xff], 65_535),
        ] {
            let mut bytes = Vec::from(header);
            bytes.resize(header.len().checked_add(length).unwrap(), 0);
            assert_eq!(read(&bytes), Some(length));
            bytes.pop();
            assert_eq!(Der::new(&bytes).element().map(|element| element.tag), None);
        }
        for header in [
            &[4, 0x80][..],
            &[4, 0x81, 127],
            &[4, 0x82, 0, 255],
            &[4, 0x83, 0, 1, 0],
            &[4, 0x83, 1, 0, 0],
            &[4, 0xff],
            &[0x1f, 0],
            &[0x1f, 0x20, 0],
            &[0xbf, 0x81, 0x01, 0],
        ] {
            let mut bytes = Vec::from(header);
            bytes.resize(70_000, 0);
            assert!(Der::new(&bytes).element().is_none(), "{header:x?}");
        }
    }

    #[test]
    fn numbers_are_not_negative_and_not_padded() {
        let number = |bytes| Der::new(bytes).unsigned();
        assert_eq!(number(&[2, 1, 0]), Some(&[0][..]));
        assert_eq!(number(&[2, 1, 0x7f]), Some(&[0x7f][..]));
        assert_eq!(number(&[2, 2, 0, 0x80]), Some(&[0x80][..]));
        assert_eq!(number(&[2, 2, 1, 0]), Some(&[1, 0][..]));
        assert_eq!(number(&[2, 0]), None);
        assert_eq!(number(&[2, 1, 0x80]), None);
        assert_eq!(number(&[2, 2, 0, 0x7f]), None);
        assert_eq!(number(&[2, 2, 0, 0]), None);
        assert_eq!(number(&[3, 1, 0]), None);
    }
}
