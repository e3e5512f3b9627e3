//! What a signed message costs, step by step.

use std::hint::black_box;

use airc_core::object::{Message, MessageDraft, OwnedPayload};
use airc_core::{canonical, handle::Handle, json};
use aire_proto::identity::{Ed25519Signer, Ed25519Verifier};
use criterion::{Criterion, criterion_group, criterion_main};

fn signing(criterion: &mut Criterion) {
    let signer = Ed25519Signer::from_seed([7; 32]);
    let data = json::object([("turn", "O".into()), ("board", vec![""; 9].into())]);
    let payload = OwnedPayload {
        kind: "game:tictactoe".into(),
        data: data.into_object().unwrap_or_default(),
    };
    let mut message = Message::new(MessageDraft {
        id: "msg_6fa459ea-ee8a-3ca4-894e-db77e160355e",
        from: &Handle::parse("seth").expect("a handle"),
        to: &Handle::parse("alex").expect("a handle"),
        timestamp: 1_735_776_000,
        nonce: "0123456789abcdef0123456789abcdef",
        body: Some("Your move!"),
        payload: Some(payload),
        strict: false,
    })
    .expect("a message");
    message.sign(&signer);
    let keys = [signer.public_key()];
    let value = message.clone().into_value();
    let text = value.to_string();

    criterion.bench_function("parse", |bench| {
        bench.iter(|| json::parse(black_box(text.as_bytes())));
    });
    criterion.bench_function("canonical", |bench| {
        bench.iter(|| canonical::to_string(black_box(&value)));
    });
    criterion.bench_function("read", |bench| {
        bench.iter(|| Message::read(black_box(&value).clone()));
    });
    criterion.bench_function("sign", |bench| {
        bench.iter(|| black_box(&mut message).sign(&signer));
    });
    criterion.bench_function("verify", |bench| {
        bench.iter(|| black_box(&message).verify(&keys, &Ed25519Verifier));
    });
}

criterion_group!(benches, signing);
criterion_main!(benches);
