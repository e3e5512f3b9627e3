//! HELLO: `VerMajor:varint, VerMinor:varint, NodeID:string, NumCaps:varint, Caps[]`, then a
//! signature block (`HS-4`, `HS-5`, `SIG-4`).

use super::{FrameType, Malformed, Payload, Reader, SignatureBlock, Writer};

/// The most capability entries that a HELLO may hold: looking for duplicates among them must stay
/// cheap, since anybody can send a HELLO.
pub const MAX_CAPABILITIES: u64 = 256;

/// One capability entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Capability<'a> {
    /// The whole name, namespace and major. A peer's may be outside the grammar (`CAP-3`).
    pub name: &'a str,
    /// The minor version.
    pub version: u64,
    /// Whether the sender cannot do without.
    pub required: bool,
}

impl<'a> Capability<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self {
            name: reader.string()?,
            version: reader.varint()?,
            required: match reader.u8()? {
                0 => false,
                1 => true,
                _ => return Err(Malformed::RequiredByte),
            },
        })
    }
}

/// A peer's capability entries: still in wire form, already known to parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Capabilities<'a> {
    wire: &'a [u8],
    count: usize,
}

impl<'a> Capabilities<'a> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The entries, in the peer's order.
    pub fn iter(&self) -> impl Iterator<Item = Capability<'a>> + use<'a> {
        let mut reader = Reader::new(self.wire);
        core::iter::from_fn(move || {
            (!reader.is_empty())
                .then(|| Capability::read(&mut reader).ok())
                .flatten()
        })
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let claimed = reader.varint()?;
        if claimed > MAX_CAPABILITIES {
            return Err(Malformed::TooManyCapabilities);
        }
        let start = reader.rest();
        let mut count = 0_usize;
        while (count as u64) < claimed {
            Capability::read(reader)?;
            count = count.saturating_add(1);
        }
        let wire_len = start.len().saturating_sub(reader.rest().len());
        let wire = start.get(..wire_len).unwrap_or_default();
        let entries = Self { wire, count };
        if entries.has_duplicate() {
            return Err(Malformed::DuplicateCapability);
        }
        Ok(entries)
    }

    /// The entries' names as bytes: cheap to go over again and again.
    fn names(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut reader = Reader::new(self.wire);
        core::iter::from_fn(move || {
            let name = reader.prefixed().ok()?;
            reader.varint().ok()?;
            reader.u8().ok()?;
            Some(name)
        })
    }

    /// Quadratic, over at most [`MAX_CAPABILITIES`] entries.
    fn has_duplicate(&self) -> bool {
        self.names()
            .enumerate()
            .any(|(index, name)| self.names().take(index).any(|earlier| earlier == name))
    }
}

/// A HELLO payload, parsed but not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Hello<'a> {
    /// The major version that the sender speaks.
    pub major: u64,
    /// The highest minor version that the sender speaks.
    pub minor: u64,
    /// Who the sender is: a DID from minor 2 on (`ID-1`).
    pub node_id: &'a str,
    /// What the sender can do.
    pub capabilities: Capabilities<'a>,
    /// The signature block, where there is one.
    pub block: Option<SignatureBlock<'a>>,
    /// How many payload bytes the signature covers; 0 without a block.
    pub covered: usize,
    /// Bytes behind the block: a later version's, ignored (`GAP-10`).
    pub trailing: usize,
}

impl<'a> Hello<'a> {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`Malformed`]: cut anywhere, not UTF-8, a bad required byte, a capability twice.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let mut hello = Self {
            major: reader.varint()?,
            minor: reader.varint()?,
            node_id: reader.string()?,
            capabilities: Capabilities::read(&mut reader)?,
            block: None,
            covered: 0,
            trailing: 0,
        };
        if !reader.is_empty() {
            let (block, covered) = SignatureBlock::read(payload, &mut reader)?;
            hello.block = Some(block);
            hello.covered = covered;
            hello.trailing = reader.rest().len();
        }
        Ok(hello)
    }
}

/// A HELLO's inner payload, to be signed: capabilities in the order of their names (`CAP-8`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct HelloInner<'a> {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) node_id: &'a str,
    pub(crate) capabilities: &'a [Capability<'a>],
}

impl Payload for HelloInner<'_> {
    const TYPE: FrameType = FrameType::Hello;
    const SINCE_MINOR: u64 = 0;

    fn write(&self, out: &mut Writer<'_>) {
        out.varint(self.major);
        out.varint(self.minor);
        out.prefixed(self.node_id.as_bytes());
        out.varint(self.capabilities.len() as u64);
        // In order without a sort buffer: each time the smallest name after the last one.
        let mut last: Option<&str> = None;
        while let Some(next) = self
            .capabilities
            .iter()
            .filter(|entry| last.is_none_or(|last| entry.name > last))
            .min_by_key(|entry| entry.name)
        {
            out.prefixed(next.name.as_bytes());
            out.varint(next.version);
            out.u8(u8::from(next.required));
            last = Some(next.name);
        }
    }
}
