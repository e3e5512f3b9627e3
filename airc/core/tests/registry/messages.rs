//! Messages: sections 2.3, 2.4, 3.4 and 4.3, AGAP-9 to 12.

use airc_core::canonical;
use airc_core::json::{Object, Value, object, parse};
use airc_core::registry::Effect;

use crate::support::{Agent, World, altered, data};

#[test]
fn a_message_arrives_as_it_was_signed_with_all_that_nobody_knows() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    let message = world.message(&seth, &alex, "Check out this game state");
    let long = parse(b"[123456789012345678901234567890, 1.50, 1e3]").unwrap();
    let message = altered(
        &message,
        &seth,
        [("x_numbers", long), ("unsigned", true.into())],
    );
    let reply = world.post("/messages", &message).ok(200);
    assert_eq!(
        reply.str("id"),
        message.get("id").unwrap().as_str().unwrap()
    );
    assert_eq!(reply.str("consent"), "accepted");
    assert_eq!(reply.body.get("success"), Some(&true.into()));
    assert_eq!(reply.caller, Some(seth.handle.clone()));
    assert_eq!(
        reply.effects,
        [Effect::Delivered {
            from: seth.handle.clone(),
            to: alex.handle.clone(),
            count: 1,
        }]
    );
    let inbox = world.get_as(&alex, "/messages").ok(200);
    assert_eq!(inbox.items("messages"), std::slice::from_ref(&message));
    assert!(inbox.text.contains(&canonical::to_string(&message)));
    assert!(
        inbox
            .text
            .contains("123456789012345678901234567890,1.5,1000")
    );
}

#[test]
fn a_body_or_a_payload_must_be_there_and_each_required_field() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    for field in ["v", "id", "from", "to", "timestamp", "nonce", "body"] {
        let message = world.message(&seth, &alex, "hello");
        let message = altered(&message, &seth, [(field, Value::Null)]);
        let refused = world.post("/messages", &message);
        assert_eq!(
            refused.refused(400, "invalid_request").detail("field"),
            field
        );
    }
    let message = world.message(&seth, &alex, "hello");
    let mut unsigned = message.into_object().unwrap();
    unsigned.remove("signature");
    world
        .post("/messages", &unsigned.into())
        .refused(401, "auth_failed");
    let empty = world.typed(&seth, &alex, "game:chess", Object::new(), false);
    let empty = altered(&empty, &seth, [("body", "".into())]);
    world.post("/messages", &empty).ok(200);
    let message = world.message(&seth, &alex, "hello");
    let message = altered(&message, &seth, [("body", "".into())]);
    world
        .post("/messages", &message)
        .refused(400, "invalid_request");
    let message = world.message(&seth, &alex, "hello");
    let short = altered(&message, &seth, [("nonce", "fifteen letters".into())]);
    world
        .post("/messages", &short)
        .refused(400, "invalid_request");
}

#[test]
fn a_signature_must_be_the_senders_over_exactly_this() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    let message = world.message(&seth, &alex, "hello");
    for (field, value) in [
        ("body", Value::from("hullo")),
        ("timestamp", (world.seconds() + 1).into()),
        ("extra", true.into()),
        ("signature", "A".repeat(86).into()),
        ("from", "alex".into()),
    ] {
        let mut changed = message.as_object().unwrap().clone();
        changed.insert(field, value);
        let refused = world.post("/messages", &changed.into());
        let refused = refused.refused(401, "auth_failed");
        assert_eq!(refused.caller, None);
    }
    let mut spaced = message.to_string().replace("\":", "\" :\n ");
    spaced.push('\n');
    let credentials = airc_core::registry::Credentials::default();
    let method = airc_core::registry::Method::Post;
    world
        .request(method, "/messages", credentials, spaced.as_bytes())
        .ok(200);
}

#[test]
fn a_message_to_or_from_nobody_is_refused() {
    let mut world = World::new();
    let seth = world.agent("seth");
    let nobody = Agent::new("nobody", 1);
    let refused = world.send(&seth, &nobody, "hello");
    assert_eq!(
        refused.refused(404, "identity_not_found").detail("handle"),
        "nobody"
    );
    let refused = world.send(&nobody, &seth, "hello");
    assert_eq!(
        refused.refused(404, "identity_not_found").detail("handle"),
        "nobody"
    );
}

#[test]
fn a_message_to_oneself_needs_no_consent() {
    let mut world = World::new();
    let seth = world.agent("seth");
    let reply = world.send(&seth, &seth, "a note").ok(200);
    assert_eq!(reply.str("consent"), "accepted");
    assert_eq!(world.inbox(&seth), ["a note"]);
    let thread = world.get_as(&seth, "/messages/thread/seth").ok(200);
    assert_eq!(thread.bodies(), ["a note"]);
}

#[test]
fn agap_10_a_payload_is_weighed_against_what_its_recipient_takes() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    let body = world.registration(&alex, &[]);
    let capabilities = object([("maxPayloadSize", 42.into())]);
    let body = altered(&body, &alex, [("capabilities", capabilities)]);
    world.post("/identity", &body).ok(200);
    // {"data":{"a":"..."},"type":"x:y"} has 30 bytes beside the text.
    let payload = |world: &mut World, size: usize| {
        let message = world.typed(&seth, &alex, "x:y", data("a", "é".repeat(size)), false);
        world.post("/messages", &message)
    };
    payload(&mut world, 6).ok(200);
    let refused = payload(&mut world, 7).refused(413, "payload_too_large");
    assert_eq!(refused.detail("maxPayloadSize"), "42");
    // Blanks between the values of the body do not count.
    let message = world.typed(&seth, &alex, "x:y", data("a", "é".repeat(6)), false);
    let spaced = message
        .to_string()
        .replace(",\"type\"", ",          \"type\"");
    let credentials = airc_core::registry::Credentials::default();
    let method = airc_core::registry::Method::Post;
    world
        .request(method, "/messages", credentials, spaced.as_bytes())
        .ok(200);
}

#[test]
fn agap_10_a_request_of_over_a_mebibyte_is_refused() {
    let mut world = World::new();
    let blanks = vec![b' '; (1 << 20) + 1];
    let credentials = airc_core::registry::Credentials::default();
    let method = airc_core::registry::Method::Post;
    let reply = world.request(method, "/messages", credentials, &blanks);
    reply.refused(413, "payload_too_large");
    let reply = world.request(method, "/messages", credentials, &blanks[1..]);
    reply.refused(400, "invalid_request");
}

#[test]
fn agap_9_a_type_that_is_not_listed_is_refused_only_when_the_sender_is_strict() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    let send = |world: &mut World, kind: &str, strict: bool| {
        let message = world.typed(&seth, &alex, kind, data("ref", "msg_1"), strict);
        world.post("/messages", &message)
    };
    send(&mut world, "game:go", false).ok(200);
    let refused = send(&mut world, "game:go", true).refused(422, "unsupported_payload");
    assert_eq!(refused.detail("payloads"), "game:chess");
    for kind in ["game:chess", "ack"] {
        send(&mut world, kind, true).ok(200);
    }
    assert_eq!(world.inbox(&alex), ["game:go", "game:chess", "ack"]);
}

#[test]
fn agap_11_the_same_major_version_is_accepted_and_a_higher_one_refused() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    for version in ["0.1", "0.1.0", "0.2", "0.99.1", "0"] {
        let message = world.message(&seth, &alex, "hello");
        let message = altered(&message, &seth, [("v", version.into())]);
        world.post("/messages", &message).ok(200);
    }
    for version in ["1.0", "1", "10.0", "99999999999999999999.0"] {
        let message = world.message(&seth, &alex, "hello");
        let message = altered(&message, &seth, [("v", version.into())]);
        world
            .post("/messages", &message)
            .refused(400, "unsupported_version");
    }
    let message = world.message(&seth, &alex, "hello");
    let message = altered(&message, &seth, [("v", 0.into())]);
    world
        .post("/messages", &message)
        .refused(400, "invalid_request");
}

#[test]
fn agap_12_a_key_that_comes_twice_is_refused() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    let message = world.message(&seth, &alex, "hello").to_string();
    let twice = message.replacen('{', "{\"to\":\"alex\",", 1);
    let credentials = airc_core::registry::Credentials::default();
    let method = airc_core::registry::Method::Post;
    let reply = world.request(method, "/messages", credentials, twice.as_bytes());
    reply.refused(400, "invalid_request");
}

#[test]
fn a_text_is_kept_to_the_last_character() {
    let mut world = World::new();
    let [seth, alex] = world.friends(["seth", "alex"]);
    for text in [
        "\u{1f600} \u{0}\u{7f}\u{2028}\"\\/",
        "<b>&amp;</b>",
        &"é".repeat(32_768),
    ] {
        world.send(&seth, &alex, text).ok(200);
        let inbox = world.inbox(&alex);
        assert_eq!(inbox.last().map(String::as_str), Some(text));
    }
    let long = world.message(&seth, &alex, "x");
    let long = altered(&long, &seth, [("body", "x".repeat(65_537).into())]);
    world
        .post("/messages", &long)
        .refused(413, "payload_too_large");
}
