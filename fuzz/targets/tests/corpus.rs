//! The committed corpus of every fuzz target, replayed.

use std::fs;
use std::path::{Path, PathBuf};

/// The inputs of one target, in the order of their names.
fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../corpus")
        .join(target);
    let entries = fs::read_dir(&folder).expect("every target has a corpus");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    files.sort();
    files
}

fn replay(target: &str, run: fn(&[u8])) {
    let files = corpus(target);
    assert!(
        files.len() >= 10,
        "{target} has only {} inputs",
        files.len()
    );
    for file in files {
        println!("{}", file.display());
        run(&fs::read(&file).expect("the file can be read"));
    }
}

#[test]
fn the_decoder_corpus_holds() {
    replay("decoder", aire_fuzz_targets::decoder);
}

#[test]
fn the_hello_corpus_holds() {
    replay("hello", aire_fuzz_targets::hello);
}

#[test]
fn the_payloads_corpus_holds() {
    replay("payloads", aire_fuzz_targets::payloads);
}

#[test]
fn the_connection_corpus_holds() {
    replay("connection", aire_fuzz_targets::connection);
}

#[test]
fn every_target_copes_with_nothing_at_all() {
    for target in [
        aire_fuzz_targets::decoder,
        aire_fuzz_targets::hello,
        aire_fuzz_targets::payloads,
        aire_fuzz_targets::connection,
    ] {
        target(b"");
        for byte in 0..=u8::MAX {
            target(&[byte]);
        }
    }
}
