//! Frames in bytes, good ones and bad ones.

use std::vec;
use std::vec::Vec;

use crate::coding::Writer;

/// `value` as the shortest varint.
pub(crate) fn varint(value: u64) -> Vec<u8> {
    let mut bytes = [0; 8];
    let mut out = Writer::new(&mut bytes);
    out.varint(value).unwrap();
    out.written().to_vec()
}

/// A frame that is its type and numbers.
pub(crate) fn numbers(kind: u8, fields: &[u64]) -> Vec<u8> {
    let mut frame = vec![kind];
    for field in fields {
        frame.extend(varint(*field));
    }
    frame
}

pub(crate) fn crypto(offset: u64, data: &[u8]) -> Vec<u8> {
    let mut frame = numbers(0x06, &[offset, data.len() as u64]);
    frame.extend(data);
    frame
}

pub(crate) fn stream(id: u64, offset: u64, data: &[u8], fin: bool) -> Vec<u8> {
    let kind = 0x0e | u8::from(fin);
    let mut frame = numbers(kind, &[id, offset, data.len() as u64]);
    frame.extend(data);
    frame
}

pub(crate) fn new_token(token: &[u8]) -> Vec<u8> {
    let mut frame = numbers(0x07, &[token.len() as u64]);
    frame.extend(token);
    frame
}

pub(crate) fn new_id(sequence: u64, retire_prior_to: u64, id: &[u8]) -> Vec<u8> {
    let mut frame = numbers(0x18, &[sequence, retire_prior_to]);
    frame.push(id.len() as u8);
    frame.extend(id);
    frame.extend([sequence as u8; 16]);
    frame
}

/// An ACK of `numbers`, which ascend.
pub(crate) fn ack(acknowledged: &[u64]) -> Vec<u8> {
    let mut ranges: Vec<(u64, u64)> = vec![];
    for &number in acknowledged {
        match ranges.last_mut() {
            Some((_, last)) if number <= last.saturating_add(1) => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let Some((first, largest)) = ranges.pop() else {
        return vec![];
    };
    let mut frame = numbers(0x02, &[largest, 0, ranges.len() as u64, largest - first]);
    let mut above = first;
    while let Some((first, last)) = ranges.pop() {
        frame.extend(varint(above - last - 2));
        frame.extend(varint(last - first));
        above = first;
    }
    frame
}

pub(crate) const PING: &[u8] = &[0x01];
pub(crate) const HANDSHAKE_DONE: &[u8] = &[0x1e];
