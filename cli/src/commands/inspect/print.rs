//! Explained frames, for people.

use super::Found;
use super::signature::Verified;
use super::walk::{Field, Frame};
use crate::common::output::style;
use crate::common::present::Size;
use crate::{Error, Output};

/// All frames, and what could not be explained.
pub(super) fn frames(found: &Found, bytes: &[u8], out: &mut Output) -> Result<(), Error> {
    for frame in &found.frames {
        self::frame(frame, out)?;
    }
    let Some(broken) = &found.error else {
        return Ok(());
    };
    let reason = out.styled(style::BAD, broken).to_string();
    out.line(reason)?;
    let rest = bytes.get(broken.offset..).unwrap_or_default();
    match rest.is_empty() {
        true => Ok(()),
        false => out.line(format_args!(
            "{} are not explained",
            Size(rest.len() as u64)
        )),
    }
}

fn frame(frame: &Frame, out: &mut Output) -> Result<(), Error> {
    let whose = match frame.op_id {
        0 => "the connection".into(),
        id => format!("operation {id}"),
    };
    let name = out.styled(style::STRONG, frame.name).to_string();
    out.line(format_args!(
        "{name} for {whose}, {} bytes of payload",
        frame.payload_len
    ))?;
    let width = frame.fields.iter().map(|field| field.name.len()).max();
    for field in &frame.fields {
        self::field(field, width.unwrap_or(0), out)?;
    }
    if let Some(verdict) = &frame.signature {
        let style = match verdict.verified {
            Verified::Good => style::GOOD,
            Verified::Bad => style::BAD,
            Verified::Unknown => style::WARNING,
        };
        let words = out.styled(style, verdict).to_string();
        out.line(format_args!("  {words}"))?;
    }
    for remark in &frame.remarks {
        let words = out.styled(style::WARNING, remark).to_string();
        out.line(format_args!("  {words}"))?;
    }
    out.line("")
}

/// A field: its bytes on as many lines as they take, up to a limit.
fn field(field: &Field, width: usize, out: &mut Output) -> Result<(), Error> {
    let mut offset = field.offset;
    let mut words = format!("{:width$}  {}", field.name, field.meaning);
    let shown = field.bytes.len().min(MOST_SHOWN);
    let lines = field
        .bytes
        .get(..shown)
        .unwrap_or_default()
        .chunks(PER_LINE);
    // A field can be empty, and is told all the same.
    let empty: &[u8] = &[];
    let lines = lines.chain(field.bytes.is_empty().then_some(empty));
    for line in lines {
        let hex: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let at = out.styled(style::DIM, format!("{offset:06x}")).to_string();
        let text = format!("  {at}  {:COLUMN$}  {words}", hex.join(" "));
        out.line(text.trim_end())?;
        offset = offset.saturating_add(line.len());
        words.clear();
    }
    match field.bytes.len().saturating_sub(shown) {
        0 => Ok(()),
        more => out.line(format_args!("          and {more} bytes more")),
    }
}

/// Bytes on a line.
const PER_LINE: usize = 16;
/// The width of so many.
const COLUMN: usize = PER_LINE * 3 - 1;
/// Bytes of a field that are shown.
const MOST_SHOWN: usize = 256;
