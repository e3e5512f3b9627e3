//! `aire keygen`, as it is run.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use aire_mio::Identity;
use support::Home;

#[test]
fn a_new_key_is_a_file_for_its_owner_alone_and_its_did_is_printed() {
    let home = Home::new();
    let ran = home.run(&["keygen", "keys/node.pem"]);
    let did = ran.good();
    let path = home.path().join("keys/node.pem");
    let identity = Identity::from_pem_file(&path).expect("a key");
    assert_eq!(did, format!("{}\n", identity.did()));
    assert!(ran.stderr().contains("keys/node.pem"));
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&path).expect("text");
    assert!(text.starts_with("-----BEGIN PRIVATE KEY-----\n"), "PKCS#8");
    // Nothing of how it was made is left beside it.
    let beside = fs::read_dir(home.path().join("keys")).expect("a directory");
    assert_eq!(beside.count(), 1);
}

#[test]
fn without_a_name_it_is_the_key_of_this_user() {
    let home = Home::new();
    let made = home.run(&["keygen", "--json"]).json();
    let path = home.path().join("config/aire/key.pem");
    assert_eq!(made["file"], path.to_str().expect("text"));
    assert_eq!(
        home.run(&["did", "show", "--json"]).json()["did"],
        made["did"]
    );
}

#[test]
fn a_key_is_not_lost_without_force() {
    let home = Home::new();
    let first = home.run(&["keygen", "key.pem"]).good();
    let again = home.run(&["keygen", "key.pem"]);
    assert_eq!(again.code(), Some(2));
    assert!(again.stderr().contains("key.pem is there already"));
    assert_eq!(home.run(&["did", "show", "--key", "key.pem"]).good(), first);
    let forced = home.run(&["keygen", "key.pem", "--force"]).good();
    assert_ne!(forced, first);
    assert_eq!(
        home.run(&["did", "show", "--key", "key.pem"]).good(),
        forced
    );
}

#[test]
fn a_key_that_cannot_be_written_is_an_error_with_its_name() {
    let home = Home::new();
    home.file("file", "");
    let ran = home.run(&["keygen", "file/key.pem", "--json"]);
    assert_eq!(ran.code(), Some(2));
    let error: serde_json::Value = serde_json::from_str(&ran.stderr()).expect("JSON");
    assert!(
        error["error"]
            .as_str()
            .expect("text")
            .contains("file/key.pem")
    );
    assert_eq!(error["exit"], 2);
}
