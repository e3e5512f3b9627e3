//! What is given: appendix C of the text, its examples, and the tables of RFC 8785.

use airc_core::json::{Number, Object, Value, parse};
use airc_core::object::{ConsentNotice, Heartbeat, Message};
use airc_core::{PublicKey, canonical, key, signing};
use aire_proto::identity::{Ed25519Signer, Ed25519Verifier, Signer};

/// Appendix C: what is signed, and the signature.
const MESSAGE: (&str, &str) = (
    r#"{"body":"Hello","from":"alice","id":"msg_test_001","nonce":"nonce_1234567890abcd","payload":{"data":{"board":["X","","","","","","","",""],"turn":"O"},"type":"game:tictactoe"},"timestamp":1735776000,"to":"bob","v":"0.1"}"#,
    "vlmgKIF7qqWvM+WwK7MvHSai3nD0qhT3Ef3MXLAC4hTOOPxEUIhlBMbDhloVS9g30YdVbta3JKiKPwtDAy9yCw==",
);
const HEARTBEAT: (&str, &str) = (
    r#"{"context":"building auth.js","handle":"alice","nonce":"hb_nonce_001","status":"online","timestamp":1735776000}"#,
    "PJdlERSTErJAtek3RwM/5rmzsinIvm6BZQWigJuku2L3ixEAisDcD6KykXuVXAp5fffnEPOoRpeb0qgWlGkRCw==",
);
const CONSENT: (&str, &str) = (
    r#"{"from":"alice","message":"Hey!","nonce":"consent_nonce_001","timestamp":1735776000,"to":"bob"}"#,
    "LP+Roy9Y2e5wNyzSj/fGLKxVpHBoq2GzB+zjf9l0MYqrzf3CCOqI2VRKUmkpPnyfkXqqnjc82Xv1HmTu2Ri4AQ==",
);

fn public_key() -> PublicKey {
    key::parse("MCowBQYDK2VwAyEAET21PtQaGkQXHEsYV4stGuvNRwsVSQDawWBruB8LGDk=").unwrap()
}

fn signer() -> Ed25519Signer {
    key::parse_secret("MC4CAQAwBQYDK2VwBCIEIJD+08LthT5FplB3b8rKUNd7ZqcmODp2KLs3EIhn+Nxs").unwrap()
}

fn object(text: &str) -> Object {
    parse(text.as_bytes()).unwrap().into_object().unwrap()
}

#[test]
fn the_private_key_of_appendix_c_is_that_of_its_public_key() {
    assert_eq!(signer().public_key(), public_key());
}

#[test]
fn all_signatures_of_appendix_c_verify() {
    for (text, signature) in [MESSAGE, HEARTBEAT, CONSENT] {
        let mut object = object(text);
        assert_eq!(signing::payload(&object), text, "it is canonical already");
        object.insert("signature", signature);
        let keys = [public_key()];
        assert_eq!(signing::verify(&object, &keys, &Ed25519Verifier), Ok(0));
    }
}

#[test]
fn the_private_key_of_appendix_c_makes_the_same_signatures() {
    for (text, signature) in [MESSAGE, HEARTBEAT, CONSENT] {
        let mut object = object(text);
        signing::sign(&mut object, &signer());
        let made = object.get("signature").and_then(Value::as_str);
        assert_eq!(made, Some(signature));
        let bytes = signer().sign(text.as_bytes());
        assert_eq!(signing::to_text(&bytes), signature);
    }
}

#[test]
fn the_objects_of_appendix_c_are_taken_and_signed_alike() {
    let signed = |(text, signature): (&str, &str)| {
        let mut object = object(text);
        object.insert("signature", signature);
        Value::from(object)
    };
    let keys = [public_key()];
    let message = Message::read(signed(MESSAGE)).unwrap();
    assert_eq!(message.verify(&keys, &Ed25519Verifier), Ok(0));
    let heartbeat = Heartbeat::read(signed(HEARTBEAT)).unwrap();
    assert_eq!(heartbeat.verify(&keys, &Ed25519Verifier), Ok(0));
    let notice = ConsentNotice::read(signed(CONSENT)).unwrap();
    assert_eq!(notice.verify(&keys, &Ed25519Verifier), Ok(0));
}

#[test]
fn the_message_of_section_3_1_is_signed_as_the_text_says() {
    let original = r#"{
  "v": "0.1",
  "id": "msg_abc123",
  "from": "seth",
  "to": "alex",
  "timestamp": 1735776000,
  "nonce": "random123456789",
  "body": "Hello",
  "payload": { "type": "game:chess", "data": { "move": "e4" } },
  "signature": "..."
}"#;
    assert_eq!(
        signing::payload(&object(original)),
        r#"{"body":"Hello","from":"seth","id":"msg_abc123","nonce":"random123456789","payload":{"data":{"move":"e4"},"type":"game:chess"},"timestamp":1735776000,"to":"alex","v":"0.1"}"#
    );
}

#[test]
fn the_other_examples_of_section_3_1_are_canonical() {
    for text in [
        r#"{"context":"building auth.js","handle":"seth","nonce":"abc123","status":"online","timestamp":1735776000}"#,
        r#"{"from":"seth","message":"Hey!","nonce":"xyz789","timestamp":1735776000,"to":"alex"}"#,
    ] {
        assert_eq!(signing::payload(&object(text)), text);
    }
}

/// RFC 8785, appendix B.
#[test]
fn doubles_are_written_as_rfc_8785_lists_them() {
    for (bits, text) in [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] {
        let number = Number::from_f64(f64::from_bits(bits)).unwrap();
        assert_eq!(number.to_string(), text);
        // Read from text that is no whole number, it is the same.
        let lexeme = format!("{:e}", f64::from_bits(bits));
        let read = parse(lexeme.as_bytes()).unwrap();
        assert_eq!(read.to_string(), text, "{lexeme}");
    }
    for bits in [0x7fff_ffff_ffff_ffff, 0x7ff0_0000_0000_0000] {
        assert_eq!(Number::from_f64(f64::from_bits(bits)), None);
    }
}

/// RFC 8785, section 3.2.2.
#[test]
fn literals_numbers_and_strings_are_written_as_rfc_8785_does() {
    let text = r#"{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}"#;
    assert_eq!(
        canonical::to_string(&parse(text.as_bytes()).unwrap()),
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
    );
}

/// RFC 8785, section 3.2.3.
#[test]
fn keys_are_sorted_as_rfc_8785_does() {
    let text = r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#;
    assert_eq!(
        canonical::to_string(&parse(text.as_bytes()).unwrap()),
        "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
    );
}
