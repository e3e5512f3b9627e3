//! INVOKE: `agent-id:string, operation:string, args:rest` (`GAP-3`).

use super::{FrameType, Malformed, Payload, Reader, Writer};
use crate::varint;

/// An operation's beginning, decoded whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Invoke<'a> {
    /// The agent asked for, case-sensitive (`URI-3`).
    pub agent: &'a str,
    /// The operation asked of it, case-sensitive.
    pub operation: &'a str,
    /// The arguments, opaque to the protocol.
    pub args: &'a [u8],
}

impl<'a> Invoke<'a> {
    /// Reads a whole payload.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::NotUtf8`].
    pub fn decode(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        Ok(Self {
            agent: reader.string()?,
            operation: reader.string()?,
            args: reader.rest(),
        })
    }
}

impl Payload for Invoke<'_> {
    const TYPE: FrameType = FrameType::Invoke;
    const SINCE_MINOR: u64 = 0;

    fn write(&self, out: &mut Writer<'_>) {
        out.prefixed(self.agent.as_bytes());
        out.prefixed(self.operation.as_bytes());
        out.bytes(self.args);
    }
}

/// The front of an INVOKE payload: whom it is for. The arguments that follow may be long and come
/// in pieces, so they are no part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct InvokeTarget<'a> {
    /// The agent asked for.
    pub agent: &'a str,
    /// The operation asked of it.
    pub operation: &'a str,
}

/// How far a beginning of an INVOKE payload gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetProgress<'a> {
    /// Both names are there; they took so many bytes.
    Done(InvokeTarget<'a>, usize),
    /// At least so many more bytes are needed; they all belong to the names.
    Needs(usize),
}

impl<'a> InvokeTarget<'a> {
    /// Reads the names from the first bytes of a payload.
    ///
    /// # Errors
    /// [`Malformed::NotUtf8`]; [`Malformed::Truncated`] for a length that no memory can hold.
    pub fn decode(front: &'a [u8]) -> Result<TargetProgress<'a>, Malformed> {
        let (agent, agent_end) = match Self::name(front)? {
            Ok(found) => found,
            Err(missing) => return Ok(TargetProgress::Needs(missing)),
        };
        let rest = front.get(agent_end..).unwrap_or_default();
        Ok(match Self::name(rest)? {
            Ok((operation, len)) => TargetProgress::Done(
                InvokeTarget { agent, operation },
                agent_end.saturating_add(len),
            ),
            Err(missing) => TargetProgress::Needs(missing),
        })
    }

    /// One string, or how many bytes it lacks at least.
    fn name(front: &'a [u8]) -> Result<Result<(&'a str, usize), usize>, Malformed> {
        let Some((len, prefix)) = varint::decode(front) else {
            let whole = front
                .first()
                .map_or(1, |first| varint::len_from_first(*first));
            return Ok(Err(whole.saturating_sub(front.len())));
        };
        let end = usize::try_from(len)
            .ok()
            .and_then(|len| len.checked_add(prefix))
            .ok_or(Malformed::Truncated)?;
        match front.get(prefix..end) {
            Some(bytes) => match core::str::from_utf8(bytes) {
                Ok(name) => Ok(Ok((name, end))),
                Err(_) => Err(Malformed::NotUtf8),
            },
            None => Ok(Err(end.saturating_sub(front.len()))),
        }
    }
}

impl Payload for InvokeTarget<'_> {
    const TYPE: FrameType = FrameType::Invoke;
    const SINCE_MINOR: u64 = 0;

    fn write(&self, out: &mut Writer<'_>) {
        out.prefixed(self.agent.as_bytes());
        out.prefixed(self.operation.as_bytes());
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_found_without_reading_past_them() {
        let invoke = Invoke {
            agent: "écho",
            operation: "op",
            args: b"arguments",
        };
        let mut out = [0; 32];
        let len = invoke.encode(&mut out).unwrap();
        assert_eq!(Invoke::decode(&out[..len]), Ok(invoke));

        // Feed exactly what it asks for: it must never ask for a byte of the arguments.
        let mut have = 0;
        let consumed = loop {
            match InvokeTarget::decode(&out[..have]).unwrap() {
                TargetProgress::Needs(more) => {
                    assert!(more > 0);
                    have += more;
                }
                TargetProgress::Done(target, consumed) => {
                    assert_eq!(target.agent, "écho");
                    assert_eq!(target.operation, "op");
                    break consumed;
                }
            }
        };
        assert_eq!(have, consumed);
        assert_eq!(&out[consumed..len], b"arguments");
    }
}
