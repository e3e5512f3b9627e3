//! Why a text is no JSON, or none that can be signed.

use alloc::string::String;
use core::fmt;

use super::{MAX_DEPTH, MAX_VALUES};

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong.
    pub kind: JsonErrorKind,
    /// At which byte, from 0. For a key that comes twice: where its object begins.
    pub at: usize,
}

/// What can be wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// It is over before the value is.
    UnexpectedEnd,
    /// A value should begin here.
    ExpectedValue,
    /// A key should begin here.
    ExpectedKey,
    /// A colon should stand here.
    ExpectedColon,
    /// A comma or the end of the array or object should stand here.
    ExpectedCommaOrEnd,
    /// Something follows the value.
    TrailingBytes,
    /// It is not UTF-8.
    NotUtf8,
    /// A control character in a string, which must be escaped.
    ControlCharacter,
    /// A `\` and something that is no escape.
    BadEscape,
    /// Half of a surrogate pair, which no UTF-8 can say.
    LoneSurrogate,
    /// A number that is not written as JSON writes numbers.
    BadNumber,
    /// A number that no double holds.
    NumberOutOfRange,
    /// A key that comes twice; its first 64 characters.
    DuplicateKey(String),
    /// More arrays and objects within one another than [`MAX_DEPTH`].
    TooDeep,
    /// More values than [`MAX_VALUES`].
    TooManyValues,
}

impl fmt::Display for JsonErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnexpectedEnd => "the text ends too early",
            Self::ExpectedValue => "a value should begin here",
            Self::ExpectedKey => "a key in double quotes should begin here",
            Self::ExpectedColon => "a `:` should stand here",
            Self::ExpectedCommaOrEnd => "a `,` or the end should stand here",
            Self::TrailingBytes => "nothing may follow the value",
            Self::NotUtf8 => "this is not UTF-8",
            Self::ControlCharacter => "control characters in strings must be escaped",
            Self::BadEscape => "this is no escape",
            Self::LoneSurrogate => "this is half of a surrogate pair",
            Self::BadNumber => "numbers are not written so",
            Self::NumberOutOfRange => "no double holds this number",
            Self::DuplicateKey(key) => return write!(f, "an object has the key {key:?} twice"),
            Self::TooDeep => return write!(f, "at most {MAX_DEPTH} levels may be nested"),
            Self::TooManyValues => return write!(f, "there may be {MAX_VALUES} values at most"),
        })
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at byte {}", self.kind, self.at)
    }
}

impl core::error::Error for JsonError {}
