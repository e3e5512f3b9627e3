//! `aire inspect`, with the real binary.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use aire_mio::{Certificate, Client, Identity, Node, Settings, Trust};
use aire_proto::wire::{Budget, Payload as _};
use serde_json::Value;
use support::{Home, PATIENCE};

fn vectors() -> Vec<(String, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors");
    let mut all = Vec::new();
    for dir in ["upstream", "own"] {
        for file in fs::read_dir(root.join(dir)).expect("the vectors") {
            let path = file.expect("a file").path();
            let text = fs::read_to_string(&path).expect("text");
            let json: Value = serde_json::from_str(&text).expect("JSON");
            let vectors = json["vectors"].as_array().expect("vectors").clone();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            all.extend(vectors.into_iter().map(|vector| (name.clone(), vector)));
        }
    }
    all
}

/// Bytes that the frames' fields are, one behind the other.
fn joined(json: &Value) -> String {
    let frames = json["frames"].as_array().expect("frames");
    let fields = frames
        .iter()
        .flat_map(|frame| frame["fields"].as_array().expect("fields"));
    fields.filter_map(|field| field["bytes"].as_str()).collect()
}

#[test]
fn every_published_frame_is_explained_to_its_last_byte() {
    let home = Home::new();
    let mut seen = 0;
    for (file, vector) in vectors() {
        let (Some(hex), true) = (vector["encoded_hex"].as_str(), file.starts_with('v')) else {
            continue;
        };
        if vector["frame"].is_null() {
            continue;
        }
        let ran = home.run(&["inspect", "--json", hex]);
        let json: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
        // Some show an envelope alone, around a payload that is none of its type.
        match vector["decoded"].is_null() {
            true => assert!(hex.starts_with(&joined(&json)), "{}", vector["id"]),
            false => assert_eq!(joined(&json), hex, "{}", vector["id"]),
        }
        assert_eq!(json["frames"][0]["type_code"], vector["frame"]["type"]);
        assert_eq!(json["frames"][0]["op_id"], vector["frame"]["op_id"]);
        seen += 1;
    }
    assert!(seen > 10, "only {seen}");
}

#[test]
fn a_frame_is_annotated_for_people() {
    let home = Home::new();
    // CANCEL of operation 7: DEADLINE_EXCEEDED, "late".
    let told = home
        .run(&["inspect", "05 00 07 06", "01 04 6c:61:74:65"])
        .good();
    for word in [
        "CANCEL for operation 7",
        "PayloadLen",
        "DEADLINE_EXCEEDED",
        "000006  6c 61 74 65",
        "\"late\"",
    ] {
        assert!(told.contains(word), "{word} is not in:\n{told}");
    }
    let budget = Budget {
        tokens: Some(1000),
        cost_microunits_spent: Some(250_000),
        ..Budget::default()
    };
    let mut bytes = [0; 64];
    let len = budget.encode_frame(9, &mut bytes).expect("it fits");
    fs::write(home.path().join("budget"), &bytes[..len]).expect("a file");
    let told = home.run(&["inspect", "--file", "budget"]).good();
    assert!(told.contains("1000 tokens may be spent"), "{told}");
    assert!(told.contains("250000 millionths are spent"), "{told}");
}

#[test]
fn what_is_malformed_is_explained_up_to_where_it_breaks() {
    let home = Home::new();
    // A GOODBYE, and an INVOKE whose operation is not UTF-8.
    let ran = home.run(&["inspect", "--json", "09000000", "03000404", "0161", "01ff"]);
    assert_eq!(ran.code(), Some(1));
    let json: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    assert_eq!(json["frames"][0]["type"], "GOODBYE");
    assert_eq!(json["frames"][1]["fields"][5]["meaning"], "\"a\"");
    assert_eq!(json["error"]["offset"], 10);
    assert_eq!(json["error"]["frame"], "INVOKE");
    let reason = json["error"]["reason"].as_str().expect("words");
    assert!(reason.contains("UTF-8"), "{reason}");

    for (hex, why) in [
        ("05", "in the envelope"),
        ("0500", "OpID"),
        ("0400040a6869", "2 of its 10 bytes"),
        // A field twice, which the walk alone does not see.
        ("06000407020101050101 06", "twice"),
    ] {
        let ran = home.run(&["inspect", hex]);
        assert_eq!(ran.code(), Some(1), "{hex}");
        assert!(ran.stderr().contains(why), "{hex}: {}", ran.stderr());
    }
    let ran = home.run(&["inspect", "05zz"]);
    assert_eq!(ran.code(), Some(2));
    assert!(ran.stderr().contains("hexadecimal"), "{}", ran.stderr());
}

/// Hostile bytes never make it fail in another way than by saying so.
#[test]
fn any_bytes_are_explained_or_refused() {
    let home = Home::new();
    for (_, vector) in vectors() {
        let Some(hex) = vector["encoded_hex"].as_str().filter(|hex| hex.len() > 8) else {
            continue;
        };
        let cut = &hex[..hex.len() / 4 * 2];
        let ran = home.run(&["inspect", cut]);
        assert!(matches!(ran.code(), Some(0 | 1)), "{cut}: {}", ran.stderr());
    }
}

#[test]
fn a_hello_is_verified_and_one_that_was_tampered_with_is_not() {
    let home = Home::new();
    let hello = |vector: &Value| {
        let hex = vector["encoded_hex"].as_str().map(ToOwned::to_owned)?;
        (hex.starts_with("01") && vector["id"].as_str()?.contains("hello")).then_some(hex)
    };
    let mut good = 0;
    for hex in vectors().iter().filter_map(|(_, vector)| hello(vector)) {
        let ran = home.run(&["inspect", "--json", &hex]);
        let Ok(json) = serde_json::from_str::<Value>(&ran.stdout()) else {
            panic!("{hex}: {}", ran.stderr());
        };
        if json["frames"][0]["signature"]["verified"] != "good" {
            continue;
        }
        good += 1;
        let fields = json["frames"][0]["fields"].as_array().expect("fields");
        let signature = fields.iter().find(|field| field["field"] == "Signature");
        let at = signature.expect("a signature")["offset"]
            .as_u64()
            .expect("a number") as usize;
        let byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex") ^ 1;
        let tampered = format!("{}{byte:02x}{}", &hex[..2 * at], &hex[2 * at + 2..]);
        let json = home.run(&["inspect", "--json", &tampered]).json();
        assert_eq!(json["frames"][0]["signature"]["verified"], "bad");
    }
    assert!(good > 0, "no HELLO is good");
}

/// A qlog of a client of ours.
fn qlog(home: &Home) -> PathBuf {
    let certificate = Certificate::self_signed(&["127.0.0.1"]).expect("a certificate");
    let trust = Trust::pinned(certificate.pin());
    let node = Node::builder(Identity::generate().expect("a key"), certificate)
        .listen("127.0.0.1:0".parse().expect("an address"))
        .expect("it listens");
    let settings = Settings {
        qlog_dir: Some(home.path().into()),
        ..Settings::default()
    };
    let client = Client::builder(Identity::generate().expect("a key"), trust)
        .settings(settings)
        .connect_timeout(PATIENCE)
        .connect(&format!("aire://{}", node.address()))
        .expect("it answers");
    client.close();
    node.stop();
    let files = fs::read_dir(home.path()).expect("a directory");
    let mut paths = files.map(|file| file.expect("a file").path());
    paths
        .find(|path| path.extension().is_some_and(|it| it == "sqlog"))
        .expect("a qlog")
}

#[test]
fn a_qlog_shows_what_it_has_and_says_what_it_has_not() {
    let home = Home::new();
    let path = qlog(&home);
    let path = path.to_str().expect("text");
    let told = home.run(&["inspect", "--file", path]).good();
    for word in [
        "a qlog of the client",
        "the control stream",
        "sent",
        "cannot be shown",
    ] {
        assert!(told.contains(word), "{word} is not in:\n{told}");
    }
    let json = home.run(&["inspect", "--json", "--file", path]).json();
    assert_eq!(json["vantage"], "client");
    assert!(json["streams"][0]["bytes"].as_u64().expect("a number") > 100);
}

#[test]
fn a_qlog_with_the_bytes_shows_the_frames() {
    let home = Home::new();
    let event = |offset: u64, data: &str| {
        let len = data.len() / 2;
        format!(
            "\u{1e}{{\"time\":1.5,\"name\":\"quic:packet_sent\",\"data\":{{\"frames\":[{{\
             \"frame_type\":\"stream\",\"stream_id\":4,\"offset\":{offset},\
             \"raw\":{{\"payload_length\":{len},\"data\":\"{data}\"}}}}]}}}}\n"
        )
    };
    // Out of order, and sent again.
    let log = [event(2, "0700"), event(0, "0500"), event(0, "0500")].concat();
    home.file("log", &log);
    let told = home.run(&["inspect", "--file", "log"]).good();
    assert!(told.contains("CANCEL for operation 7"), "{told}");
    assert!(!told.contains("cannot be shown"), "{told}");

    home.file("log", "{\"nothing\":1}");
    let ran = home.run(&["inspect", "--file", "log"]);
    assert_eq!(ran.code(), Some(1));
    assert!(ran.stderr().contains("no event"), "{}", ran.stderr());
}
