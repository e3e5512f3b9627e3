//! AIRC: JSON, its canonical form, and what agents send.

use airc_core::PublicKey;
use airc_core::handle::Handle;
use airc_core::json::{self, JsonErrorKind, Number, Object, Value};
use airc_core::object::{
    Ack, ConsentDraft, ConsentNotice, Handshake, Heartbeat, HeartbeatDraft, Message, MessageDraft,
    OwnedPayload, Payload, Registration, RegistrationDraft, Rotation, RotationDraft, check_version,
    is_listed,
};
use airc_core::signing::{SignatureError, SignedHeaders};
use airc_core::{canonical, key, limits, signing};
use aire_proto::identity::{Ed25519Signer, Ed25519Verifier};

use crate::support::script::Choices;

/// Bytes are JSON or are refused at a place within them; what is JSON has one canonical form, which
/// is read as the same.
pub fn json(data: &[u8]) {
    match json::parse(data) {
        Err(error) => {
            assert!(error.at <= data.len());
            assert!(!error.to_string().is_empty());
            if let JsonErrorKind::DuplicateKey(_) = error.kind {
                assert_eq!(data[error.at], b'{');
            }
        }
        Ok(value) => {
            assert_eq!(json::parse_answer(data).as_ref(), Ok(&value));
            fixed_point(&value);
        }
    }
}

fn fixed_point(value: &Value) {
    let text = canonical::to_string(value);
    assert_eq!(canonical::length(value), text.len());
    assert!(!text.contains(|character: char| character < ' '));
    let again = json::parse(text.as_bytes()).expect("the canonical form is JSON");
    assert_eq!(again, *value);
    assert_eq!(canonical::to_string(&again), text);
    ordered(value);
}

fn ordered(value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(ordered),
        Value::Object(object) => {
            let keys: Vec<Vec<u16>> = object
                .iter()
                .map(|(key, _)| key.encode_utf16().collect())
                .collect();
            assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
            for (key, value) in object.iter() {
                assert_eq!(object.get(key), Some(value));
                ordered(value);
            }
        }
        Value::Number(number) => {
            if let Some(whole) = number.as_u64() {
                assert_eq!(Number::from(whole), *number);
            }
            assert_eq!(
                number.as_i64().map(Number::from).as_ref().unwrap_or(number),
                number
            );
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// However a document is written, its canonical form is one; and what is signed is that, without
/// the outermost signature.
pub fn canonical(data: &[u8]) {
    let mut choices = Choices(data);
    let mut object = Object::new();
    for _ in 0..choices.byte() % 6 {
        let key = text(&mut choices);
        object.insert(key, value(&mut choices, 5));
    }
    let whole = Value::from(object.clone());
    fixed_point(&whole);

    let mut loose = String::new();
    rewrite(&whole, &mut choices, &mut loose);
    assert_eq!(json::parse(loose.as_bytes()), Ok(whole), "{loose}");

    let covered = signing::payload(&object);
    object.insert(signing::FIELD, value(&mut choices, 1));
    assert_eq!(signing::payload(&object), covered);
    object.remove(signing::FIELD);
    assert_eq!(canonical::to_string(&object.into()), covered);
}

/// A short text of odd characters.
fn text(choices: &mut Choices<'_>) -> String {
    const ODD: [char; 12] = [
        '\0',
        '\u{8}',
        '\n',
        '\u{1f}',
        '"',
        '\\',
        '/',
        '\u{7f}',
        '\u{d7ff}',
        '\u{e000}',
        '\u{ffff}',
        '\u{10000}',
    ];
    let len = choices.byte() % 4;
    let character = |choice: u8| match choice.checked_sub(200) {
        Some(odd) => ODD[usize::from(odd) % ODD.len()],
        None => char::from(choice),
    };
    (0..len).map(|_| character(choices.byte())).collect()
}

fn value(choices: &mut Choices<'_>, depth: u8) -> Value {
    let kind = choices.byte();
    let len = kind >> 4;
    match kind % 8 {
        0 => Value::Null,
        1 => (len % 2 == 1).into(),
        2 => i64::from_le_bytes([0; 8].map(|_: u8| choices.byte())).into(),
        3 => {
            let bits = u64::from_le_bytes([0; 8].map(|_: u8| choices.byte()));
            Number::from_f64(f64::from_bits(bits)).into()
        }
        4 | 5 => text(choices).into(),
        _ if depth == 0 => u64::MAX.into(),
        6 => (0..len)
            .map(|_| value(choices, depth - 1))
            .collect::<Vec<_>>()
            .into(),
        _ => (0..len)
            .map(|_| (text(choices), value(choices, depth - 1)))
            .collect::<Object>()
            .into(),
    }
}

/// Writes a value in another way: with space, escapes, and keys from behind.
fn rewrite(value: &Value, choices: &mut Choices<'_>, out: &mut String) {
    const SPACE: [&str; 4] = ["", " ", "\r\n", "\t"];
    let mut space = |out: &mut String| out.push_str(SPACE[usize::from(choices.byte()) % 4]);
    space(out);
    match value {
        Value::Null | Value::Bool(_) => out.push_str(&value.to_string()),
        Value::Number(number) => {
            let text = number.to_string();
            out.push_str(&text);
            // With a fraction it is a double: the same only where a double is exact.
            if number.as_i64().is_some_and(|whole| whole.abs() < 1 << 53) {
                out.push_str(".0e0");
            }
        }
        Value::String(text) => quote(text, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                rewrite(item, choices, out);
            }
            out.push(']');
        }
        Value::Object(object) => {
            out.push('{');
            let mut entries: Vec<_> = object.iter().collect();
            entries.reverse();
            for (at, (key, value)) in entries.into_iter().enumerate() {
                out.push_str(if at > 0 { " ,\n" } else { "" });
                quote(key, out);
                out.push_str("\t: ");
                rewrite(value, choices, out);
            }
            out.push('}');
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for unit in text.encode_utf16() {
        out.push_str(&format!("\\u{unit:04X}"));
    }
    out.push('"');
}

/// What an agent sends is refused, or read as what it is, within its limits; and what can be read
/// can be made, signed, and read again.
pub fn objects(data: &[u8]) {
    let Some((&kind, bytes)) = data.split_first() else {
        return;
    };
    if kind % 8 == 7 {
        if let Ok(text) = core::str::from_utf8(bytes) {
            texts(text);
        }
        return;
    }
    let Ok(value) = json::parse(bytes) else {
        return;
    };
    match kind % 8 {
        0 => message(value),
        1 => heartbeat(value),
        2 => consent(value),
        3 => registration(value),
        4 => rotation(value),
        5 => payload(&value),
        _ => payload_data(&value),
    }
}

/// A signed object is verified by the key that signed it; one that came with a signature, by none of
/// ours.
macro_rules! signed {
    ($object:expr) => {{
        let signer = Ed25519Signer::from_seed([7; 32]);
        let keys = [PublicKey([3; 32]), signer.public_key()];
        let mut object = $object;
        match object.verify(&keys, &Ed25519Verifier) {
            Ok(_) => assert!(object.is_signed()),
            Err(error) => assert_eq!(error == SignatureError::Missing, !object.is_signed()),
        }
        object.sign(&signer);
        assert_eq!(object.verify(&keys, &Ed25519Verifier), Ok(1));
        let text = object.clone().into_value().to_string();
        let value = json::parse(text.as_bytes()).expect("it was canonical");
        (object, value)
    }};
}

fn message(value: Value) {
    let Ok(message) = Message::read(value) else {
        return;
    };
    let payload = message.payload();
    assert!(payload.is_some() || !message.body().is_empty());
    assert!((16..=128).contains(&message.nonce.chars().count()));
    assert!(message.id.starts_with("msg_") && message.id.is_ascii());
    let made = Message::new(MessageDraft {
        id: &message.id,
        from: &message.from,
        to: &message.to,
        timestamp: message.timestamp,
        nonce: &message.nonce,
        body: Some(message.body()),
        payload: payload.map(|payload| OwnedPayload {
            kind: payload.kind.to_owned(),
            data: payload.data.clone(),
        }),
        strict: message.strict,
    })
    .expect("what was read can be made");
    assert_eq!(made.body(), message.body());
    assert_eq!(
        made.payload().map(|own| own.data.clone()),
        payload.map(|own| own.data.clone())
    );
    let (object, value) = signed!(message);
    assert_eq!(Message::read(value), Ok(object));
}

fn heartbeat(value: Value) {
    let Ok(heartbeat) = Heartbeat::read(value) else {
        return;
    };
    let context = heartbeat.context.as_deref();
    assert!(context.is_none_or(|context| context.chars().count() <= 280));
    let made = Heartbeat::new(HeartbeatDraft {
        handle: &heartbeat.handle,
        status: heartbeat.status,
        context,
        timestamp: heartbeat.timestamp,
        nonce: &heartbeat.nonce,
    })
    .expect("what was read can be made");
    assert_eq!(
        (made.status, &made.context),
        (heartbeat.status, &heartbeat.context)
    );
    let (object, value) = signed!(heartbeat);
    assert_eq!(Heartbeat::read(value), Ok(object));
}

fn consent(value: Value) {
    let Ok(notice) = ConsentNotice::read(value) else {
        return;
    };
    let made = ConsentNotice::new(ConsentDraft {
        from: &notice.from,
        to: &notice.to,
        message: notice.message.as_deref(),
        timestamp: notice.timestamp,
        nonce: &notice.nonce,
    })
    .expect("what was read can be made");
    assert_eq!(made.message, notice.message);
    let (object, value) = signed!(notice);
    assert_eq!(ConsentNotice::read(value), Ok(object));
}

fn registration(value: Value) {
    let Ok(registration) = Registration::read(value) else {
        return;
    };
    assert!(registration.payloads.len() <= limits::MAX_PAYLOAD_TYPES);
    assert!(registration.endpoints.len() <= limits::MAX_ENDPOINTS);
    let made = Registration::new(RegistrationDraft {
        handle: &registration.handle,
        key: &registration.key,
        payloads: &registration.payloads,
        max_payload_size: registration.max_payload_size,
        endpoints: &registration.endpoints,
        timestamp: registration.timestamp.unwrap_or(1),
        nonce: registration.nonce.as_deref().unwrap_or("1"),
    })
    .expect("what was read can be made");
    assert_eq!(made.capabilities(1), registration.capabilities(1));
    assert_eq!(made.endpoints, registration.endpoints);
    let (object, value) = signed!(registration);
    assert_eq!(Registration::read(value), Ok(object));
}

fn rotation(value: Value) {
    let Ok(rotation) = Rotation::read(value) else {
        return;
    };
    let made = Rotation::new(RotationDraft {
        handle: &rotation.handle,
        key: &rotation.key,
        timestamp: rotation.timestamp,
        nonce: &rotation.nonce,
    })
    .expect("what was read can be made");
    assert_eq!(made.key, rotation.key);
    let (object, value) = signed!(rotation);
    assert_eq!(Rotation::read(value), Ok(object));
}

fn payload(value: &Value) {
    if let Ok(payload) = Payload::read(value) {
        assert_eq!(payload.size(), canonical::to_string(value).len());
        assert!(is_listed(&[payload.kind.to_owned()], payload.kind));
    }
}

fn payload_data(value: &Value) {
    let Some(data) = value.as_object() else {
        return;
    };
    if let Ok(handshake) = Handshake::read(data) {
        let made = handshake.clone().into_payload();
        assert_eq!(Handshake::read(&made.data), Ok(handshake));
    }
    if let Ok(ack) = Ack::read(data) {
        let made = ack.clone().into_payload();
        assert_eq!(Ack::read(&made.data), Ok(ack));
    }
}

/// Keys, signatures, versions, handles, and the four headers in four lines.
fn texts(text: &str) {
    if let Ok(key) = key::parse(text) {
        assert_eq!(key::parse(&key::to_spki_base64(&key)), Ok(key));
    }
    if let Ok(signer) = key::parse_secret(text) {
        assert!(key::parse(&key::to_spki_base64(&signer.public_key())).is_ok());
    }
    if let Ok(signature) = signing::parse(text) {
        let written = signing::to_text(&signature);
        assert_eq!(
            (written.len(), signing::parse(&written)),
            (88, Ok(signature))
        );
    }
    if check_version(text).is_ok() {
        assert!(text.starts_with('0'));
    }
    if let Ok(handle) = Handle::parse_legacy(text) {
        assert_eq!(Handle::parse(handle.as_str()), Ok(handle));
    }
    let mut lines = text.lines();
    let mut line = || lines.next().unwrap_or_default();
    let read = SignedHeaders::read(line(), line(), line(), line());
    if let Ok(signed) = read {
        let headers = signed.headers();
        let values: Vec<&str> = headers.iter().map(|(_, value)| &**value).collect();
        let again = SignedHeaders::read(values[0], values[1], values[2], values[3]);
        assert_eq!(again, Ok(signed));
    }
}
