//! Keys in files (section 6.2).

mod support;

use std::fs;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt as _;

use airc_client::{Error, SigningKey};
use support::key;

#[test]
fn a_new_key_is_in_a_file_that_its_owner_alone_may_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("key.pem");
    let made = SigningKey::create_pem_file(&path).expect("a key");
    let read = SigningKey::from_pem_file(&path).expect("the same");
    assert_eq!(read.public_key(), made.public_key());
    assert!(made.did().starts_with("did:key:z6Mk"));
    #[cfg(unix)]
    {
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let text = fs::read_to_string(&path).expect("text");
    assert!(text.starts_with("-----BEGIN PRIVATE KEY-----\n"), "PKCS#8");
    // Nothing of how it was made is left beside it.
    assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);
}

#[test]
fn a_key_that_is_there_is_not_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("key.pem");
    let first = SigningKey::create_pem_file(&path).expect("a key");
    let error = SigningKey::create_pem_file(&path).expect_err("it is there");
    assert!(
        matches!(error, Error::File { doing: "write", .. }),
        "{error}"
    );
    let read = SigningKey::from_pem_file(&path).expect("the first");
    assert_eq!(read.public_key(), first.public_key());
}

#[test]
fn what_holds_no_key_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("key.pem");
    let missing = SigningKey::from_pem_file(&path).expect_err("nothing there");
    assert!(missing.to_string().contains("key.pem"), "{missing}");
    let endless = "x".repeat(1 << 20);
    let zeros = airc_core::key::secret_to_pem(&[0; 32]);
    for content in [
        "",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        &zeros,
        &endless,
    ] {
        fs::write(&path, content).expect("a file");
        let error = SigningKey::from_pem_file(&path).expect_err("no key");
        assert!(matches!(error, Error::FileContent { .. }), "{error}");
    }
    fs::write(&path, [0xff; 16]).expect("a file");
    let error = SigningKey::from_pem_file(&path).expect_err("no key");
    assert!(matches!(error, Error::FileContent { .. }), "{error}");
}

#[test]
fn a_secret_is_never_printed() {
    let printed = format!("{:?}", key(7));
    assert_eq!(printed, format!("SigningKey({})", key(7).did()));
}

#[test]
fn a_file_of_authorities_has_certificates_in_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("ca.pem");
    let builder = || airc_client::Client::builder("https://registry.example", "seth");
    assert!(matches!(builder().ca_file(&path), Err(Error::File { .. })));
    for content in [
        "",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    ] {
        fs::write(&path, content).expect("a file");
        let error = builder().ca_file(&path).expect_err("none");
        assert!(matches!(error, Error::FileContent { .. }), "{error}");
    }
}
