//! Presence: sections 2.2 and 4.2.

use airc_core::registry::{Effect, Settings};
use airc_core::store::Status;

use crate::support::{START, World, altered, open};

fn status(world: &mut World, handle: &str) -> String {
    let reply = world.get(&format!("/identity/{handle}")).ok(200);
    let presence = reply.body.get("presence").unwrap();
    presence.get("status").unwrap().as_str().unwrap().into()
}

fn handles(reply: &crate::support::Reply) -> Vec<&str> {
    let items = reply.body.as_array().expect("an array");
    items
        .iter()
        .map(|item| item.get("handle").unwrap().as_str().unwrap())
        .collect()
}

#[test]
fn a_heartbeat_is_answered_with_the_presence_that_it_makes() {
    let mut world = World::new();
    let seth = world.agent("seth");
    let reply = world.beat(&seth, None, Some("building auth.js")).ok(200);
    assert_eq!(
        reply.text,
        format!(
            "{{\"context\":\"building auth.js\",\"expiresAt\":{},\"handle\":\"seth\",\
             \"lastHeartbeat\":{START},\"status\":\"online\",\"success\":true}}",
            START + 120
        )
    );
    assert_eq!(reply.effects, [Effect::Presence(seth.handle.clone())]);
}

#[test]
fn the_status_is_derived_from_the_heartbeats_age() {
    let mut world = World::with(Settings {
        presence_expiry: 1000,
        ..open()
    });
    let seth = world.agent("seth");
    world.beat(&seth, None, None).ok(200);
    for (age, expected) in [
        (0, "online"),
        (59, "online"),
        (60, "idle"),
        (300, "idle"),
        (301, "offline"),
        (999, "offline"),
    ] {
        world.now = airc_core::time::Time::from_seconds(START + age);
        assert_eq!(status(&mut world, "seth"), expected, "{age}");
    }
}

#[test]
fn by_default_one_is_idle_after_a_minute_and_offline_after_two() {
    let mut world = World::new();
    let seth = world.agent("seth");
    world.beat(&seth, None, None).ok(200);
    world.pass(119);
    assert_eq!(status(&mut world, "seth"), "idle");
    world.pass(1);
    assert_eq!(status(&mut world, "seth"), "offline");
    assert_eq!(handles(&world.get("/presence")), [""; 0]);
}

#[test]
fn what_was_said_explicitly_is_believed_until_it_expires() {
    let mut world = World::new();
    let seth = world.agent("seth");
    for said in [Status::Online, Status::Busy, Status::Idle] {
        world.beat(&seth, Some(said), None).ok(200);
        assert_eq!(status(&mut world, "seth"), said.as_str());
        world.pass(119);
        assert_eq!(status(&mut world, "seth"), said.as_str());
        world.pass(1);
        assert_eq!(status(&mut world, "seth"), "offline");
    }
    world.beat(&seth, Some(Status::Offline), None).ok(200);
    assert_eq!(status(&mut world, "seth"), "offline");
}

#[test]
fn a_heartbeat_replaces_what_the_one_before_said() {
    let mut world = World::new();
    let seth = world.agent("seth");
    world.beat(&seth, Some(Status::Busy), Some("tests")).ok(200);
    world.pass(30);
    let reply = world.beat(&seth, None, None).ok(200);
    assert_eq!(reply.str("status"), "online");
    assert_eq!(reply.body.get("context"), None);
}

#[test]
fn a_context_has_at_most_280_characters_of_any_script() {
    let mut world = World::new();
    let seth = world.agent("seth");
    let longest = "é".repeat(280);
    let reply = world.beat(&seth, None, Some(&longest)).ok(200);
    assert_eq!(reply.str("context"), longest);
    let nonce = world.nonce();
    let beat = airc_core::json::object([
        ("handle", "seth".into()),
        ("context", "é".repeat(281).into()),
        ("timestamp", world.seconds().into()),
        ("nonce", nonce.into()),
    ]);
    let beat = altered(&beat, &seth, []);
    let refused = world.post("/presence/heartbeat", &beat);
    let refused = refused.refused(400, "invalid_request");
    assert_eq!(refused.detail("field"), "context");
}

#[test]
fn who_is_online_is_an_array_that_can_be_narrowed_by_status() {
    let mut world = World::new();
    let [alex, kim, lee, seth] = world.agents(["alex", "kim", "lee", "seth"]);
    world.beat(&lee, None, None).ok(200);
    world.pass(60);
    world.beat(&alex, None, Some("chess")).ok(200);
    world.beat(&kim, Some(Status::Busy), None).ok(200);
    world.beat(&seth, Some(Status::Offline), None).ok(200);
    for (target, expected) in [
        ("/presence", &["alex", "kim", "lee"][..]),
        ("/presence?status=online", &["alex"]),
        ("/v0/presence?status=busy", &["kim"]),
        ("/presence?status=idle", &["lee"]),
        ("/presence?status=offline", &["seth"]),
    ] {
        let reply = world.get(target).ok(200);
        assert_eq!(handles(&reply), expected, "{target}");
        assert_eq!(reply.header("link"), None);
    }
    let reply = world.get("/presence?status=online");
    let first = &reply.body.as_array().unwrap()[0];
    assert_eq!(first.get("context").unwrap().as_str(), Some("chess"));
    world
        .get("/presence?status=away")
        .refused(400, "invalid_request");
    world
        .get("/presence?after=A")
        .refused(400, "invalid_request");
}

#[test]
fn pages_of_who_is_online_lead_to_one_another_and_miss_nobody() {
    let mut world = World::new();
    let names: Vec<String> = (10..35).map(|number| format!("agent_{number}")).collect();
    for (at, name) in names.iter().enumerate() {
        let agent = world.agent(name);
        let busy = at % 3 == 0;
        world
            .beat(&agent, busy.then_some(Status::Busy), None)
            .ok(200);
    }
    for (query, count) in [("", 25), ("status=busy&", 9), ("status=idle&", 0)] {
        for limit in [1, 2, 8, 9, 25, 200] {
            let mut target = format!("/v0/presence?{query}limit={limit}");
            let mut found: Vec<String> = Vec::new();
            loop {
                let reply = world.get(&target).ok(200);
                assert!(handles(&reply).len() <= limit);
                found.extend(handles(&reply).into_iter().map(String::from));
                let Some(link) = reply.header("link") else {
                    break;
                };
                let next = link.strip_prefix('<').unwrap();
                target = next.strip_suffix(">; rel=\"next\"").unwrap().into();
            }
            assert_eq!(found.len(), count, "{query}limit={limit}");
            assert!(found.is_sorted());
        }
    }
}

#[test]
fn a_status_that_few_have_is_found_in_bounded_steps() {
    let mut world = World::new();
    let last = world.agent("zzz");
    world.beat(&last, Some(Status::Busy), None).ok(200);
    for number in 0..1500 {
        use airc_core::store::{PresenceRecord, Store};
        let record = PresenceRecord {
            handle: crate::support::handle(&format!("a{number}")),
            status: None,
            context: None,
            heartbeat: world.now,
            expires: world.now.after_seconds(60),
        };
        world.store.put_presence(&record).unwrap();
    }
    let mut target = "/presence?status=busy".to_string();
    let mut steps = 0;
    let found = loop {
        let reply = world.get(&target).ok(200);
        steps += 1;
        if !handles(&reply).is_empty() {
            break handles(&reply)[0].to_string();
        }
        let link = reply.header("link").expect("there is more");
        target = link[1..].split('>').next().unwrap().into();
    };
    assert_eq!((found.as_str(), steps), ("zzz", 2));
}
