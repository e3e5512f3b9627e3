//! From what a person has to bytes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use data_encoding::HEXLOWER_PERMISSIVE;

use super::Format;
use crate::Error;

/// What is to be explained.
pub(super) enum Input {
    /// The bytes of a stream.
    Bytes(Vec<u8>),
    /// A qlog.
    Qlog(String),
}

/// Reads a file, or stdin.
pub(super) fn read(path: &Path, format: Format) -> Result<Input, Error> {
    let failed = |source| Error::reading(path, source);
    let from: Box<dyn io::Read> = match path == Path::new("-") {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(path).map_err(failed)?),
    };
    let mut bytes = Vec::new();
    from.take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Error::Usage(format!(
            "{} holds more than {LONGEST} bytes, which is too much to explain",
            path.display()
        )));
    }
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes).map_err(|_| Error::Usage(format!("{} is no text", path.display())))
    };
    Ok(match format {
        Format::Auto if is_qlog(&bytes) => Input::Qlog(text(bytes)?),
        Format::Auto if is_hex(&bytes) => Input::Bytes(hex(&text(bytes)?)?),
        Format::Auto | Format::Binary => Input::Bytes(bytes),
        Format::Hex => Input::Bytes(hex(&text(bytes)?)?),
        Format::Qlog => Input::Qlog(text(bytes)?),
    })
}

/// JSON-SEQ begins with a record separator; older qlogs are plain JSON.
fn is_qlog(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    let text = text.strip_prefix(b"\x1e").unwrap_or(text);
    text.trim_ascii_start().starts_with(b"{")
}

/// Whether there is nothing but digits, and what stands between them. No frame of AIRE's own looks
/// like that: types below 0x20 come first.
fn is_hex(bytes: &[u8]) -> bool {
    let digits = bytes.iter().any(u8::is_ascii_hexdigit);
    digits
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_hexdigit() || is_between(*byte))
}

const fn is_between(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b':' | b',' | b'-' | b'_')
}

/// Reads hexadecimal digits, in pairs, with or without something between the pairs.
pub(super) fn hex(text: &str) -> Result<Vec<u8>, Error> {
    let words = text.split(|letter: char| letter.is_ascii() && is_between(letter as u8));
    let digits: String = words
        .map(|word| word.strip_prefix("0x").unwrap_or(word))
        .collect();
    if let Some(letter) = digits.chars().find(|letter| !letter.is_ascii_hexdigit()) {
        let words = format!("{letter:?} is no hexadecimal digit");
        return Err(Error::Usage(words));
    }
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map_err(|_| {
        let len = digits.len();
        Error::Usage(format!(
            "there is an odd number of hexadecimal digits, {len}"
        ))
    })
}

/// The most bytes of a file: 64 MiB.
const LONGEST: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_as_people_paste_it() {
        let good = Some(vec![0x05, 0x00, 0xab]);
        for text in [
            "0500ab",
            "05 00 AB",
            "05:00:ab\n",
            "0x05, 0x00, 0xab",
            "0x0500ab",
        ] {
            assert_eq!(hex(text).ok(), good, "{text}");
        }
        for (text, why) in [("050", "odd"), ("0x5g", "'g'"), ("05 é0", "'é'")] {
            let error = hex(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn formats_are_told_apart() {
        assert!(is_qlog(b"\x1e{\"qlog_version\":\"0.3\"}\n"));
        assert!(is_qlog(b" {}"));
        assert!(is_hex(b"05 00\n"));
        for bytes in [&b"\x05\x00\x07"[..], b"", b"\n", b"05 0g"] {
            assert!(!is_qlog(bytes) && !is_hex(bytes), "{bytes:?}");
        }
    }
}
