//! What comes in: messages judged by their signatures, ordered, and each of them once (sections
//! 2.3 to 2.7).

mod support;

use airc_client::{AckStatus, Cursor, Error, ErrorCode, Inbox, Proof, json};
use support::{Asked, Fake, Reply, handle, identity, key, message, public};

/// Of alex to seth, with `key(number)`.
fn hello(id: &str, timestamp: u64, number: u8) -> String {
    let rest = format!(r#""timestamp":{timestamp},"body":"Hello""#);
    message(id, "alex", "seth", &rest, number)
}

fn inbox(messages: &[String], cursor: &str, more: bool) -> Reply {
    Reply::json(format!(
        r#"{{"messages":[{}],"cursor":"{cursor}","hasMore":{more}}}"#,
        messages.join(",")
    ))
}

/// A registry whose inbox is this, and where alex has `key(2)`.
fn with_inbox(messages: Vec<String>) -> Fake {
    Fake::new(move |asked, _| match asked.what().as_str() {
        "GET /identity/alex" => Reply::json(identity("alex", &key(2), "")),
        "GET /messages" => inbox(&messages, "c", false),
        _ => Reply::refuse(ErrorCode::IdentityNotFound),
    })
}

#[test]
fn each_message_says_what_is_known_of_its_signature() {
    let changed = hello("msg_changed", 5, 2).replace("Hello", "Bye");
    let unsigned = r#"{"id":"msg_plain","from":"alex","to":"seth","timestamp":6,"body":"x","unsigned":true,"signature":"of another dialect"}"#;
    let stranger = message("msg_x", "nobody", "seth", r#""timestamp":7,"body":"x""#, 2);
    let elsewhere = message("msg_y", "alex", "carol", r#""timestamp":8,"body":"x""#, 2);
    let fake = with_inbox(vec![
        hello("msg_good", 1, 2),
        hello("msg_bad", 2, 3),
        changed,
        unsigned.into(),
        stranger,
        elsewhere,
    ]);
    let page = fake.client().poll(None, 50).expect("an inbox");
    let proofs: Vec<_> = page.messages.iter().map(|message| message.proof).collect();
    assert_eq!(
        proofs,
        [
            Proof::Verified,
            Proof::Wrong,
            Proof::Wrong,
            Proof::Unsigned,
            Proof::Unchecked,
            // It is signed, but for somebody else.
            Proof::Wrong,
        ]
    );
    // A signature that does not fit makes nobody ask again and again.
    let looks = fake.whats();
    let looks = looks.iter().filter(|what| *what == "GET /identity/alex");
    assert_eq!(looks.count(), 1);
}

#[test]
fn a_key_that_was_replaced_counts_for_what_was_said_before() {
    let until = "2026-01-02T00:00:00.000Z";
    let seconds = 1_767_312_000;
    let document = format!(
        r#"{{"handle":"alex","publicKey":"{}","previousPublicKey":"{}","previousKeyValidUntil":"{until}","capabilities":{{}}}}"#,
        public(&key(4)),
        public(&key(2))
    );
    let fake = Fake::new(move |asked, _| match asked.what().as_str() {
        "GET /identity/alex" => Reply::json(document.clone()),
        _ => inbox(
            &[
                hello("msg_1", seconds - 1, 2),
                hello("msg_2", seconds, 2),
                hello("msg_3", seconds, 4),
            ],
            "c",
            false,
        ),
    });
    let page = fake.client().poll(None, 50).expect("an inbox");
    let proofs: Vec<_> = page.messages.iter().map(|message| message.proof).collect();
    assert_eq!(proofs, [Proof::Verified, Proof::Wrong, Proof::Verified]);
}

#[test]
fn what_cannot_be_understood_is_left_out_and_counted() {
    let rest = r#""timestamp":1,"payload":{"type":"game:chess","data":{"big":123456789012345678901234567890}}"#;
    let fake = with_inbox(vec![
        "7".into(),
        r#"{"id":"msg_1"}"#.into(),
        r#"{"id":"msg_1","from":"A B","to":"seth","timestamp":1}"#.into(),
        // A payload that nobody can name is not one, and harms nobody.
        r#"{"id":"msg_2","from":"alex","to":"seth","timestamp":1,"payload":[1]}"#.into(),
        message("msg_3", "alex", "seth", rest, 2),
    ]);
    let page = fake.client().poll(None, 50).expect("an inbox");
    assert_eq!(page.unreadable, 3);
    let [plain, big] = &page.messages[..] else {
        panic!("{:?}", page.messages);
    };
    assert_eq!(plain.payload, None);
    assert_eq!(
        plain.document.get("payload").map(ToString::to_string),
        Some("[1]".into())
    );
    // Whole numbers stay as they are, so that the signature holds.
    assert_eq!(big.proof, Proof::Verified);
    assert_eq!(big.payload_type(), Some("game:chess"));
    let data = &big.payload.as_ref().expect("a payload").data;
    let number = data.get("big").map(ToString::to_string);
    assert_eq!(number.as_deref(), Some("123456789012345678901234567890"));
}

#[test]
fn the_deepest_message_does_not_stop_up_an_inbox() {
    // Around it are the message, its payload, and the data.
    let levels = json::MAX_DEPTH - 3;
    let deep = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let rest = format!(r#""timestamp":1,"payload":{{"type":"game:chess","data":{{"x":{deep}}}}}"#);
    let fake = with_inbox(vec![message("msg_1", "alex", "seth", &rest, 2)]);
    let page = fake.client().poll(None, 50).expect("an inbox");
    assert_eq!(page.messages[0].proof, Proof::Verified);
}

#[test]
fn a_thread_is_ordered_by_time_and_id_and_has_each_message_once() {
    let own = |id: &str, timestamp: u64| {
        let rest = format!(r#""timestamp":{timestamp},"body":"mine""#);
        message(id, "seth", "alex", &rest, 1)
    };
    let fake = Fake::new(move |asked, _| match asked.target.as_str() {
        "/identity/alex" => Reply::json(identity("alex", &key(2), "")),
        "/identity/seth" => Reply::json(identity("seth", &key(1), "")),
        "/messages/thread/alex?limit=200" => inbox(
            &[hello("msg_b", 5, 2), own("msg_a", 5), hello("msg_c", 3, 2)],
            "2",
            true,
        ),
        "/messages/thread/alex?limit=200&since=2" => {
            // The same id of another sender is another message.
            inbox(
                &[hello("msg_c", 3, 2), own("msg_c", 3), own("msg_z", 1)],
                "3",
                false,
            )
        }
        other => panic!("{other}"),
    });
    let thread = fake.client().thread(&handle("alex")).expect("a thread");
    let found: Vec<_> = thread
        .iter()
        .map(|message| {
            (
                message.timestamp,
                message.id.as_str(),
                message.from.as_str(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (1, "msg_z", "seth"),
            (3, "msg_c", "alex"),
            (3, "msg_c", "seth"),
            (5, "msg_a", "seth"),
            (5, "msg_b", "alex"),
        ]
    );
    assert!(
        thread
            .iter()
            .all(|message| message.proof == Proof::Verified)
    );
}

#[test]
fn a_registry_that_does_not_get_on_is_not_asked_forever() {
    let fake = Fake::new(|_, _| inbox(&[], "c", true));
    let client = fake.client();
    assert_eq!(client.thread(&handle("alex")).expect("a thread"), []);
    assert_eq!(fake.asked().len(), 2);
    let mut inbox = Inbox::new(client, Cursor::from_text("c"));
    assert!(!inbox.poll(50).expect("an inbox").more);
}

#[test]
fn an_inbox_goes_on_where_it_was_and_gives_each_message_once() {
    let fake = Fake::new(|asked, _| match asked.target.as_str() {
        "/identity/alex" => Reply::json(identity("alex", &key(2), "")),
        "/messages?limit=2&since=0" => {
            inbox(&[hello("msg_1", 1, 2), hello("msg_2", 2, 2)], "2", true)
        }
        "/messages?limit=2&since=2" => {
            inbox(&[hello("msg_2", 2, 2), hello("msg_3", 3, 2)], "3", false)
        }
        "/messages?limit=2&since=3" => Reply::refuse(ErrorCode::Unavailable),
        other => panic!("{other}"),
    });
    let mut inbox = Inbox::new(fake.client(), Cursor::from_text("0"));
    let mut ids = Vec::new();
    loop {
        let batch = inbox.poll(2).expect("an inbox");
        ids.extend(batch.messages.into_iter().map(|message| message.id));
        if !batch.more {
            break;
        }
    }
    assert_eq!(ids, ["msg_1", "msg_2", "msg_3"]);
    assert_eq!(inbox.cursor().map(Cursor::as_str), Some("3"));
    // Nothing is lost when it fails.
    inbox.poll(2).expect_err("not now");
    assert_eq!(inbox.cursor().map(Cursor::as_str), Some("3"));
}

/// A registry whose inbox has a message with each of these payload types of alex, who has or has
/// not consented to what seth sends.
fn with_payloads(kinds: &'static [&'static str], outgoing: &'static str) -> Fake {
    Fake::new(move |asked, _| match asked.what().as_str() {
        "GET /identity/alex" => Reply::json(identity("alex", &key(2), "")),
        "GET /messages" => {
            let payloads = kinds.iter().enumerate().map(|(at, kind)| {
                let rest = format!(
                    r#""timestamp":{at},"payload":{{"type":"{kind}","data":{{"ref":"x"}}}}"#
                );
                message(&format!("msg_{at}"), "alex", "seth", &rest, 2)
            });
            inbox(&payloads.collect::<Vec<_>>(), "c", false)
        }
        "GET /consent/alex" => Reply::json(format!(
            r#"{{"handle":"alex","outgoing":"{outgoing}","incoming":"accepted"}}"#
        )),
        "POST /messages" => Reply::json(r#"{"success":true,"id":"x","consent":"accepted"}"#),
        other => panic!("{other}"),
    })
}

fn acks(fake: &Fake) -> Vec<Asked> {
    let mut asked = fake.asked();
    asked.retain(|asked| asked.method == "POST");
    asked
}

#[test]
fn a_payload_that_is_not_known_is_acknowledged_as_such() {
    let kinds = &[
        "game:chess",
        "context:code",
        "ack",
        "handshake",
        "game:go",
        "handoff",
    ];
    let fake = with_payloads(kinds, "accepted");
    let mut inbox = Inbox::new(fake.client(), None).acknowledging(["game:*"]);
    let batch = inbox.poll(50).expect("an inbox");
    assert_eq!(batch.messages.len(), kinds.len());
    assert!(batch.unacknowledged.is_empty());
    let acks = acks(&fake);
    assert_eq!(acks.len(), 2);
    for (ack, at) in acks.iter().zip([1, 5]) {
        assert_eq!(ack.text("to"), "alex");
        let object = ack.object();
        let payload = object.get("payload").expect("a payload").to_string();
        let kind = kinds[at];
        assert_eq!(
            payload,
            format!(
                r#"{{"data":{{"reason":"Unknown payload type: {kind}","ref":"msg_{at}","status":"unsupported_payload"}},"type":"ack"}}"#
            )
        );
    }
}

#[test]
fn nobody_is_asked_for_consent_by_an_acknowledgment_and_no_ack_is_acknowledged() {
    let fake = with_payloads(&["game:chess", "ack"], "none");
    let client = fake.client();
    let mut inbox = Inbox::new(client.clone(), None).acknowledging(Vec::<String>::new());
    let batch = inbox.poll(50).expect("an inbox");
    assert!(acks(&fake).is_empty());
    let error = client.ack(&batch.messages[1], AckStatus::Received, None);
    assert!(matches!(error, Err(Error::Unsendable(_))));
    // Who says nothing about payloads acknowledges nothing.
    let fake = with_payloads(&["game:chess"], "accepted");
    Inbox::new(fake.client(), None).poll(50).expect("an inbox");
    assert!(acks(&fake).is_empty());
}

#[test]
fn a_message_is_acknowledged_by_its_id() {
    let fake = with_payloads(&["game:chess"], "accepted");
    let client = fake.client();
    let page = client.poll(None, 50).expect("an inbox");
    let status = AckStatus::Rejected;
    let sent = client.ack(&page.messages[0], status, Some("Not now."));
    assert!(!sent.expect("taken").text_only);
    let object = acks(&fake)[0].object();
    let data = object
        .get("payload")
        .and_then(|payload| payload.get("data"));
    assert_eq!(
        data.map(json::Value::to_string).as_deref(),
        Some(r#"{"reason":"Not now.","ref":"msg_0","status":"rejected"}"#)
    );
}
