//! The committed corpus of every fuzz target, replayed.

use std::fs;
use std::path::{Path, PathBuf};

use aire_fuzz_targets::{airc, quic, registry};

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
fn the_address_corpus_holds() {
    replay("address", aire_fuzz_targets::address);
}

#[test]
fn the_airc_canonical_corpus_holds() {
    replay("airc-canonical", airc::canonical);
}

#[test]
fn the_airc_json_corpus_holds() {
    replay("airc-json", airc::json);
}

#[test]
fn the_airc_objects_corpus_holds() {
    replay("airc-objects", airc::objects);
}

#[test]
fn the_airc_request_corpus_holds() {
    replay("airc-request", registry::request);
}

#[test]
fn the_connection_corpus_holds() {
    replay("connection", aire_fuzz_targets::connection);
}

#[test]
fn the_quic_certificates_corpus_holds() {
    replay("quic-certificates", quic::certificates);
}

#[test]
fn the_quic_datagrams_corpus_holds() {
    replay("quic-datagrams", quic::datagrams);
}

#[test]
fn the_quic_frames_corpus_holds() {
    replay("quic-frames", quic::frames);
}

#[test]
fn the_quic_messages_corpus_holds() {
    replay("quic-messages", quic::messages);
}

#[test]
fn the_quic_packets_corpus_holds() {
    replay("quic-packets", quic::packets);
}

#[test]
fn the_quic_parameters_corpus_holds() {
    replay("quic-parameters", quic::parameters);
}

#[test]
fn the_quic_script_corpus_holds() {
    replay("quic-script", quic::script);
}

#[test]
fn every_target_copes_with_nothing_at_all() {
    for target in [
        aire_fuzz_targets::decoder,
        aire_fuzz_targets::hello,
        aire_fuzz_targets::payloads,
        aire_fuzz_targets::connection,
        aire_fuzz_targets::address,
        airc::canonical,
        airc::json,
        airc::objects,
        registry::request,
        quic::certificates,
        quic::datagrams,
        quic::frames,
        quic::messages,
        quic::packets,
        quic::parameters,
        quic::script,
    ] {
        target(b"");
        for byte in 0..=u8::MAX {
            target(&[byte]);
        }
    }
}
