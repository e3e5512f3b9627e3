//! JSON to vectors: fills are expanded first, then serde does the rest.

use std::error::Error;
use std::fmt;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::model::{Body, Decoded, FrameVector, Vector};

/// Why a vector file cannot be read.
#[derive(Debug)]
pub struct ReadError {
    /// The file.
    pub file: &'static str,
    /// The vector's id, once it is known.
    pub id: Option<String>,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.as_deref().unwrap_or("the file itself");
        write!(f, "{}: {id}: {}", self.file, self.reason)
    }
}

impl Error for ReadError {}

/// Reads the vectors of one file, published or own. `file` only names it.
///
/// # Errors
///
/// [`ReadError`] at the first vector that does not follow the schema, unknown
/// fields included.
pub fn read(file: &'static str, text: &str) -> Result<Vec<Vector>, ReadError> {
    let fail = |id, reason| ReadError { file, id, reason };
    let mut root: Value =
        serde_json::from_str(text).map_err(|error| fail(None, error.to_string()))?;
    let Some(Value::Array(vectors)) = root.get_mut("vectors").map(Value::take) else {
        return Err(fail(None, "there is no list of vectors".to_owned()));
    };
    vectors
        .into_iter()
        .map(|value| {
            let Value::Object(mut fields) = value else {
                return Err(fail(None, "a vector is an object".to_owned()));
            };
            let Some(Value::String(id)) = fields.remove("id") else {
                return Err(fail(None, "a vector has no id".to_owned()));
            };
            vector(file, &id, fields).map_err(|reason| fail(Some(id), reason))
        })
        .collect()
}

fn vector(file: &'static str, id: &str, mut fields: Map<String, Value>) -> Result<Vector, String> {
    expand_fills(&mut fields)?;
    // A published vector states neither kind nor requirements: it is a frame, and
    // it is there to be reproduced.
    let published = !fields.contains_key("kind");
    let kind = take::<Option<String>>(&mut fields, "kind")?;
    let mut requirements: Vec<String> =
        take::<Option<_>>(&mut fields, "requirements")?.unwrap_or_default();
    if published {
        requirements.push("WIRE-15".to_owned());
    }
    let note = take(&mut fields, "note")?;
    let body = match kind.as_deref() {
        None | Some("frame") => Body::Frame(Box::new(frame(fields)?)),
        Some("concat") => Body::Concat(parse(fields)?),
        Some("varint") => Body::Varint(parse(fields)?),
        Some("malformed") => Body::Malformed(parse(fields)?),
        Some("did-key") => Body::DidKey(parse(fields)?),
        Some("binding") => {
            gather_signing(&mut fields);
            Body::Binding(Box::new(parse(fields)?))
        }
        Some("path") => Body::Path(parse(fields)?),
        Some("uri") => Body::Uri(parse(fields)?),
        Some("handle") => Body::Handle(parse(fields)?),
        Some("did-web") => Body::DidWeb(parse(fields)?),
        Some(other) => return Err(format!("kind {other} is unknown")),
    };
    if published && matches!(&body, Body::Frame(frame) if frame.signing.is_some()) {
        requirements.push("SIG-12".to_owned());
    }
    Ok(Vector {
        file,
        id: id.to_owned(),
        requirements,
        note,
        body,
    })
}

fn frame(mut fields: Map<String, Value>) -> Result<FrameVector, String> {
    gather_signing(&mut fields);
    add_frame(&mut fields)?;
    let decoded = fields.remove("decoded");
    let mut vector: FrameVector = parse(fields)?;
    if let Some(Value::Object(content)) = decoded {
        vector.decoded = Some(match vector.frame.kind {
            0x01 => Decoded::Hello(parse(content)?),
            0x03 => Decoded::Invoke(parse(content)?),
            0x05 => Decoded::Cancel(parse(content)?),
            0x06 => Decoded::Budget(parse(content)?),
            0x07 => Decoded::Delegate(parse(content)?),
            0x08 => Decoded::Error(parse(content)?),
            0x0A => Decoded::Resumable(parse(content)?),
            0x0B => Decoded::Resume(parse(content)?),
            other => return Err(format!("type {other:#04x} has no layout to decode")),
        });
    }
    Ok(vector)
}

/// Gathers the fields about the signature, if there are any, under `signing`.
fn gather_signing(fields: &mut Map<String, Value>) {
    if !fields.contains_key("inputs") {
        return;
    }
    let mut signing = Map::new();
    for name in [
        "inputs",
        "inner_payload_hex",
        "signature_hex",
        "domain_separator_hex",
        "signed_message_hex",
    ] {
        if let Some(value) = fields.remove(name) {
            signing.insert(name.to_owned(), value);
        }
    }
    fields.insert("signing".to_owned(), Value::Object(signing));
}

/// Adds the `frame` that the published signed HELLO lacks: it is all that follows the
/// header, which ends where the inner payload begins.
fn add_frame(fields: &mut Map<String, Value>) -> Result<(), String> {
    if let (None, Some(Value::Object(signing))) = (fields.get("frame"), fields.get("signing")) {
        let encoded = text(fields, "encoded_hex")?;
        let inner = text(signing, "inner_payload_hex")?;
        let payload = encoded
            .find(inner)
            .and_then(|at| encoded.get(at..))
            .ok_or("the frame does not hold its inner payload")?;
        let frame = serde_json::json!({"type": 1, "flags": 0, "op_id": 0, "payload_hex": payload});
        fields.insert("frame".to_owned(), frame);
    }
    Ok(())
}

/// Replaces every fill by the hex it stands for, so that nothing further on needs
/// to know of fills.
fn expand_fills(fields: &mut Map<String, Value>) -> Result<(), String> {
    if fields.contains_key("encoded_prefix_hex") {
        let fill = fill(fields, "payload_fill")?;
        for (prefix, whole) in [
            ("encoded_prefix_hex", "encoded_hex"),
            ("canonical_prefix_hex", "canonical_hex"),
        ] {
            if fields.contains_key(prefix) {
                let hex = text(fields, prefix)?.to_owned() + &fill;
                fields.remove(prefix);
                fields.insert(whole.to_owned(), Value::String(hex));
            }
        }
        fields.remove("payload_fill");
    }
    for (object, name) in [
        ("frame", "payload"),
        ("decoded", "args"),
        ("decoded", "data"),
        ("decoded", "token"),
    ] {
        let Some(Value::Object(inner)) = fields.get_mut(object) else {
            continue;
        };
        let (hex_name, fill_name) = (format!("{name}_hex"), format!("{name}_fill"));
        if inner.contains_key(&fill_name) {
            let fill = fill(inner, &fill_name)?;
            let head = inner.get(&hex_name).and_then(Value::as_str).unwrap_or("");
            let hex = head.to_owned() + &fill;
            inner.remove(&fill_name);
            inner.insert(hex_name, Value::String(hex));
        }
    }
    Ok(())
}

/// The hex of a fill: one byte, `len` times over.
fn fill(fields: &Map<String, Value>, name: &str) -> Result<String, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Fill {
        byte: String,
        len: usize,
    }
    let value = fields.get(name).ok_or_else(|| format!("no {name}"))?;
    let fill = Fill::deserialize(value).map_err(|error| format!("{name}: {error}"))?;
    Ok(fill.byte.repeat(fill.len))
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    fields
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("no text {name}"))
}

fn take<T: DeserializeOwned>(fields: &mut Map<String, Value>, name: &str) -> Result<T, String> {
    let value = fields.remove(name).unwrap_or(Value::Null);
    serde_json::from_value(value).map_err(|error| format!("{name}: {error}"))
}

fn parse<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
}

// --- field readers for serde ----------------------------------------------

fn from_hex(hex: &str) -> Result<Vec<u8>, String> {
    if !hex.len().is_multiple_of(2) || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("not whole bytes of hex".to_owned());
    }
    (0..hex.len())
        .step_by(2)
        .map(|at| {
            let pair = hex.get(at..at + 2).unwrap_or_default();
            u8::from_str_radix(pair, 16).map_err(|error| error.to_string())
        })
        .collect()
}

/// Bytes written as hex.
pub(crate) fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    from_hex(&String::deserialize(from)?).map_err(D::Error::custom)
}

/// Bytes written as hex, where they may be absent.
pub(crate) fn bytes_or_none<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Vec<u8>>, D::Error> {
    bytes(from).map(Some)
}

fn array<'de, D: Deserializer<'de>, const N: usize>(from: D) -> Result<[u8; N], D::Error> {
    <[u8; N]>::try_from(bytes(from)?)
        .map_err(|bytes| D::Error::custom(format!("{} bytes instead of {N}", bytes.len())))
}

/// A seed or a public key.
pub(crate) fn key<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
    array(from)
}

/// A nonce.
pub(crate) fn nonce<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 16], D::Error> {
    array(from)
}

/// An integer, written as a number or as a decimal string.
pub(crate) fn int<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i128>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Positive(u64),
        Negative(i64),
        Decimal(String),
    }
    let wide = match Written::deserialize(from)? {
        Written::Positive(value) => i128::from(value),
        Written::Negative(value) => i128::from(value),
        Written::Decimal(digits) => digits.parse().map_err(D::Error::custom)?,
    };
    T::try_from(wide).map_err(|_| D::Error::custom(format!("{wide} is out of range")))
}

/// An integer, where it may be absent.
pub(crate) fn int_or_none<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i128>,
{
    int(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::read;

    fn reason(vector: &str) -> String {
        let text = format!(r#"{{"vectors": [{vector}]}}"#);
        read("test.json", &text).expect_err("refused").to_string()
    }

    #[test]
    fn an_unknown_kind_is_refused_by_name() {
        assert_eq!(
            reason(r#"{"id": "a", "kind": "b"}"#),
            "test.json: a: kind b is unknown"
        );
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let text = reason(
            r#"{"id": "a", "kind": "varint", "encoded_hex": "00", "value": "0", "minimal": true, "x": 1}"#,
        );
        assert!(text.contains("unknown field `x`"), "{text}");
    }

    #[test]
    fn half_a_byte_of_hex_is_refused() {
        let text = reason(
            r#"{"id": "a", "kind": "varint", "encoded_hex": "0", "value": "0", "minimal": true}"#,
        );
        assert!(text.contains("not whole bytes of hex"), "{text}");
    }

    #[test]
    fn a_number_out_of_range_is_refused() {
        let text = reason(
            r#"{"id": "a", "kind": "varint", "encoded_hex": "00", "value": "-1", "minimal": true}"#,
        );
        assert!(text.contains("-1 is out of range"), "{text}");
    }

    #[test]
    fn a_fill_stands_after_its_prefix() {
        let text = r#"{"vectors": [{"id": "a", "encoded_prefix_hex": "04000404ff",
            "payload_fill": {"byte": "ab", "len": 3},
            "frame": {"type": 4, "flags": 0, "op_id": "4", "payload_hex": "ff",
                      "payload_fill": {"byte": "ab", "len": 3}}}]}"#;
        let vectors = read("test.json", text).expect("it follows the schema");
        let frame = vectors[0].as_frame().expect("it is a frame");
        assert_eq!(frame.encoded, [4, 0, 4, 4, 0xFF, 0xAB, 0xAB, 0xAB]);
        assert_eq!(frame.frame.payload, [0xFF, 0xAB, 0xAB, 0xAB]);
        assert_eq!(frame.frame.op_id, 4);
    }
}
