//! The reader: RFC 8259's grammar and no more, within bounds.

use alloc::string::String;
use alloc::vec::Vec;

use super::{JsonError, JsonErrorKind as Kind, Number, Object, Value};

/// How many arrays and objects may stand within one another.
pub const MAX_DEPTH: usize = 64;

/// How many values a text may have, those within others included. What 64 KiB hold is a quarter of
/// it.
pub const MAX_VALUES: usize = 1 << 17;

/// Reads a JSON text, which a stranger may have written: beside its strings it takes some 100 bytes
/// for each value at most. How long the text may be is the caller's to say.
///
/// # Errors
/// What is wrong first, and where: the text is not JSON (RFC 8259), not UTF-8, has a key twice in
/// one object, half of a surrogate pair, a number beyond a double, more than [`MAX_DEPTH`] levels or
/// [`MAX_VALUES`] values, or something behind the value.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    parse_within(bytes, MAX_DEPTH, MAX_VALUES)
}

/// How many more levels an answer may have than what is sent: what others sent is within it.
const AROUND: usize = 4;

/// As [`parse`], for what a registry answers: messages of [`MAX_DEPTH`] levels stand in a list
/// there, and nobody may stop up an inbox with one. There may be as many values as the text has room
/// for: up to some 50 bytes for each of its bytes.
///
/// # Errors
/// As [`parse`].
pub fn parse_answer(bytes: &[u8]) -> Result<Value, JsonError> {
    parse_within(bytes, MAX_DEPTH.saturating_add(AROUND), usize::MAX)
}

fn parse_within(bytes: &[u8], depth: usize, values: usize) -> Result<Value, JsonError> {
    let text = core::str::from_utf8(bytes).map_err(|error| JsonError {
        kind: Kind::NotUtf8,
        at: error.valid_up_to(),
    })?;
    let mut reader = Reader {
        text,
        at: 0,
        values_left: values,
    };
    let value = reader.value(depth)?;
    reader.space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.error(Kind::TrailingBytes)),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    values_left: usize,
}

impl<'a> Reader<'a> {
    fn error(&self, kind: Kind) -> JsonError {
        JsonError { kind, at: self.at }
    }

    /// `kind`, or that the text is over.
    fn expected<T>(&self, kind: Kind) -> Result<T, JsonError> {
        Err(self.error(match self.peek() {
            None => Kind::UnexpectedEnd,
            Some(_) => kind,
        }))
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    /// Takes the next byte if it is `byte`.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.skip(1);
        }
        found
    }

    /// How many of the next bytes are `wanted`, without a gap.
    fn run(&self, wanted: impl Fn(u8) -> bool) -> usize {
        let rest = self.rest();
        rest.iter()
            .position(|byte| !wanted(*byte))
            .unwrap_or(rest.len())
    }

    fn space(&mut self) {
        self.skip(self.run(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')));
    }

    /// A value, within which `depth` more levels may be nested.
    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.space();
        match self.values_left.checked_sub(1) {
            Some(left) => self.values_left = left,
            None => return self.expected(Kind::TooManyValues),
        }
        match self.peek() {
            Some(b'"') => {
                self.skip(1);
                Ok(Value::String(self.string()?))
            }
            Some(b'{' | b'[') => {
                let Some(below) = depth.checked_sub(1) else {
                    return Err(self.error(Kind::TooDeep));
                };
                if self.take(b'[') {
                    self.array(below)
                } else {
                    self.object(below)
                }
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.expected(Kind::ExpectedValue),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        let rest = self.rest();
        if rest.starts_with(word.as_bytes()) {
            self.skip(word.len());
            return Ok(value);
        }
        Err(if word.as_bytes().starts_with(rest) {
            JsonError {
                kind: Kind::UnexpectedEnd,
                at: self.text.len(),
            }
        } else {
            self.error(Kind::ExpectedValue)
        })
    }

    /// The array whose `[` was taken.
    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.space();
            if self.take(b']') {
                // Room for four is what one item gets, and hostile text has many such arrays.
                items.shrink_to_fit();
                return Ok(Value::Array(items));
            }
            if !self.take(b',') {
                return self.expected(Kind::ExpectedCommaOrEnd);
            }
        }
    }

    /// The object whose `{` comes next.
    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        let start = self.at;
        self.skip(1);
        let mut entries = Vec::new();
        self.space();
        if self.take(b'}') {
            return Ok(Value::Object(Object::new()));
        }
        loop {
            self.space();
            if !self.take(b'"') {
                return self.expected(Kind::ExpectedKey);
            }
            let key = self.string()?;
            self.space();
            if !self.take(b':') {
                return self.expected(Kind::ExpectedColon);
            }
            entries.push((key, self.value(depth)?));
            self.space();
            if self.take(b'}') {
                break;
            }
            if !self.take(b',') {
                return self.expected(Kind::ExpectedCommaOrEnd);
            }
        }
        entries.shrink_to_fit();
        match Object::from_unique(entries) {
            Ok(object) => Ok(Value::Object(object)),
            Err(key) => Err(JsonError {
                kind: Kind::DuplicateKey(key.chars().take(64).collect()),
                at: start,
            }),
        }
    }

    /// The string whose opening quote was taken.
    fn string(&mut self) -> Result<String, JsonError> {
        let mut string = String::new();
        loop {
            let plain = self.run(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
            let start = self.at;
            self.skip(plain);
            // Quotes, backslashes and controls are ASCII: no character is cut.
            string.push_str(self.text.get(start..self.at).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.skip(1);
                    return Ok(string);
                }
                Some(b'\\') => string.push(self.escape()?),
                _ => return self.expected(Kind::ControlCharacter),
            }
        }
    }

    /// The character of the escape whose `\` comes next.
    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        self.skip(1);
        let character = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.skip(1);
                return self.unicode(start);
            }
            _ => return self.expected(Kind::BadEscape),
        };
        self.skip(1);
        Ok(character)
    }

    /// The character of one or two `\u` escapes, the first of which began at `start`.
    fn unicode(&mut self, start: usize) -> Result<char, JsonError> {
        let lone = JsonError {
            kind: Kind::LoneSurrogate,
            at: start,
        };
        let first = self.hex()?;
        let mut units = [first, 0];
        let pair = (0xd800..0xdc00).contains(&first);
        if pair {
            if !self.rest().starts_with(b"\\u") {
                return match self.rest() {
                    [] | [b'\\'] => self.expected(Kind::UnexpectedEnd),
                    _ => Err(lone),
                };
            }
            self.skip(2);
            units = [first, self.hex()?];
        }
        let units = units.into_iter().take(if pair { 2 } else { 1 });
        match char::decode_utf16(units).next() {
            Some(Ok(character)) => Ok(character),
            _ => Err(lone),
        }
    }

    /// Four hexadecimal digits.
    fn hex(&mut self) -> Result<u16, JsonError> {
        let mut unit = 0_u16;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return self.expected(Kind::BadEscape);
            };
            // Four digits of four bits each.
            unit = (unit << 4) | digit as u16;
            self.skip(1);
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        } else if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.error(Kind::BadNumber));
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        let lexeme = self.text.get(start..self.at).unwrap_or_default();
        match Number::from_lexeme(lexeme) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(JsonError {
                kind: Kind::NumberOutOfRange,
                at: start,
            }),
        }
    }

    /// At least one digit.
    fn digits(&mut self) -> Result<(), JsonError> {
        match self.run(|byte| byte.is_ascii_digit()) {
            0 => self.expected(Kind::BadNumber),
            count => {
                self.skip(count);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    fn refused(text: &str) -> (Kind, usize) {
        let error = parse(text.as_bytes()).expect_err(text);
        (error.kind, error.at)
    }

    #[test]
    fn values_of_every_kind_are_read() {
        let text = r#" { "a" : [ null , true,false, -1.5e1, "x\u00e9\n" ] , "" : { } } "#;
        let value = parse(text.as_bytes()).unwrap();
        assert_eq!(
            value.to_string(),
            r#"{"":{},"a":[null,true,false,-15,"xé\n"]}"#
        );
    }

    #[test]
    fn escapes_are_read_as_what_they_stand_for() {
        let text = r#""\"\\\/\b\f\n\r\t\u0041\ud83d\ude00\uFFFF\u0000""#;
        let value = parse(text.as_bytes()).unwrap();
        assert_eq!(
            value.as_str(),
            Some("\"\\/\u{8}\u{c}\n\r\tA\u{1f600}\u{ffff}\0")
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, kind, at) in [
            ("", Kind::UnexpectedEnd, 0),
            ("  ", Kind::UnexpectedEnd, 2),
            ("\u{feff}1", Kind::ExpectedValue, 0),
            ("nul", Kind::UnexpectedEnd, 3),
            ("nulx", Kind::ExpectedValue, 0),
            ("truee", Kind::TrailingBytes, 4),
            ("1 2", Kind::TrailingBytes, 2),
            ("[1,]", Kind::ExpectedValue, 3),
            ("[1 2]", Kind::ExpectedCommaOrEnd, 3),
            ("[1", Kind::UnexpectedEnd, 2),
            ("{\"a\"", Kind::UnexpectedEnd, 4),
            ("{\"a\" 1}", Kind::ExpectedColon, 5),
            ("{a:1}", Kind::ExpectedKey, 1),
            ("{\"a\":1,}", Kind::ExpectedKey, 7),
            ("{'a':1}", Kind::ExpectedKey, 1),
            ("\"a\nb\"", Kind::ControlCharacter, 2),
            ("\"abc", Kind::UnexpectedEnd, 4),
            ("\"\\x\"", Kind::BadEscape, 2),
            ("\"\\u12g4\"", Kind::BadEscape, 5),
            ("\"\\u12", Kind::UnexpectedEnd, 5),
            ("\"\\", Kind::UnexpectedEnd, 2),
            ("\"a\\ud800\"", Kind::LoneSurrogate, 2),
            ("\"\\udc00\"", Kind::LoneSurrogate, 1),
            ("\"\\ud800\\n\"", Kind::LoneSurrogate, 1),
            ("\"\\ud800\\u0041\"", Kind::LoneSurrogate, 1),
            ("\"\\ud800", Kind::UnexpectedEnd, 7),
            ("01", Kind::BadNumber, 1),
            ("-", Kind::UnexpectedEnd, 1),
            ("-a", Kind::BadNumber, 1),
            ("1.", Kind::UnexpectedEnd, 2),
            ("1.e1", Kind::BadNumber, 2),
            ("1e+", Kind::UnexpectedEnd, 3),
            ("+1", Kind::ExpectedValue, 0),
            (".5", Kind::ExpectedValue, 0),
            ("NaN", Kind::ExpectedValue, 0),
            ("[1e999]", Kind::NumberOutOfRange, 1),
            (
                "[{\"a\":1,\"b\":2,\"a\":3}]",
                Kind::DuplicateKey("a".into()),
                1,
            ),
            ("{\"a\":1,\"\\u0061\":1}", Kind::DuplicateKey("a".into()), 0),
        ] {
            assert_eq!(refused(text), (kind, at), "{text}");
        }
        let error = parse(b"\"\xff\"").unwrap_err();
        assert_eq!((error.kind, error.at), (Kind::NotUtf8, 1));
    }

    #[test]
    fn sixty_four_levels_are_read_and_one_more_is_refused() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |levels: usize| {
                let inner = if open == "[" { "" } else { "0" };
                format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
            };
            assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
            let answer = nested(MAX_DEPTH + AROUND);
            assert!(parse_answer(answer.as_bytes()).is_ok());
            assert!(parse_answer(nested(MAX_DEPTH + AROUND + 1).as_bytes()).is_err());
            let (kind, at) = refused(&nested(MAX_DEPTH + 1));
            assert_eq!((kind, at), (Kind::TooDeep, MAX_DEPTH * open.len()));
        }
        assert_eq!(refused(&"[".repeat(1 << 20)).0, Kind::TooDeep);
    }

    #[test]
    fn as_many_values_as_are_allowed_are_read_and_one_more_is_refused() {
        let text = br#"[1,{"a":"b","c":[]}]"#;
        assert!(parse_within(text, MAX_DEPTH, 5).is_ok());
        let error = parse_within(text, MAX_DEPTH, 4).unwrap_err();
        assert_eq!((error.kind, error.at), (Kind::TooManyValues, 16));
        let many = format!("[{}0]", "0,".repeat(MAX_VALUES - 2));
        assert!(parse(many.as_bytes()).is_ok());
        let more = many.replacen('0', "0,0", 1);
        assert_eq!(refused(&more).0, Kind::TooManyValues);
        assert!(parse_answer(more.as_bytes()).is_ok());
    }
}
