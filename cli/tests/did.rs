//! `aire did`, as it is run.

mod support;

use std::fs;

use support::Home;

const WEB: &[&str] = &[
    "--did",
    "did:web:example.org",
    "--endpoint",
    "aire://node.example.org",
    "--endpoint",
    "aire://[2001:db8::1]:5000",
    "--handle",
    "@alice@example.org",
];

fn with<'a>(first: &[&'a str], rest: &[&'a str]) -> Vec<&'a str> {
    [first, rest].concat()
}

#[test]
fn a_key_is_shown_as_its_did() {
    let home = Home::new();
    let did = home.run(&["keygen"]).good();
    assert_eq!(home.run(&["did", "show"]).good(), did);
    let shown = home.run(&["did", "show", "--json"]).json();
    let did = did.trim();
    let key = did.strip_prefix("did:key:").expect("a did:key");
    assert_eq!(shown["did"], did);
    assert_eq!(shown["publicKeyMultibase"], key);
    assert_eq!(shown["verificationMethod"], format!("{did}#{key}"));
}

#[test]
fn a_missing_key_is_an_error_with_its_name() {
    let home = Home::new();
    let ran = home.run(&["did", "show"]);
    assert_eq!(ran.code(), Some(2));
    assert!(
        ran.stderr().contains("config/aire/key.pem"),
        "{}",
        ran.stderr()
    );
}

#[test]
fn a_document_says_where_the_node_is_and_which_key_it_has() {
    let home = Home::new();
    let did = home.run(&["keygen"]).good();
    let document = home.run(&with(&["did", "document"], WEB)).json();
    assert_eq!(document["id"], "did:web:example.org");
    assert_eq!(document["alsoKnownAs"][0], "aire://alice@example.org");
    let method = &document["verificationMethod"][0];
    assert_eq!(method["id"], "did:web:example.org#key-1");
    let key = method["publicKeyMultibase"].as_str().expect("text");
    assert_eq!(format!("did:key:{key}"), did.trim());
    let places = &document["service"][0]["serviceEndpoint"];
    assert_eq!(places[0]["uri"], "aire://node.example.org");
    assert_eq!(places[1]["uri"], "aire://[2001:db8::1]:5000");
}

#[test]
fn what_cannot_be_in_a_document_is_refused() {
    let home = Home::new();
    home.run(&["keygen"]).good();
    for (args, words) in [
        (["--did", "did:key:x", "--handle", "@a@b.c"], "did:web"),
        (
            ["--did", "did:web:a.b", "--endpoint", "https://a.b"],
            "https://a.b",
        ),
        (["--did", "did:web:a.b", "--handle", "nobody"], "nobody"),
    ] {
        let ran = home.run(&with(&["did", "document"], &args));
        assert_eq!(ran.code(), Some(2), "{args:?}");
        assert!(ran.stderr().contains(words), "{}", ran.stderr());
    }
}

#[test]
fn documents_are_published_as_files_of_a_web_server() {
    let home = Home::new();
    home.run(&["keygen"]).good();
    let published = home
        .run(&with(&["did", "publish", "www", "--json"], WEB))
        .json();
    assert_eq!(published["did"], "did:web:example.org");
    for file in published["files"].as_array().expect("a list") {
        assert!(home.path().join(file.as_str().expect("text")).exists());
    }
    let record = &published["txt_records"][0];
    assert_eq!(record["name"], "_aire.alice.example.org");
    assert_eq!(record["value"], "did=did:web:example.org");
    let read = |name| fs::read_to_string(home.path().join("www/.well-known").join(name));
    let document = home.run(&with(&["did", "document"], WEB)).good();
    assert_eq!(read("did.json").expect("it is there"), document);
    assert_eq!(
        read("aire-did").expect("it is there"),
        "did:web:example.org\n"
    );
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error_with_its_name() {
    let home = Home::new();
    home.run(&["keygen"]).good();
    home.file("www", "a file");
    let ran = home.run(&with(&["did", "publish", "www"], WEB));
    assert_eq!(ran.code(), Some(2));
    assert!(ran.stderr().contains("www"), "{}", ran.stderr());
}
