//! JSON and its canonical form over random input, beside implementations by others.

use airc_core::json::{self, JsonErrorKind, parse};
use airc_core::{canonical, signing};
use aire_proto::identity::{Ed25519Signer, Ed25519Verifier};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

/// The largest whole number that a double holds among all below it.
const MAX_SAFE: i64 = (1 << 53) - 1;

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-MAX_SAFE..=MAX_SAFE).prop_map(Value::from),
        (-100..100_i64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (any::<i32>(), -30..30_i32).prop_map(|(digits, exponent)| {
            Value::from(f64::from(digits) * 10_f64.powi(exponent))
        }),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-e]{0,3}",
        any::<String>(),
        vec(any::<char>(), 0..4).prop_map(String::from_iter),
        "[\u{0}-\u{7f}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}]{0,6}",
    ]
}

/// Documents as others build them: nothing of ours is in there.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 80, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::from),
            vec((text(), inner), 0..8)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Text that is nearly JSON: pieces of it in any order.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\"a\"", "\"b\":", "\"a\":1", "true", "false",
            "null", "0", "-0", "1", "-1", "01", "1.5", "1.", ".5", "1e5", "1E+5", "1e-", "-", "+1",
            "1e308", "1e309", "\\u", "\\u0041", "\\ud83d", "\\ude00", "\"\\n\"", " ", "\n", "\t",
            "\u{b}", "\0", "\u{7f}", "\u{feff}", "é", "NaN", "//", "'a'",
        ]).prop_map(str::to_owned),
        1 => text(),
        1 => number().prop_map(|number| number.to_string()),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A document's text with a few bytes changed, taken out, or added.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3_u8);
    (document(), vec(change, 0..4)).prop_map(|(document, changes)| {
        let mut bytes = document.to_string().into_bytes();
        for (at, byte, kind) in changes {
            let at = at.index(bytes.len() + 1);
            match kind {
                0 => bytes.insert(at, byte),
                _ if at == bytes.len() => {}
                1 => bytes[at] = byte,
                _ => {
                    bytes.remove(at);
                }
            }
        }
        bytes
    })
}

/// Both take `bytes`, or neither, but for what we refuse on purpose. What both take, they
/// understand alike.
fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    let theirs = serde_json::from_slice::<Value>(bytes);
    match (parse(bytes), theirs) {
        (Ok(ours), Ok(theirs)) => {
            let again = serde_json::from_str::<Value>(&canonical::to_string(&ours));
            prop_assert!(alike(&again.unwrap(), &theirs));
        }
        (Err(_), Err(_)) => {}
        (Ok(ours), Err(error)) => {
            // Whole numbers of any length are ours alone.
            prop_assert!(
                error.to_string().contains("number out of range"),
                "{ours:?}: {error}"
            );
        }
        (Err(error), Ok(theirs)) => {
            let on_purpose = matches!(
                error.kind,
                JsonErrorKind::DuplicateKey(_) | JsonErrorKind::TooDeep
            );
            prop_assert!(on_purpose, "{theirs:?}: {error}");
        }
    }
    Ok(())
}

/// Equal, but for the last bit of a double: serde_json reads them fast by default, not exactly.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            a == b || ((a - b) / a).abs() < 1e-15 || (a - b).abs() < 1e-300
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            // Whether serde_json keeps an order is a feature that any crate may have switched on.
            let same = |(key, a): (&String, &Value)| b.get(key).is_some_and(|b| alike(a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        _ => a == b,
    }
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn our_canonical_form_is_that_of_others(document in document()) {
        let expected = serde_json_canonicalizer::to_string(&document).unwrap();
        for text in [document.to_string(), serde_json::to_string_pretty(&document).unwrap()] {
            let ours = parse(text.as_bytes()).unwrap();
            prop_assert_eq!(&canonical::to_string(&ours), &expected);
            prop_assert_eq!(canonical::length(&ours), expected.len());
        }
    }

    #[test]
    fn the_canonical_form_of_anything_that_is_read_is_a_fixed_point(bytes in mutated()) {
        if let Ok(value) = parse(&bytes) {
            let text = canonical::to_string(&value);
            let again = parse(text.as_bytes()).unwrap();
            prop_assert_eq!(&again, &value);
            prop_assert_eq!(canonical::to_string(&again), text);
        }
    }

    #[test]
    fn changed_documents_are_taken_by_both_or_refused_by_both(bytes in mutated()) {
        agree(&bytes)?;
    }

    #[test]
    fn pieces_of_json_are_taken_by_both_or_refused_by_both(text in nearly_json()) {
        agree(text.as_bytes())?;
    }

    #[test]
    fn any_bytes_are_taken_by_both_or_refused_by_both(bytes in vec(any::<u8>(), 0..40)) {
        agree(&bytes)?;
    }

    #[test]
    fn whole_numbers_stay_as_they_are(text in "-?[1-9][0-9]{0,60}") {
        prop_assert_eq!(parse(text.as_bytes()).unwrap().to_string(), text);
    }

    #[test]
    fn an_error_is_within_the_text(bytes in mutated()) {
        if let Err(error) = parse(&bytes) {
            prop_assert!(error.at <= bytes.len());
        }
    }

    #[test]
    fn an_object_does_what_a_map_does(entries in vec((text(), 0..5_u8, any::<bool>()), 0..20)) {
        let mut object = json::Object::new();
        let mut map = std::collections::BTreeMap::new();
        for (key, value, keep) in entries {
            let known = map.get(&key).copied();
            prop_assert_eq!(object.get(&key).and_then(json::Value::as_u64), known.map(u64::from));
            if keep {
                object.insert(key.as_str(), value);
                map.insert(key, value);
            } else {
                prop_assert_eq!(object.remove(&key).is_some(), map.remove(&key).is_some());
            }
        }
        prop_assert_eq!(object.len(), map.len());
        let collected: json::Object = map.into_iter().collect();
        prop_assert_eq!(collected, object);
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn a_signature_survives_any_rewriting_and_no_change(document in document(), other in document()) {
        let mut value = json::Object::new();
        value.insert("content", parse(document.to_string().as_bytes()).unwrap());
        let signer = Ed25519Signer::from_seed([7; 32]);
        signing::sign(&mut value, &signer);
        let keys = [signer.public_key()];
        let text = json::Value::from(value.clone()).to_string();
        let loose: Value = serde_json::from_str(&text).unwrap();
        // Only where no double was read inexactly is the rewritten text the same document.
        if serde_json_canonicalizer::to_string(&loose).unwrap() == text {
            let pretty = serde_json::to_string_pretty(&loose).unwrap();
            let again = parse(pretty.as_bytes()).unwrap().into_object().unwrap();
            prop_assert_eq!(signing::verify(&again, &keys, &Ed25519Verifier), Ok(0));
        }
        let other = parse(other.to_string().as_bytes()).unwrap();
        let same = value.get("content") == Some(&other);
        value.insert("content", other);
        let verdict = signing::verify(&value, &keys, &Ed25519Verifier);
        prop_assert_eq!(verdict.is_ok(), same);
    }
}

#[test]
fn a_hundred_thousand_keys_are_read_and_one_more_that_is_there_is_found() {
    // Descending, and with a long part in common: what hurts insertion and comparison most.
    let keys = (0..100_000)
        .rev()
        .map(|key| format!("\"prefix{key:06}\":0"));
    let text = keys.collect::<Vec<_>>().join(",");
    let value = parse(format!("{{{text}}}").as_bytes()).unwrap();
    assert_eq!(value.as_object().unwrap().len(), 100_000);
    let twice = format!("{{{text},\"prefix050000\":1}}");
    let error = parse(twice.as_bytes()).unwrap_err();
    assert_eq!(
        error.kind,
        JsonErrorKind::DuplicateKey("prefix050000".into())
    );
}
