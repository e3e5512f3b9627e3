//! What a registry may say in place of an answer, over real sockets (section 5).

mod support;

use airc_client::{Beat, Client, Draft, Error, ErrorCode};
use support::{Fake, Reply, handle, identity, key};

/// A call, with its name.
type Call = (&'static str, fn(&Client) -> Result<(), Error>);

/// One call of each kind.
fn calls() -> Vec<Call> {
    vec![
        ("register", |client| {
            client
                .register(&airc_client::Registration::default())
                .map(drop)
        }),
        ("heartbeat", |client| {
            client.heartbeat(&Beat::default()).map(drop)
        }),
        ("who", |client| client.who(None).map(drop)),
        ("identity", |client| {
            client.identity(&handle("alex")).map(drop)
        }),
        ("request", |client| {
            client
                .request_consent(&handle("alex"), Some("Hey!"))
                .map(drop)
        }),
        ("accept", |client| {
            client.accept_consent(&handle("alex")).map(drop)
        }),
        ("block", |client| {
            client.block_consent(&handle("alex")).map(drop)
        }),
        ("consent", |client| {
            client.consent_with(&handle("alex")).map(drop)
        }),
        ("consents", |client| client.consents(None).map(drop)),
        ("send", |client| {
            client
                .send(&Draft::text(&handle("alex"), "Hello"))
                .map(drop)
        }),
        ("poll", |client| client.poll(None, 50).map(drop)),
        ("thread", |client| client.thread(&handle("alex")).map(drop)),
        ("rotate", |client| client.rotate(key(2))),
    ]
}

#[test]
fn every_code_reaches_the_caller_of_every_call() {
    for code in ErrorCode::ALL {
        let fake = Fake::new(move |_, _| Reply::refuse(code));
        let client = fake.client();
        for (name, call) in calls() {
            let error = call(&client).expect_err("it refuses");
            assert_eq!(error.code(), Some(code), "{name}: {error}");
            assert_eq!(error.refused().expect("refused").status, code.status());
        }
        // The key is the old one still.
        let now = client.key().expect("a key");
        assert_eq!(now.public_key(), key(1).public_key());
    }
}

#[test]
fn an_answer_that_is_none_is_an_error_of_every_call() {
    let endless = format!("[{}1]", "0,".repeat(6 * 1024 * 1024));
    for (status, body) in [
        (200, "<html>".to_owned()),
        (200, "7".to_owned()),
        (200, "{\"a\":1,\"a\":2}".to_owned()),
        (200, endless),
        (500, "{}".to_owned()),
    ] {
        let fake = Fake::new(move |_, _| Reply::Say(status, Vec::new(), body.clone()));
        let client = fake.client();
        for (name, call) in calls() {
            // It says nothing that is read.
            if name == "rotate" && status == 200 {
                continue;
            }
            let error = call(&client).expect_err("no answer");
            assert!(matches!(error, Error::Answer { .. }), "{name}: {error}");
        }
    }
}

#[test]
fn nobody_follows_a_registry_that_points_elsewhere() {
    let other = Fake::new(|_, _| Reply::json(identity("alex", &key(2), "")));
    let place = other.url();
    let fake =
        Fake::new(move |_, _| Reply::Say(307, vec![("location", place.clone())], String::new()));
    for (name, call) in calls() {
        let error = call(&fake.client()).expect_err("no answer");
        let Error::Redirected { to, .. } = &error else {
            panic!("{name}: {error}");
        };
        assert_eq!(*to, Some(other.url()));
    }
    assert_eq!(other.whats(), Vec::<String>::new());
}

#[test]
fn what_is_refused_for_now_is_tried_again_with_a_new_nonce_and_the_same_id() {
    for code in [ErrorCode::RateLimited, ErrorCode::Unavailable] {
        let fake = Fake::new(move |_, before| match before {
            0 => Reply::refuse(code).with("retry-after", "0"),
            _ => Reply::json(r#"{"success":true,"id":"msg_x","consent":"accepted"}"#),
        });
        let draft = Draft::text(&handle("alex"), "Hello");
        fake.client().send(&draft).expect("it is taken at last");
        let asked = fake.asked();
        let [first, second] = &asked[..] else {
            panic!("{asked:?}");
        };
        assert_eq!(first.text("id"), second.text("id"));
        assert_ne!(first.text("nonce"), second.text("nonce"));
    }
}

#[test]
fn tries_end_and_long_waits_are_left_to_the_caller() {
    for (wait, tries) in [(Some("0"), 3), (Some("3600"), 1), (None, 1)] {
        let fake = Fake::new(move |_, _| match wait {
            Some(wait) => Reply::refuse(ErrorCode::RateLimited).with("retry-after", wait),
            None => Reply::refuse(ErrorCode::RateLimited),
        });
        let error = fake.client().who(None).expect_err("never");
        let seconds = error.retry_after().map(|wait| wait.as_secs().to_string());
        assert_eq!(seconds.as_deref(), wait);
        assert_eq!(fake.asked().len(), tries, "{wait:?}");
    }
}

#[test]
fn only_what_reads_is_asked_again_when_the_connection_breaks() {
    let fake = Fake::new(|_, before| match before {
        0 | 1 => Reply::HangUp,
        _ => Reply::json("[]"),
    });
    assert_eq!(fake.client().who(None).expect("at last"), []);
    assert_eq!(fake.asked().len(), 3);

    let fake = Fake::new(|_, _| Reply::HangUp);
    let draft = Draft::text(&handle("alex"), "Hello");
    let error = fake.client().send(&draft).expect_err("it broke");
    assert!(matches!(error, Error::Transport { .. }), "{error}");
    assert!(error.is_temporary());
    assert_eq!(fake.asked().len(), 1);
}

#[test]
fn without_a_key_only_what_is_public_can_be_asked_for() {
    let fake = Fake::new(|_, _| Reply::json("[]"));
    let client = Client::builder(fake.url(), "seth")
        .build()
        .expect("a client");
    let public = ["who", "identity"];
    for (name, call) in calls() {
        if !public.contains(&name) {
            let error = call(&client).expect_err("no key");
            assert!(matches!(error, Error::NoKey), "{name}: {error}");
        }
    }
    assert_eq!(fake.whats(), Vec::<String>::new());
    client.who(None).expect("public");
}

#[test]
fn what_breaks_a_limit_is_not_sent() {
    let fake = Fake::new(|_, _| Reply::json("{}"));
    let client = fake.client();
    let alex = handle("alex");
    let long = "é".repeat(281);
    let beat = Beat {
        context: Some(long.clone()),
        ..Beat::default()
    };
    let draft = |text: &str| client.send(&Draft::text(&alex, text)).map(drop);
    for (name, done) in [
        ("context", client.heartbeat(&beat).map(drop)),
        (
            "request",
            client.request_consent(&alex, Some(&long)).map(drop),
        ),
        ("no text", draft("")),
        ("too much text", draft(&"x".repeat(65_537))),
    ] {
        let error = done.expect_err("too much");
        assert!(matches!(error, Error::Unsendable(_)), "{name}: {error}");
    }
    assert_eq!(fake.whats(), Vec::<String>::new());
}
