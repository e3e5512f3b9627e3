//! What goes out: every mutation signed (sections 3 and 6.1), every private question signed by its
//! headers (AGAP-5).

mod support;

use airc_client::{Beat, Client, Draft, Payload, Registration, Status, Unlisted, json};
use airc_core::signing;
use aire_proto::identity::Ed25519Verifier;
use support::{Asked, Fake, Reply, handle, identity, key, public};

/// A registry that takes everything.
fn agreeable() -> Fake {
    Fake::new(|asked, _| {
        Reply::json(match asked.what().as_str() {
            "POST /identity" | "GET /identity/seth" => identity("seth", &key(1), ""),
            "GET /identity/alex" => identity("alex", &key(2), "\"game:*\""),
            "POST /identity/rotate" => identity("seth", &key(3), ""),
            "POST /presence/heartbeat" => {
                r#"{"success":true,"handle":"seth","status":"busy","context":"x","lastHeartbeat":1,"expiresAt":2}"#.into()
            }
            "GET /consent" => r#"{"incoming":[{"handle":"alex","state":"pending","message":"Hey!","since":"2026-01-02T00:00:00.000Z"},{"handle":"Not A Handle","state":"pending"}],"outgoing":[{"handle":"carol","state":"blocked"}]}"#.into(),
            "GET /consent/alex" => r#"{"handle":"alex","outgoing":"accepted","incoming":"none"}"#.into(),
            "GET /messages" | "GET /messages/thread/alex" => {
                r#"{"messages":[],"cursor":"c","hasMore":false,"pendingRequests":["alex"]}"#.into()
            }
            _ => r#"{"success":true,"from":"seth","to":"alex","consent":"pending"}"#.into(),
        })
    })
}

fn assert_signed(asked: &Asked, number: u8) {
    let object = asked.object();
    let keys = [key(number).public_key()];
    let verdict = signing::verify(&object, &keys, &Ed25519Verifier);
    assert_eq!(verdict, Ok(0), "{}", asked.what());
    let number = |name| object.get(name).and_then(json::Value::as_u64);
    assert!(number("timestamp").expect("a time") > 1_700_000_000);
    assert!(asked.text("nonce").chars().count() >= 16);
    assert_eq!(asked.header("content-type"), Some("application/json"));
}

#[test]
fn every_mutation_is_signed_with_a_time_and_a_nonce() {
    let fake = agreeable();
    let client = fake.client();
    let alex = handle("alex");
    let registration = Registration::default()
        .payload("handoff")
        .endpoint("aire://agents.example:4433", Some("words"));
    let registered = client.register(&registration).expect("taken");
    assert!(!registered.new);
    let beat = Beat {
        status: Some(Status::Busy),
        context: Some("x".into()),
    };
    assert_eq!(client.heartbeat(&beat).expect("taken").status, Status::Busy);
    client.request_consent(&alex, Some("Hey!")).expect("taken");
    client.accept_consent(&alex).expect("taken");
    client.block_consent(&alex).expect("taken");
    client.send(&Draft::text(&alex, "Hello")).expect("taken");
    client.rotate(key(3)).expect("taken");
    client.send(&Draft::text(&alex, "Hello")).expect("taken");

    let asked = fake.asked();
    let nonces: Vec<_> = asked.iter().map(|asked| asked.text("nonce")).collect();
    for (at, asked) in asked.iter().enumerate() {
        // From the rotation on, which the old key signs, it is the new one.
        assert_signed(asked, if at < 7 { 1 } else { 3 });
        assert!(!nonces[..at].contains(&nonces[at]));
    }
    assert_eq!(
        fake.whats(),
        [
            "POST /identity",
            "POST /presence/heartbeat",
            "POST /consent/request",
            "POST /consent/accept",
            "POST /consent/block",
            "POST /messages",
            "POST /identity/rotate",
            "POST /messages",
        ]
    );
    let first = asked[0].object();
    let endpoints = first.get("aire").expect("endpoints").to_string();
    assert_eq!(
        endpoints,
        r#"[{"agent":"words","uri":"aire://agents.example:4433"}]"#
    );
    assert_eq!(asked[6].text("publicKey"), public(&key(3)));
    // AGAP-2: who acts is `from`.
    assert_eq!(asked[3].text("from"), "seth");
    assert_eq!(asked[3].text("to"), "alex");
}

#[test]
fn private_questions_are_signed_by_their_headers_and_public_ones_are_not() {
    let fake = agreeable();
    let client = fake.client();
    let alex = handle("alex");
    let page = client.poll(None, 7).expect("an inbox");
    assert_eq!(page.pending, std::slice::from_ref(&alex));
    client.poll(page.cursor.as_ref(), 7).expect("an inbox");
    client.thread(&alex).expect("a thread");
    let standing = client.consent_with(&alex).expect("consent");
    assert_eq!(standing.outgoing, airc_client::ConsentState::Accepted);
    assert_eq!(standing.incoming, airc_client::ConsentState::None);
    let asking = client.consents(Some(airc_client::ConsentState::Pending));
    let asking = asking.expect("a list");
    assert_eq!(asking.incoming.len(), 1);
    assert_eq!(asking.incoming[0].peer, alex);
    assert_eq!(asking.incoming[0].message.as_deref(), Some("Hey!"));
    assert_eq!(asking.outgoing[0].state, airc_client::ConsentState::Blocked);
    client.identity(&alex).expect("public");

    let asked = fake.asked();
    let (public, private) = asked.split_last().expect("some");
    for asked in private {
        assert!(asked.is_signed_by(&key(1)), "{}", asked.target);
        assert_eq!(asked.header("x-airc-handle"), Some("seth"));
    }
    assert_eq!(private[0].target, "/messages?limit=7");
    assert_eq!(private[1].target, "/messages?limit=7&since=c");
    assert_eq!(private[4].target, "/consent?limit=200&state=pending");
    assert_eq!(public.header("x-airc-signature"), None);
}

#[test]
fn a_path_in_front_is_part_of_what_is_signed() {
    let fake = Fake::new(|_, _| Reply::json(r#"{"messages":[]}"#));
    let client = Client::builder(format!("{}/v0/", fake.url()), "seth").key(key(1));
    let client = client.build().expect("a client");
    client.poll(None, 1).expect("an inbox");
    let asked = fake.asked();
    assert_eq!(asked[0].target, "/v0/messages?limit=1");
    assert!(asked[0].is_signed_by(&key(1)));
}

#[test]
fn an_invite_goes_with_the_registration_alone() {
    let fake = agreeable();
    let client = fake.builder().invite("secret").build().expect("a client");
    client.register(&Registration::default()).expect("taken");
    client.heartbeat(&Beat::default()).expect("taken");
    client.who(None).expect_err("no list");
    let asked = fake.asked();
    assert_eq!(asked[0].header("authorization"), Some("Bearer secret"));
    for asked in &asked[1..] {
        assert_eq!(asked.header("authorization"), None, "{}", asked.target);
    }
    let agent = asked[0].header("user-agent").expect("a name");
    assert!(agent.starts_with("airc-client/"), "{agent}");
}

#[test]
fn a_payload_that_is_not_listed_is_left_out_sent_or_refused_as_the_caller_wishes() {
    let alex = handle("alex");
    let payload = |kind: &str| Payload {
        kind: kind.into(),
        data: [("turn", "O")].into_iter().collect(),
    };
    let draft = |kind| Draft::payload(&alex, payload(kind));
    for (draft, sent, text_only) in [
        // Listed, by `game:*`.
        (draft("game:chess").with_text("x"), true, false),
        (draft("context:code").with_text("x"), false, true),
        // There is no text to fall back to.
        (draft("context:code"), true, false),
        (
            draft("context:code")
                .with_text("x")
                .unlisted(Unlisted::Send),
            true,
            false,
        ),
        (draft("ack").with_text("x"), true, false),
    ] {
        let fake = agreeable();
        let done = fake.client().send(&draft).expect("taken");
        assert_eq!(done.text_only, text_only, "{draft:?}");
        let asked = fake.asked();
        let message = asked.last().expect("a message").object();
        assert_eq!(message.contains("payload"), sent, "{draft:?}");
        assert!(!message.contains("strict"));
    }
    let fake = agreeable();
    let refused = draft("context:code")
        .with_text("x")
        .unlisted(Unlisted::Refuse);
    let error = fake.client().send(&refused).expect_err("not listed");
    assert!(
        matches!(error, airc_client::Error::Unlisted { .. }),
        "{error}"
    );
    assert_eq!(fake.whats(), ["GET /identity/alex"]);

    let strict = draft("context:code").unlisted(Unlisted::Send).strict();
    fake.client().send(&strict).expect("taken");
    let asked = fake.asked();
    let message = asked.last().expect("a message").object();
    assert_eq!(message.get("strict"), Some(&json::Value::Bool(true)));
}

#[test]
fn an_identity_is_asked_for_once_in_its_time() {
    let fake = agreeable();
    let client = fake.client();
    let alex = handle("alex");
    for _ in 0..3 {
        let identity = client.identity(&alex).expect("an identity");
        assert!(identity.takes("game:chess") && !identity.takes("context:code"));
        assert_eq!(identity.key, Some(key(2).public_key()));
    }
    let other = client.clone();
    other.identity(&alex).expect("an identity");
    assert_eq!(fake.whats(), ["GET /identity/alex"]);
    client.fresh_identity(&alex).expect("an identity");
    assert_eq!(fake.asked().len(), 2);
}

#[test]
fn an_identity_of_somebody_else_is_not_believed() {
    let fake = Fake::new(|_, _| Reply::json(identity("mallory", &key(9), "")));
    let error = fake
        .client()
        .identity(&handle("alex"))
        .expect_err("another");
    assert!(error.to_string().contains("@alex"), "{error}");
}

#[test]
fn who_is_there_is_listed_to_the_end_and_no_further() {
    let entry = |handle: &str| {
        format!(r#"{{"handle":"{handle}","status":"idle","lastHeartbeat":1,"expiresAt":2}}"#)
    };
    let fake = Fake::new(move |asked, _| {
        let next = |after: &str| {
            format!("<https://elsewhere.example/presence?x=1&after={after}>; rel=\"next\"")
        };
        match asked.target.as_str() {
            "/presence?status=idle" => {
                let page = format!("[{},{{\"handle\":\"?\"}},{}]", entry("a"), entry("b"));
                Reply::json(page).with("link", next("b"))
            }
            // A registry may have looked at many who are not idle.
            "/presence?status=idle&after=b" => Reply::json("[]").with("link", next("m")),
            "/presence?status=idle&after=m" => Reply::json(format!("[{}]", entry("n"))),
            other => panic!("{other}"),
        }
    });
    let who = fake.client().who(Some(Status::Idle)).expect("a list");
    let handles: Vec<_> = who.iter().map(|one| one.handle.as_str()).collect();
    assert_eq!(handles, ["a", "b", "n"]);

    // A list that comes again and again ends too.
    let fake = Fake::new(move |_, _| {
        Reply::json(format!("[{}]", entry("a"))).with("link", "</x?after=a>; rel=\"next\"")
    });
    assert_eq!(fake.client().who(None).expect("a list").len(), 1);
    assert_eq!(fake.asked().len(), 2);
}

#[test]
fn a_rotation_whose_answer_is_lost_is_looked_up() {
    for (known, done) in [(3, true), (1, false)] {
        let fake = Fake::new(move |asked, _| match asked.method.as_str() {
            "POST" => Reply::HangUp,
            _ => Reply::json(identity("seth", &key(known), "")),
        });
        let client = fake.client();
        assert_eq!(client.rotate(key(3)).is_ok(), done);
        let now = client.key().expect("a key");
        assert_eq!(now.public_key(), key(known).public_key());
    }
}
