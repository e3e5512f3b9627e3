//! Writes the vectors as seeds for fuzzing: `cargo run -p aire-fuzz-targets --example seeds`.
//!
//! They land in `fuzz/corpus-live`, where `scripts/fuzz.sh` begins; the committed corpus is what
//! `fuzz/pick.py` chose among them and what fuzzing found.

use std::fs;
use std::path::Path;

use aire_vectors::{Body, Place, all};

fn main() -> std::io::Result<()> {
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
            Body::Path(path) => {
                write("decoder", id, &[&[5], &path.encoded])?;
                let payload = path.encoded.get(4..).unwrap_or_default();
                write("payloads", id, &[payload])?;
            }
        }
    }
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
