//! Writes the vectors as seeds for fuzzing: `cargo run -p aire-fuzz-targets --example seeds`.
//!
//! They land in `fuzz/corpus-live`, where `scripts/fuzz.sh` begins; the committed corpus is what
//! `fuzz/pick.py` chose among them and what fuzzing found.

use std::path::Path;
use std::{fs, io};

use aire_vectors::{Body, Place, all};

fn main() -> io::Result<()> {
    let live = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus-live");
    let write = |target: &str, id: &str, parts: &[&[u8]]| {
        let bytes = parts.concat();
        if bytes.len() > 2000 {
            return Ok(());
        }
        let folder = live.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(id), bytes)
    };
    for vector in all() {
        let id = &*vector.id;
        match &vector.body {
            Body::Frame(frame) => {
                let payload = &*frame.frame.payload;
                write("decoder", id, &[&[1], &frame.encoded])?;
                write("payloads", id, &[payload])?;
                if frame.frame.kind == 1 {
                    write("hello", id, &[&[0], payload])?;
                }
            }
            Body::Concat(concat) => write("decoder", id, &[&[7], &concat.encoded])?,
            Body::Malformed(bad) => {
                write("decoder", id, &[&[3], &bad.encoded])?;
                if bad.on == Place::ControlFirst && bad.encoded.len() > 5 {
                    write("hello", id, &[&[0], &bad.encoded[5..]])?;
                }
            }
            Body::DidKey(did_key) => {
                write("payloads", id, &[did_key.did.as_bytes()])?;
                write(
                    "payloads",
                    &format!("{id}-vmid"),
                    &[did_key.vmid.as_bytes()],
                )?;
            }
            Body::Varint(varint) => write("payloads", id, &[&varint.encoded])?,
            Body::Binding(binding) => write("decoder", id, &[&[5], &binding.encoded])?,
            Body::Uri(uri) => {
                let other = uri.parts.as_ref().map_or("", |parts| &parts.normal);
                let text = uri.text.as_bytes();
                write("address", id, &[text])?;
                write(
                    "address",
                    &format!("{id}-two"),
                    &[text, b"\n", other.as_bytes()],
                )?;
            }
            Body::Handle(handle) => write("address", id, &[handle.text.as_bytes()])?,
            Body::DidWeb(did_web) => write("address", id, &[did_web.text.as_bytes()])?,
            Body::Path(path) => {
                write("decoder", id, &[&[5], &path.encoded])?;
                let payload = path.encoded.get(4..).unwrap_or_default();
                write("payloads", id, &[payload])?;
            }
        }
    }
    for (number, answer) in ANSWERS.iter().enumerate() {
        write("address", &format!("answer-{number}"), &[answer.as_bytes()])?;
    }
    airc(&write)?;
    quic(&write)?;
    // Scripts and walks have no vectors: a few bytes of each kind.
    for mode in 0..4_u8 {
        for seed in 0..8_u8 {
            let bytes: Vec<u8> = (0..200_u16)
                .map(|at| {
                    (at as u8)
                        .wrapping_mul(seed.wrapping_mul(37))
                        .wrapping_add(seed)
                })
                .collect();
            write(
                "connection",
                &format!("mode-{mode}-{seed}"),
                &[&[mode], &bytes],
            )?;
        }
    }
    Ok(())
}

/// What a handle's lookups answer with, and a version: addresses that are no vectors.
const ANSWERS: &[&str] = &[
    "did=did:web:example.com:a",
    "did:web:example.com\n",
    "aire/v0.4",
];

/// Seeds for `airc-core`: each object as it is sent, and each text that is read by itself.
fn airc(write: &Write<'_>) -> io::Result<()> {
    let key = "MCowBQYDK2VwAyEAET21PtQaGkQXHEsYV4stGuvNRwsVSQDawWBruB8LGDk=";
    let objects = [
        r#"{"v":"0.1","id":"msg_a","from":"a","to":"b","timestamp":1,"nonce":"0123456789abcdef","body":"Hello","payload":{"type":"ack","data":{}},"strict":true,"signature":"AAAA"}"#,
        r#"{"handle":"a","status":"busy","context":"x","timestamp":1,"nonce":"n","signature":null}"#,
        r#"{"from":"a","to":"b","message":"Hey!","timestamp":1735776000,"nonce":"n"}"#,
        &format!(
            r#"{{"handle":"a","publicKey":"{key}","capabilities":{{"payloads":["game:*","ack"],"maxPayloadSize":9,"delivery":["poll"]}},"aire":[{{"uri":"aire://h:1","agent":"x"}}],"timestamp":1,"nonce":"n"}}"#
        ),
        &format!(r#"{{"handle":"a","publicKey":"ed25519:{key}","timestamp":1,"nonce":"n"}}"#),
        r#"{"type":"game:chess","data":{"move":"e4","n":[1.5,-0,1e21,12345678901234567890]}}"#,
        r#"{"action":"request","message":"Hey!"}"#,
    ];
    for (kind, text) in (0_u8..).zip(objects) {
        let name = format!("object-{kind}");
        write("airc-json", &name, &[text.as_bytes()])?;
        write("airc-objects", &name, &[&[kind], text.as_bytes()])?;
        let bytes: Vec<u8> = text.bytes().map(|byte| byte.wrapping_mul(37)).collect();
        write("airc-canonical", &name, &[&bytes])?;
    }
    let ack = br#"{"ref":"msg_a","status":"received","reason":"so"}"#;
    write("airc-objects", "ack", &[&[6], ack])?;
    let odd = br#" [ "\ud83d\ude00\u00e9\n\"\\\/" , true , false , null , -1.5E-7 , 1e999 ] "#;
    write("airc-json", "odd", &[odd])?;
    write("airc-json", "twice", &[br#"{"a":1,"\u0061":2}"#])?;
    write("airc-json", "deep", &[&[b'['; 65]])?;
    let headers = format!("a\n1\n0123456789abcdef\n{}==", "A".repeat(86));
    let private = "MC4CAQAwBQYDK2VwBCIEIJD+08LthT5FplB3b8rKUNd7ZqcmODp2KLs3EIhn+Nxs";
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n");
    for (number, text) in [
        key,
        private,
        &pem,
        "0.1.0",
        "@A-b",
        &headers,
        &"A".repeat(86),
    ]
    .iter()
    .enumerate()
    {
        write(
            "airc-objects",
            &format!("text-{number}"),
            &[&[7], text.as_bytes()],
        )?;
    }
    Ok(())
}

/// Writes a seed: its target's name, its own, and the pieces that it is made of.
type Write<'a> = dyn Fn(&str, &str, &[&[u8]]) -> io::Result<()> + 'a;

/// Seeds for `aire-quic`'s targets: a little of everything that they have a way for.
fn quic(write: &Write<'_>) -> io::Result<()> {
    // Each type of frame, with fields that suit most of them.
    for kind in 0..=0x1e_u8 {
        let frame = [kind, 1, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
        let tail = [9; 16];
        write("quic-frames", &format!("{kind:02x}"), &[&frame, &tail])?;
        for stage in 0..4_u8 {
            let script = [stage, 1, 2 - stage % 2, frame.len() as u8 + 16];
            let name = format!("{stage}-{kind:02x}");
            write(
                "quic-script",
                &name,
                &[&script, &frame, &tail, &[8, 2, 4, 200]],
            )?;
        }
        // The other steps of a script, one after the other.
        let steps: Vec<u8> = (0..30_u8)
            .flat_map(|at| [at.wrapping_mul(kind) | 4, kind * 8])
            .collect();
        write("quic-script", &format!("steps-{kind}"), &[&[3], &steps])?;
    }
    // Each parameter alone, and some together.
    let mut all = vec![];
    for id in 0..=0x10_u8 {
        let value: &[u8] = match id {
            0x00 | 0x0f | 0x10 => b"eightlen",
            0x02 => &[7; 16],
            0x03 => &[0x45, 0xc0],
            0x0c => &[],
            0x0d => &[1; 42],
            _ => &[3],
        };
        let one = [&[id, value.len() as u8], value].concat();
        write("quic-parameters", &format!("{id:02x}"), &[&one])?;
        all.extend(one);
    }
    write("quic-parameters", "all", &[&all])?;
    // Headers of every kind, with and without a connection's id.
    for first in [0x40, 0x44, 0x80, 0xc0, 0xd0, 0xe0, 0xf0_u8] {
        let header = [first, 0, 0, 0, u8::from(first > 0x80), 8];
        let rest = [b"eightlen\x08eightlen\0\x40\x32" as &[u8], &[5; 60]].concat();
        let name = format!("{first:02x}");
        write("quic-packets", &name, &[&[0], &header, &rest])?;
        write(
            "quic-packets",
            &format!("seal-{name}"),
            &[&[first | 1], &rest],
        )?;
        for stage in 0..4 {
            let name = format!("{stage}-{name}");
            write("quic-datagrams", &name, &[&[stage, first, 70], &rest])?;
            write(
                "quic-datagrams",
                &format!("{name}-id"),
                &[&[stage, first | 3, 70], &rest[9..]],
            )?;
        }
    }
    // Each message of a handshake in its state: as it is, with one bit flipped, and cut to nothing.
    for state in 0..9_u8 {
        for (name, rest) in [
            ("true", &[1][..]),
            ("flipped", &[1, 0, 30, 1]),
            ("empty", &[6]),
        ] {
            write(
                "quic-messages",
                &format!("{state}-{name}"),
                &[&[state], rest],
            )?;
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../quic/tests/certificates");
    for kind in ["good", "malformed", "not-servers", "not-issuers"] {
        for entry in fs::read_dir(folder.join(kind))? {
            let path = entry?.path();
            let der = fs::read(&path)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let len = (der.len() as u32).to_be_bytes();
            write(
                "quic-certificates",
                &name,
                &[&[0], &len[1..], &der, &[0, 0]],
            )?;
            // The body alone, behind the outer header.
            if let Some(body) = body(&der) {
                write("quic-certificates", &format!("{name}-body"), &[&[1], body])?;
            }
        }
    }
    Ok(())
}

/// The first element within a certificate, when its lengths take two bytes as usual.
fn body(der: &[u8]) -> Option<&[u8]> {
    let inner = match der {
        [0x30, 0x82, _, _, inner @ ..] | [0x30, 0x81, _, inner @ ..] => inner,
        _ => return None,
    };
    let len = match inner {
        [0x30, 0x82, high, low, ..] => (usize::from(*high) << 8) + usize::from(*low) + 4,
        [0x30, 0x81, len, ..] => usize::from(*len) + 3,
        _ => return None,
    };
    inner.get(..len)
}
