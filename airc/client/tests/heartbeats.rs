//! Heartbeats in the background (section 2.2).

mod support;

use airc_client::{Beat, Error, ErrorCode, HEARTBEAT_INTERVAL, Status};
use support::{Fake, Reply, wait_until};

fn presence() -> Reply {
    Reply::json(r#"{"handle":"seth","status":"online","lastHeartbeat":1,"expiresAt":2}"#)
}

fn doing(what: &str) -> Beat {
    Beat {
        status: Some(Status::Online),
        context: Some(what.into()),
    }
}

#[test]
fn a_heartbeat_comes_at_once_and_whenever_there_is_something_new_to_say() {
    let fake = Fake::new(|_, _| presence());
    let beats = fake.client().heartbeats(doing("a"), HEARTBEAT_INTERVAL);
    let beats = beats.expect("a thread");
    wait_until("the first", || beats.sent() == 1);
    beats.set(doing("b"));
    wait_until("the second", || beats.sent() == 2);
    beats.stop();
    let said: Vec<_> = fake
        .asked()
        .iter()
        .map(|asked| asked.text("context"))
        .collect();
    assert_eq!(said, ["a", "b"]);
}

#[test]
fn heartbeats_survive_what_goes_wrong_and_say_it() {
    let fake = Fake::new(|_, before| match before {
        0 => Reply::HangUp,
        1 => Reply::refuse(ErrorCode::Unavailable),
        2 => Reply::json("[]"),
        3 => Reply::refuse(ErrorCode::AuthFailed),
        _ => presence(),
    });
    let beats = fake.client().heartbeats(doing("a"), HEARTBEAT_INTERVAL);
    let beats = beats.expect("a thread");
    for before in 1..=4 {
        wait_until("a word", || {
            beats.last_error().is_some() || beats.sent() > 0
        });
        // They come again by themselves; nobody has to wait for that here.
        beats.set(doing("a"));
        wait_until("another try", || fake.asked().len() > before);
    }
    wait_until("that all is well", || {
        beats.last_error().is_none() && beats.sent() > 0
    });
    assert!(fake.asked().len() > 4);
}

#[test]
fn a_heartbeat_that_failed_comes_again_by_itself() {
    let fake = Fake::new(|_, before| match before {
        0 => Reply::HangUp,
        _ => presence(),
    });
    let beats = fake.client().heartbeats(doing("a"), HEARTBEAT_INTERVAL);
    let beats = beats.expect("a thread");
    wait_until("the second", || beats.sent() == 1);
}

#[test]
fn who_stops_them_hears_no_more_of_them() {
    let fake = Fake::new(|_, _| presence());
    let client = fake.client();
    // A second is the shortest: without an end there would be many.
    let beats = client.heartbeats(doing("a"), std::time::Duration::ZERO);
    let beats = beats.expect("a thread");
    wait_until("the second", || beats.sent() >= 2);
    beats.stop();
    let said = fake.asked().len();
    client.heartbeat(&doing("last")).expect("taken");
    let asked = fake.asked();
    assert_eq!(asked.len(), said + 1);
    assert_eq!(asked[said].text("context"), "last");
}

#[test]
fn what_can_never_be_sent_is_said_at_once() {
    let fake = Fake::new(|_, _| presence());
    let beats = fake
        .client()
        .heartbeats(doing(&"x".repeat(281)), HEARTBEAT_INTERVAL);
    assert!(matches!(beats, Err(Error::Unsendable(_))));
    assert!(fake.asked().is_empty());
}
