//! A walk over bytes that notes what each of them is. The protocol's own decoders judge what the
//! walk found: nothing is called a frame here that a node would refuse.

use std::fmt;

use aire_proto::varint;
use aire_proto::wire::{FrameType, MAX_SEND_PAYLOAD};
use serde::{Serialize, Serializer};

use super::payload;
use super::signature::Verdict;
use crate::common::present::one_line;

/// A frame, explained.
#[derive(Debug, Serialize)]
pub(super) struct Frame {
    /// Where it begins.
    pub(super) offset: usize,
    #[serde(rename = "type")]
    pub(super) name: &'static str,
    pub(super) type_code: u8,
    pub(super) flags: u8,
    pub(super) op_id: u64,
    pub(super) payload_len: u64,
    pub(super) fields: Vec<Field>,
    /// What its signature is worth, if it has one.
    pub(super) signature: Option<Verdict>,
    /// What a person should know of it, though it is no error here.
    pub(super) remarks: Vec<String>,
}

/// Some bytes, and what they are.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Field {
    pub(super) offset: usize,
    #[serde(serialize_with = "hex")]
    pub(super) bytes: Vec<u8>,
    #[serde(rename = "field")]
    pub(super) name: String,
    pub(super) meaning: String,
}

fn hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&data_encoding::HEXLOWER.encode(bytes))
}

/// Where bytes stop to be a frame, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Broken {
    pub(super) offset: usize,
    pub(super) reason: String,
    /// Of the frame that it is in, when its envelope was whole.
    pub(super) frame: Option<&'static str>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.frame {
            Some(frame) => write!(f, "at byte {}, in {frame}: {}", self.offset, self.reason),
            None => write!(f, "at byte {}: {}", self.offset, self.reason),
        }
    }
}

/// The step of a walk did not work: where, and why.
pub(super) type Step<T> = Result<T, (usize, String)>;

/// All frames of `bytes`, and what is wrong with what follows them. The last one is there as far as
/// it could be explained.
pub(super) fn frames(bytes: &[u8]) -> (Vec<Frame>, Option<Broken>) {
    let mut frames = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (frame, end) = frame(bytes, at);
        frames.extend(frame);
        match end {
            Ok(next) => at = next,
            Err(broken) => return (frames, Some(broken)),
        }
    }
    (frames, None)
}

/// The frame that begins at `at`, and where the next one does.
fn frame(bytes: &[u8], at: usize) -> (Option<Frame>, Result<usize, Broken>) {
    let mut walk = Walk::new(bytes, at, bytes.len());
    let mut frame = Frame {
        offset: at,
        name: "?",
        type_code: 0,
        flags: 0,
        op_id: 0,
        payload_len: 0,
        fields: Vec::new(),
        signature: None,
        remarks: Vec::new(),
    };
    let kind = match envelope(&mut walk, &mut frame) {
        Ok(kind) => kind,
        Err((offset, reason)) => {
            frame.fields = walk.fields;
            let broken = Broken {
                offset,
                reason: format!("{reason}, in the envelope"),
                frame: None,
            };
            return (Some(frame), Err(broken));
        }
    };
    let start = walk.at;
    let whole = usize::try_from(frame.payload_len)
        .ok()
        .and_then(|len| start.checked_add(len))
        .filter(|end| *end <= bytes.len());
    walk.end = whole.unwrap_or(bytes.len());
    let walked = payload::explain(kind, &mut walk, &mut frame);
    frame.fields = std::mem::take(&mut walk.fields);
    let broken = |(offset, reason)| Broken {
        offset,
        reason,
        frame: Some(frame.name),
    };
    let end = match (whole, walked) {
        (None, _) => {
            let there = bytes.len().saturating_sub(start);
            let len = frame.payload_len;
            let reason = format!("the payload is cut: {there} of its {len} bytes are there");
            Err(broken((bytes.len(), reason)))
        }
        (Some(_), Err(step)) => Err(broken(step)),
        (Some(end), Ok(())) => Ok(end),
    };
    (Some(frame), end)
}

fn envelope(walk: &mut Walk<'_>, frame: &mut Frame) -> Step<FrameType> {
    let mut kind = FrameType::Reserved(0);
    frame.type_code = walk.u8("Type", |byte| {
        kind = FrameType::from_wire(byte);
        frame.name = kind.name();
        match kind {
            FrameType::Reserved(_) => "RESERVED for later versions (TYPE-2)".into(),
            FrameType::Vendor(0x80) => "VENDOR: channel binding, of ours".into(),
            FrameType::Vendor(0x81) => "VENDOR: delegation path, of ours".into(),
            FrameType::CapabilityUpdate => "CAPABILITY, always a violation (TYPE-1)".into(),
            named => named.name().into(),
        }
    })?;
    frame.flags = walk.u8("Flags", |flags| match flags {
        0 => "none".into(),
        _ => "undefined flags, ignored (WIRE-2)".into(),
    })?;
    frame.op_id = walk.varint("OpID", |id| match id {
        0 => "0: the connection".into(),
        id => format!("operation {id}"),
    })?;
    frame.payload_len = walk.varint("PayloadLen", |len| format!("{len} bytes of payload"))?;
    if frame.payload_len > MAX_SEND_PAYLOAD {
        let most = MAX_SEND_PAYLOAD;
        let remark = format!("the payload is longer than a sender may make it, {most} (WIRE-13)");
        frame.remarks.push(remark);
    }
    Ok(kind)
}

/// A walk over a part of the bytes.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    /// Where it stands.
    pub(super) at: usize,
    end: usize,
    fields: Vec<Field>,
}

impl<'a> Walk<'a> {
    const fn new(bytes: &'a [u8], at: usize, end: usize) -> Self {
        Self {
            bytes,
            at,
            end,
            fields: Vec::new(),
        }
    }

    /// What has not been walked over.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..self.end).unwrap_or_default()
    }

    fn note(&mut self, len: usize, name: &str, meaning: String) {
        let bytes = self.rest().get(..len).unwrap_or_default().to_vec();
        self.fields.push(Field {
            offset: self.at,
            bytes,
            name: name.into(),
            meaning,
        });
        self.at = self.at.saturating_add(len);
    }

    /// Notes what is left, and that the field should have been longer.
    fn cut<T>(&mut self, name: &str) -> Step<T> {
        let left = self.rest().len();
        if left > 0 {
            self.note(left, name, "cut off".into());
        }
        Err((self.at, format!("the bytes end in the middle of {name}")))
    }

    /// One byte.
    pub(super) fn u8(&mut self, name: &str, meaning: impl FnOnce(u8) -> String) -> Step<u8> {
        match self.rest().first() {
            Some(byte) => {
                let byte = *byte;
                self.note(1, name, meaning(byte));
                Ok(byte)
            }
            None => self.cut(name),
        }
    }

    /// One varint.
    pub(super) fn varint(&mut self, name: &str, meaning: impl FnOnce(u64) -> String) -> Step<u64> {
        let Some((value, len)) = varint::decode(self.rest()) else {
            return self.cut(name);
        };
        let mut meaning = meaning(value);
        if varint::encoded_len(value).is_some_and(|shortest| shortest < len) {
            meaning.push_str(", in a longer form than needed (WIRE-6)");
        }
        self.note(len, name, meaning);
        Ok(value)
    }

    /// So many bytes.
    pub(super) fn bytes(
        &mut self,
        name: &str,
        len: usize,
        meaning: impl FnOnce(&'a [u8]) -> String,
    ) -> Step<&'a [u8]> {
        let Some(bytes) = self.rest().get(..len) else {
            return self.cut(name);
        };
        self.note(len, name, meaning(bytes));
        Ok(bytes)
    }

    /// A length, and so many bytes.
    pub(super) fn prefixed(
        &mut self,
        name: &str,
        meaning: impl FnOnce(&'a [u8]) -> String,
    ) -> Step<&'a [u8]> {
        let len = self.varint(&format!("{name} length"), |len| format!("{len} bytes"))?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.bytes(name, len, meaning)
    }

    /// A length, and so many bytes of text (`WIRE-16`).
    pub(super) fn string(&mut self, name: &str) -> Step<&'a str> {
        let begins = self.at;
        let bytes = self.prefixed(name, |bytes| match std::str::from_utf8(bytes) {
            Ok(text) => quoted(text),
            Err(_) => "not UTF-8".into(),
        })?;
        std::str::from_utf8(bytes).map_err(|_| (begins, format!("{name} is not UTF-8 (WIRE-16)")))
    }

    /// All that is left, if there is anything.
    pub(super) fn remaining(&mut self, name: &str, meaning: impl FnOnce(&'a [u8]) -> String) {
        let rest = self.rest();
        if !rest.is_empty() {
            self.note(rest.len(), name, meaning(rest));
        }
    }
}

/// Text in quotes, on one line.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", one_line(text))
}

/// Bytes as text where they are, else how many.
pub(super) fn opaque(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.len() <= MOST_TEXT => quoted(text),
        _ => format!("{} bytes", bytes.len()),
    }
}

/// Longer text is not repeated beside its bytes.
const MOST_TEXT: usize = 256;
