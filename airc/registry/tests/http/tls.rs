//! HTTPS.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use airc_registry::config::{Time, Tls};
use boring::asn1::Asn1Time;
use boring::bn::BigNum;
use boring::ec::{EcGroup, EcKey};
use boring::hash::MessageDigest;
use boring::nid::Nid;
use boring::pkey::PKey;
use boring::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode};
use boring::x509::extension::SubjectAlternativeName;
use boring::x509::{X509, X509NameBuilder};

use crate::support::{PATIENCE, Stand, config, read_all, until};

/// A certificate for localhost that is its own root, written as PEM files.
fn certificate(dir: &Path, serial: u32) -> (Tls, X509) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(serial).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder
        .set_not_before(&Asn1Time::days_from_now(0).unwrap())
        .unwrap();
    builder
        .set_not_after(&Asn1Time::days_from_now(1).unwrap())
        .unwrap();
    let names = SubjectAlternativeName::new()
        .dns("localhost")
        .build(&builder.x509v3_context(None, None))
        .unwrap();
    builder.append_extension(&names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let certificate = builder.build();
    let files = Tls {
        certificate: dir.join("cert.pem"),
        key: dir.join("key.pem"),
    };
    std::fs::write(&files.certificate, certificate.to_pem().unwrap()).unwrap();
    std::fs::write(&files.key, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    (files, certificate)
}

fn connect(address: SocketAddr, root: &X509) -> SslStream<std::net::TcpStream> {
    let mut builder = SslConnector::builder(SslMethod::tls()).unwrap();
    builder.cert_store_mut().add_cert(root.clone()).unwrap();
    builder.set_verify(SslVerifyMode::PEER);
    builder.set_alpn_protos(b"\x02h2\x08http/1.1").unwrap();
    let stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    builder
        .build()
        .connect("localhost", stream)
        .expect("a handshake")
}

fn get(address: SocketAddr, root: &X509, target: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = connect(address, root);
    assert_eq!(
        stream.ssl().selected_alpn_protocol(),
        Some(&b"http/1.1"[..])
    );
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_registry_proves_its_name() {
    let dir = tempfile::TempDir::new().unwrap();
    let (files, root) = certificate(dir.path(), 1);
    let mut config = config();
    config.tls = Some(files);
    let stand = Stand::with(config);
    let answer = get(stand.address, &root, "/.well-known/airc");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains("strict-transport-security"), "{answer}");
    let url = format!("https://localhost:{}", stand.address.port());
    assert!(answer.contains(&url), "{answer}");
}

#[test]
fn browsers_are_told_to_come_back_over_tls_where_others_can_connect() {
    let dir = tempfile::TempDir::new().unwrap();
    let (files, root) = certificate(dir.path(), 1);
    let mut config = config();
    config.tls = Some(files);
    config.listen = SocketAddr::from(([0, 0, 0, 0], 0));
    config.domain = Some("localhost".parse().unwrap());
    let stand = Stand::with(config);
    let answer = get(stand.address, &root, "/healthz");
    assert!(
        answer.contains("strict-transport-security: max-age="),
        "{answer}"
    );
}

#[test]
fn whoever_does_not_shake_hands_keeps_nobody_waiting_and_is_let_go() {
    let dir = tempfile::TempDir::new().unwrap();
    let (files, root) = certificate(dir.path(), 1);
    let mut config = config();
    config.tls = Some(files);
    config.limits.handshakes = 64;
    config.times.handshake_timeout = Time(Duration::from_secs(3));
    let stand = Stand::with(config);
    let silent: Vec<_> = (0..8).map(|_| stand.connect()).collect();
    let answer = get(stand.address, &root, "/healthz");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for stream in &silent {
        assert_eq!(read_all(stream), "");
    }
    // Plain HTTP is not answered as if it were good.
    let plain = stand.connect();
    crate::support::write(&plain, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(!read_all(&plain).contains("200 OK"));
}

#[test]
fn a_certificate_that_changes_is_taken_without_a_restart() {
    let dir = tempfile::TempDir::new().unwrap();
    let (files, first) = certificate(dir.path(), 1);
    let mut config = config();
    config.tls = Some(files.clone());
    let stand = Stand::with(config);
    let serial = |root: &X509| {
        let stream = connect(stand.address, root);
        let certificate = stream.ssl().peer_certificate().unwrap();
        certificate
            .serial_number()
            .to_bn()
            .unwrap()
            .to_dec_str()
            .unwrap()
            .to_string()
    };
    assert_eq!(serial(&first), "1");
    // What is no good is not taken.
    std::fs::write(&files.key, "nonsense").unwrap();
    let (_, second) = certificate(dir.path(), 2);
    until("the new certificate", || {
        let mut builder = SslConnector::builder(SslMethod::tls()).unwrap();
        builder.cert_store_mut().add_cert(second.clone()).unwrap();
        let stream = std::net::TcpStream::connect(stand.address).unwrap();
        builder.build().connect("localhost", stream).ok().map(drop)
    });
    assert_eq!(serial(&second), "2");
}
