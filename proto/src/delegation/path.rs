//! The path of a delegated operation: `NumHops:varint, (did:string, agent:string)*`, the root
//! first, the sender last. A vendor frame (0x81) on the operation's stream, before INVOKE, where
//! both ends advertise [`DELEGATION`](crate::capability::DELEGATION).

use core::fmt;

use crate::identity::MAX_DID_LEN;
use crate::wire::{FrameType, Malformed, Payload, Reader, Writer};

/// The frame's type.
pub const PATH_FRAME: u8 = 0x81;

/// The most hops of a path.
pub const MAX_HOPS: usize = 16;

/// The most bytes of a hop's agent.
pub const MAX_AGENT_LEN: usize = 128;

/// Why there is no such path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PathError {
    /// The payload is no path.
    Malformed(Malformed),
    /// It has more than [`MAX_HOPS`] hops.
    TooManyHops,
    /// A DID is longer than [`MAX_DID_LEN`], or an agent longer than [`MAX_AGENT_LEN`].
    NameTooLong,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::TooManyHops => write!(f, "a path has more than {MAX_HOPS} hops"),
            Self::NameTooLong => write!(
                f,
                "a hop's DID is over {MAX_DID_LEN} bytes, or its agent over {MAX_AGENT_LEN}"
            ),
        }
    }
}

impl core::error::Error for PathError {}

impl From<Malformed> for PathError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// A path that was read, in the bytes that it came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Path<'a> {
    /// The hops, checked, and nothing else.
    hops: &'a [u8],
    len: usize,
}

impl<'a> Path<'a> {
    /// Reads a payload. Bytes that follow are a later version's, and ignored.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn decode(payload: &'a [u8]) -> Result<Self, PathError> {
        let mut reader = Reader::new(payload);
        let len = usize::try_from(reader.varint()?).map_err(|_| PathError::TooManyHops)?;
        if len > MAX_HOPS {
            return Err(PathError::TooManyHops);
        }
        let hops = reader.rest();
        for _ in 0..len {
            check(read_hop(&mut reader)?)?;
        }
        let taken = hops.len().saturating_sub(reader.rest().len());
        let hops = hops.get(..taken).unwrap_or_default();
        Ok(Self { hops, len })
    }

    /// How many hops there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no hop.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The hops, the root first: the node's DID and the agent.
    pub fn hops(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut reader = Reader::new(self.hops);
        core::iter::from_fn(move || read_hop(&mut reader).ok())
    }

    /// Whether the work was with this agent of this node before.
    #[must_use]
    pub fn contains(&self, did: &str, agent: &str) -> bool {
        self.hops().any(|hop| hop == (did, agent))
    }
}

fn read_hop<'a>(reader: &mut Reader<'a>) -> Result<(&'a str, &'a str), Malformed> {
    Ok((reader.string()?, reader.string()?))
}

const fn check((did, agent): (&str, &str)) -> Result<(), PathError> {
    if did.len() > MAX_DID_LEN || agent.len() > MAX_AGENT_LEN {
        Err(PathError::NameTooLong)
    } else {
        Ok(())
    }
}

/// As it came: to be kept, and read again.
impl Payload for Path<'_> {
    const TYPE: FrameType = FrameType::Vendor(PATH_FRAME);
    const SINCE_MINOR: u64 = 3;

    fn write(&self, out: &mut Writer<'_>) {
        out.varint(self.len as u64);
        out.bytes(self.hops);
    }
}

/// A path to be sent: the one that came, if any, and the sender's own hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PathRef<'a> {
    before: Path<'a>,
    did: &'a str,
    agent: &'a str,
}

impl<'a> PathRef<'a> {
    /// Appends the hop `did`, `agent` to the path that came with the operation; `None` at the
    /// root.
    ///
    /// # Errors
    /// [`PathError::TooManyHops`], [`PathError::NameTooLong`].
    pub fn new(before: Option<Path<'a>>, did: &'a str, agent: &'a str) -> Result<Self, PathError> {
        let before = before.unwrap_or_default();
        if before.len >= MAX_HOPS {
            return Err(PathError::TooManyHops);
        }
        check((did, agent))?;
        Ok(Self { before, did, agent })
    }
}

impl Payload for PathRef<'_> {
    const TYPE: FrameType = FrameType::Vendor(PATH_FRAME);
    const SINCE_MINOR: u64 = 3;

    fn write(&self, out: &mut Writer<'_>) {
        out.varint(self.before.len.saturating_add(1) as u64);
        out.bytes(self.before.hops);
        out.prefixed(self.did.as_bytes());
        out.prefixed(self.agent.as_bytes());
    }
}
