//! What every store does. Each test runs over all of them.

use airc_core::store::{
    ConsentState, Once, Page, Position, PresenceRecord, SessionRecord, Status, Store, StoreError,
};
use airc_core::time::Time;

use crate::records::{ANY_TEXT, consent, handle, identity, invite, message, presence};
use crate::subject::Subject;

macro_rules! over_all_stores {
    ($($name:ident)*) => {
        over_all_stores!(memory: $($name)*);
        over_all_stores!(sqlite: $($name)*);
        over_all_stores!(postgres: $($name)*);
    };
    ($store:ident: $($name:ident)*) => {
        mod $store {
            use crate::subject::Subject;
            $(#[test] fn $name() {
                if let Some(mut subject) = Subject::$store() {
                    super::$name(&mut subject);
                }
            })*
        }
    };
}

over_all_stores! {
    an_identity_is_read_back_as_it_was_put
    a_heartbeat_replaces_the_one_before
    those_present_come_by_handle_a_page_at_a_time
    a_consent_is_read_back_and_taken_back
    consents_come_newest_first_and_by_state
    what_must_not_come_twice_is_known_until_its_time
    messages_are_in_the_inbox_of_their_recipient_in_order
    a_thread_has_both_directions_and_nothing_else
    what_somebody_wrote_to_itself_is_there_once
    a_page_says_whether_there_is_more
    the_latest_messages_are_the_newest_that_came_after_a_moment
    held_messages_are_nowhere_until_they_are_released_in_order
    held_messages_can_be_dropped
    a_session_is_found_by_its_hash_alone
    an_invite_is_good_for_its_uses_until_its_end
    an_invite_that_was_revoked_is_good_for_nothing
    what_is_over_is_forgotten_and_nothing_else
    positions_are_never_used_again
    forgetting_stops_at_its_limit_and_goes_on_the_next_time
    a_transaction_that_fails_has_written_nothing
    a_transaction_sees_what_it_wrote
    times_at_the_end_of_the_scale_are_later_than_all_others
}

fn ids(page: &Page) -> Vec<&str> {
    page.messages
        .iter()
        .map(|(_, message)| &*message.id)
        .collect()
}

fn an_identity_is_read_back_as_it_was_put(subject: &mut Subject) {
    let full = identity("full");
    let mut bare = identity("bare");
    (bare.key, bare.previous) = (None, None);
    bare.capabilities.payloads.clear();
    bare.endpoints.clear();
    subject.write(|store| {
        store.put_identity(&full)?;
        store.put_identity(&bare)
    });
    assert_eq!(
        subject.read(|store| store.identity(&full.handle)),
        Some(full.clone())
    );
    assert_eq!(
        subject.read(|store| store.identity(&bare.handle)),
        Some(bare.clone())
    );
    assert_eq!(subject.read(|store| store.identity(&handle("none"))), None);
    bare.handle = full.handle;
    subject.write(|store| store.put_identity(&bare));
    assert_eq!(
        subject.read(|store| store.identity(&bare.handle)),
        Some(bare.clone())
    );
}

fn a_heartbeat_replaces_the_one_before(subject: &mut Subject) {
    let me = handle("me");
    assert_eq!(subject.read(|store| store.presence(&me)), None);
    for status in [Status::Online, Status::Idle, Status::Busy, Status::Offline] {
        let said = PresenceRecord {
            status: Some(status),
            context: Some(ANY_TEXT.into()),
            ..presence("me", 5)
        };
        subject.write(|store| store.put_presence(&said));
        assert_eq!(subject.read(|store| store.presence(&me)), Some(said));
    }
    let silent = presence("me", 6);
    subject.write(|store| store.put_presence(&silent));
    assert_eq!(subject.read(|store| store.presence(&me)), Some(silent));
}

fn those_present_come_by_handle_a_page_at_a_time(subject: &mut Subject) {
    subject.write(|store| {
        // In the order of bytes: digits, `_`, letters. No language's.
        for (name, expires) in [
            ("b", 11),
            ("a_b", 11),
            ("ab", 11),
            ("a0", 11),
            ("gone", 10),
            ("z", 99),
        ] {
            store.put_presence(&presence(name, expires))?;
        }
        Ok(())
    });
    let mut page = |after: Option<&str>, limit| {
        let after = after.map(handle);
        let page = subject.read(|store| store.present(Time(10), after.as_ref(), limit));
        page.iter()
            .map(|it| it.handle.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(page(None, 9), ["a0", "a_b", "ab", "b", "z"]);
    assert_eq!(page(None, 2), ["a0", "a_b"]);
    assert_eq!(page(Some("a_b"), 2), ["ab", "b"]);
    assert_eq!(page(Some("b"), 2), ["z"]);
    assert_eq!(page(Some("z"), 2), [""; 0]);
}

fn a_consent_is_read_back_and_taken_back(subject: &mut Subject) {
    let (a, b) = (handle("a"), handle("b"));
    for state in [
        ConsentState::Pending,
        ConsentState::Accepted,
        ConsentState::Blocked,
    ] {
        let given = consent("a", "b", state, 5);
        subject.write(|store| store.put_consent(&given));
        assert_eq!(subject.read(|store| store.consent(&a, &b)), Some(given));
        assert_eq!(subject.read(|store| store.consent(&b, &a)), None);
    }
    subject.write(|store| store.put_consent(&consent("a", "b", ConsentState::None, 6)));
    let left = subject.read(|store| store.consents_to(&b, Some(ConsentState::Blocked), 9));
    assert_eq!(left, []);
}

fn consents_come_newest_first_and_by_state(subject: &mut Subject) {
    let records = [
        consent("b", "me", ConsentState::Accepted, 1),
        consent("d", "me", ConsentState::Pending, 2),
        consent("c", "me", ConsentState::Pending, 2),
        consent("e", "me", ConsentState::Blocked, 3),
        consent("me", "b", ConsentState::Accepted, 1),
        consent("me", "d", ConsentState::Blocked, 4),
    ];
    subject.write(|store| records.iter().try_for_each(|it| store.put_consent(it)));
    let me = handle("me");
    let [b, d, c, e, me_b, me_d] = records;
    let all = subject.read(|store| store.consents_to(&me, None, 9));
    assert_eq!(all, [e, c.clone(), d.clone(), b]);
    let two = subject.read(|store| store.consents_to(&me, None, 2));
    assert_eq!(two, all[..2]);
    let pending = subject.read(|store| store.consents_to(&me, Some(ConsentState::Pending), 9));
    assert_eq!(pending, [c.clone(), d]);
    let one = subject.read(|store| store.consents_to(&me, Some(ConsentState::Pending), 1));
    assert_eq!(one, [c]);
    let asked = subject.read(|store| store.consents_from(&me, 9));
    assert_eq!(asked, [me_d.clone(), me_b]);
    assert_eq!(subject.read(|store| store.consents_from(&me, 1)), [me_d]);
}

fn what_must_not_come_twice_is_known_until_its_time(subject: &mut Subject) {
    let (a, b) = (handle("a"), handle("b"));
    let long = "\u{10ffff}".repeat(128);
    for text in ["n", "N", "n ", "", "n\0", &*long] {
        let mut new = |who: &_, once, now, until| {
            subject.write(|store| store.remember(who, once, Time(now), Time(until)))
        };
        assert!(new(&a, Once::Nonce(text), 10, 20), "{text:?}");
        // Of another kind, and of somebody else.
        assert!(new(&a, Once::MessageId(text), 10, 20));
        assert!(new(&b, Once::Nonce(text), 10, 20));
        assert!(!new(&a, Once::Nonce(text), 19, 99));
        // What was refused has not made it longer.
        assert!(new(&a, Once::Nonce(text), 20, 30));
        assert!(!new(&a, Once::Nonce(text), 29, 99));
        assert!(!new(&a, Once::MessageId(text), 19, 99));
    }
}

fn messages_are_in_the_inbox_of_their_recipient_in_order(subject: &mut Subject) {
    let sent = [
        message("a", "me", "m1", 9000),
        message("b", "me", "m2", 1000),
        message("a", "b", "m3", 1000),
        message("c", "me", "m2", 1000),
    ];
    let at = subject.write(|store| {
        sent.iter()
            .map(|it| store.deliver(it))
            .collect::<Result<Vec<_>, _>>()
    });
    assert!(
        at[0] > Position(0) && at.is_sorted_by(|one, two| one < two),
        "{at:?}"
    );
    let page = subject.read(|store| store.inbox(&handle("me"), Position(0), 9));
    let expected = [0, 1, 3].map(|it| (at[it], sent[it].clone()));
    assert_eq!(page.messages, expected);
    assert!(!page.more);
    let rest = subject.read(|store| store.inbox(&handle("me"), at[0], 9));
    assert_eq!(rest.messages, expected[1..]);
    let none = subject.read(|store| store.inbox(&handle("me"), Position(u64::MAX), 9));
    assert_eq!(none, Page::default());
    assert_eq!(
        subject.read(|store| store.inbox(&handle("a"), Position(0), 9)),
        Page::default()
    );
}

fn a_thread_has_both_directions_and_nothing_else(subject: &mut Subject) {
    let at = subject.write(|store| {
        [
            ("a", "b"),
            ("b", "a"),
            ("a", "c"),
            ("b", "c"),
            ("a", "b"),
            ("a", "a"),
        ]
        .iter()
        .map(|(from, to)| store.deliver(&message(from, to, "m", 1)))
        .collect::<Result<Vec<_>, _>>()
    });
    for (owner, peer) in [("a", "b"), ("b", "a")] {
        let (owner, peer) = (handle(owner), handle(peer));
        let page = subject.read(|store| store.thread(&owner, &peer, Position(0), 9));
        let found: Vec<_> = page
            .messages
            .iter()
            .map(|(position, _)| *position)
            .collect();
        assert_eq!(found, [at[0], at[1], at[4]]);
        let page = subject.read(|store| store.thread(&owner, &peer, at[0], 1));
        assert_eq!((page.messages[0].0, page.more), (at[1], true));
        let page = subject.read(|store| store.thread(&owner, &peer, at[4], 9));
        assert_eq!(page, Page::default());
    }
}

fn what_somebody_wrote_to_itself_is_there_once(subject: &mut Subject) {
    let a = handle("a");
    subject.write(|store| store.deliver(&message("a", "a", "m1", 5)));
    let page = subject.read(|store| store.thread(&a, &a, Position(0), 9));
    assert_eq!(ids(&page), ["m1"]);
    let page = subject.read(|store| store.inbox(&a, Position(0), 9));
    assert_eq!(ids(&page), ["m1"]);
    assert_eq!(
        subject
            .read(|store| store.latest(&a, Some(&a), Time(4), 9))
            .len(),
        1
    );
}

fn a_page_says_whether_there_is_more(subject: &mut Subject) {
    let me = handle("me");
    subject.write(|store| {
        (0..5).try_for_each(|n| {
            store
                .deliver(&message("a", "me", &format!("m{n}"), 1))
                .map(drop)
        })
    });
    for (limit, more) in [
        (0, true),
        (1, true),
        (4, true),
        (5, false),
        (6, false),
        (usize::MAX, false),
    ] {
        let page = subject.read(|store| store.inbox(&me, Position(0), limit));
        assert_eq!((page.messages.len(), page.more), (limit.min(5), more));
        let page = subject.read(|store| store.thread(&me, &handle("a"), Position(0), limit));
        assert_eq!((page.messages.len(), page.more), (limit.min(5), more));
    }
}

fn the_latest_messages_are_the_newest_that_came_after_a_moment(subject: &mut Subject) {
    let me = handle("me");
    subject.write(|store| {
        for (from, to, id, received) in [
            ("a", "me", "m1", 10),
            ("b", "me", "m2", 20),
            ("me", "a", "m3", 30),
            ("a", "me", "m4", 40),
            // Held for a while, and released.
            ("a", "me", "m5", 15),
        ] {
            store.deliver(&message(from, to, id, received))?;
        }
        Ok(())
    });
    let mut latest = |peer: Option<&str>, since, limit| {
        let peer = peer.map(handle);
        let found = subject.read(|store| store.latest(&me, peer.as_ref(), Time(since), limit));
        found.into_iter().map(|it| it.id).collect::<Vec<_>>()
    };
    assert_eq!(latest(None, 0, 9), ["m1", "m2", "m4", "m5"]);
    assert_eq!(latest(None, 0, 2), ["m4", "m5"]);
    assert_eq!(latest(None, 15, 9), ["m2", "m4"]);
    assert_eq!(latest(None, 40, 9), [""; 0]);
    assert_eq!(latest(Some("a"), 0, 9), ["m1", "m3", "m4", "m5"]);
    assert_eq!(latest(Some("a"), 0, 3), ["m3", "m4", "m5"]);
    assert_eq!(latest(Some("a"), 10, 2), ["m4", "m5"]);
    assert_eq!(latest(Some("b"), 0, 9), ["m2"]);
    assert_eq!(latest(Some("c"), 0, 9), [""; 0]);
}

fn held_messages_are_nowhere_until_they_are_released_in_order(subject: &mut Subject) {
    let (a, b, me) = (handle("a"), handle("b"), handle("me"));
    subject.write(|store| {
        // By the sender's clock, not by arrival; then by id.
        for (from, id, timestamp) in [
            ("a", "m3", 7),
            ("a", "m2", 7),
            ("b", "m4", 1),
            ("a", "m1", 5),
            ("a", "m10", 5),
        ] {
            let mut held = message(from, "me", id, 1);
            held.timestamp = timestamp;
            store.hold(&held)?;
        }
        Ok(())
    });
    assert_eq!(subject.read(|store| store.held(&a, &me)), (4, 5));
    assert_eq!(subject.read(|store| store.held(&b, &me)), (1, 5));
    assert_eq!(subject.read(|store| store.held(&me, &a)), (0, 0));
    assert_eq!(
        subject.read(|store| store.inbox(&me, Position(0), 9)),
        Page::default()
    );
    assert_eq!(
        subject.read(|store| store.thread(&me, &a, Position(0), 9)),
        Page::default()
    );

    let before = subject.write(|store| store.deliver(&message("c", "me", "m0", 1)));
    assert_eq!(subject.write(|store| store.release(&a, &me, Time(9))), 4);
    let page = subject.read(|store| store.inbox(&me, before, 9));
    assert_eq!(ids(&page), ["m1", "m10", "m2", "m3"]);
    assert!(page.messages.is_sorted_by(|one, two| one.0 < two.0));
    // They were held since 1, and come at 9.
    assert!(
        page.messages
            .iter()
            .all(|(_, message)| message.received == Time(9))
    );
    let latest = subject.read(|store| store.latest(&me, None, Time(8), 9));
    assert_eq!(latest.len(), 4);
    let page = subject.read(|store| store.thread(&a, &me, Position(0), 9));
    assert_eq!(ids(&page), ["m1", "m10", "m2", "m3"]);
    assert_eq!(subject.write(|store| store.release(&a, &me, Time(9))), 0);
    assert_eq!(subject.read(|store| store.held(&a, &me)), (0, 1));
}

fn held_messages_can_be_dropped(subject: &mut Subject) {
    let (a, b, me) = (handle("a"), handle("b"), handle("me"));
    subject.write(|store| {
        store.hold(&message("a", "me", "m1", 1))?;
        store.hold(&message("a", "me", "m2", 1))?;
        store.hold(&message("b", "me", "m3", 1))
    });
    assert_eq!(subject.write(|store| store.drop_held(&a, &me)), 2);
    assert_eq!(subject.write(|store| store.drop_held(&a, &me)), 0);
    assert_eq!(subject.write(|store| store.release(&a, &me, Time(9))), 0);
    assert_eq!(subject.read(|store| store.held(&b, &me)), (1, 1));
}

fn a_session_is_found_by_its_hash_alone(subject: &mut Subject) {
    let mut session = SessionRecord {
        hash: [1; 32],
        handle: handle("a"),
        expires: Time(5),
    };
    subject.write(|store| store.put_session(&session));
    assert_eq!(
        subject.read(|store| store.session(&[1; 32])),
        Some(session.clone())
    );
    assert_eq!(subject.read(|store| store.session(&[2; 32])), None);
    session.expires = Time(9);
    subject.write(|store| store.put_session(&session));
    assert_eq!(
        subject.read(|store| store.session(&[1; 32])),
        Some(session.clone())
    );
}

fn an_invite_is_good_for_its_uses_until_its_end(subject: &mut Subject) {
    let twice = invite("twice", 1, 10);
    let mut for_all = invite("for_all", 2, 20);
    (for_all.uses_left, for_all.expires) = (None, None);
    subject.write(|store| {
        store.put_invite(&twice)?;
        store.put_invite(&for_all)
    });
    assert_eq!(
        subject.read(|store| store.invites()),
        [for_all.clone(), twice.clone()]
    );
    let mut uses =
        |secret: u8, now| subject.write(|store| store.use_invite(&[secret; 32], Time(now)));
    assert!(!uses(1, 100), "its time is over");
    assert!(uses(1, 99));
    assert!(uses(1, 99));
    assert!(!uses(1, 99), "it was good for two");
    assert!((0..5).all(|_| uses(2, u64::MAX)));
    assert!(!uses(3, 1), "there is none");
    assert_eq!(subject.read(|store| store.invites())[1].uses_left, Some(0));
    assert_eq!(subject.read(|store| store.invites())[0], for_all);
}

fn an_invite_that_was_revoked_is_good_for_nothing(subject: &mut Subject) {
    subject.write(|store| store.put_invite(&invite("one", 1, 10)));
    assert!(!subject.write(|store| store.revoke_invite("another")));
    assert!(subject.write(|store| store.revoke_invite("one")));
    assert!(subject.write(|store| store.revoke_invite("one")));
    assert!(!subject.write(|store| store.use_invite(&[1; 32], Time(1))));
    assert!(subject.read(|store| store.invites())[0].revoked);
}

/// One of each kind that is over at 50, and one that is not.
fn fill(store: &mut dyn Store) -> Result<(), StoreError> {
    let a = handle("a");
    for (name, time) in [("over", 50), ("good", 51)] {
        store.remember(&a, Once::Nonce(name), Time(0), Time(time))?;
        store.put_presence(&presence(name, time))?;
        store.put_session(&SessionRecord {
            hash: [time as u8; 32],
            handle: a.clone(),
            expires: Time(time),
        })?;
    }
    for (id, received) in [("over", 39), ("good", 40)] {
        store.deliver(&message("a", "me", id, received))?;
        store.hold(&message("b", "me", id, received))?;
    }
    Ok(())
}

fn what_is_over_is_forgotten_and_nothing_else(subject: &mut Subject) {
    let (a, b, me) = (handle("a"), handle("b"), handle("me"));
    subject.write(fill);
    assert_eq!(
        subject.write(|store| store.expire(Time(50), Time(40), 99)),
        5
    );
    assert_eq!(
        subject.write(|store| store.expire(Time(50), Time(40), 99)),
        0
    );
    assert_eq!(subject.read(|store| store.presence(&handle("over"))), None);
    assert!(
        subject
            .read(|store| store.presence(&handle("good")))
            .is_some()
    );
    assert_eq!(subject.read(|store| store.session(&[50; 32])), None);
    assert!(subject.read(|store| store.session(&[51; 32])).is_some());
    assert!(!subject.write(|store| store.remember(&a, Once::Nonce("good"), Time(50), Time(60))));
    assert_eq!(
        ids(&subject.read(|store| store.inbox(&me, Position(0), 9))),
        ["good"]
    );
    assert_eq!(
        ids(&subject.read(|store| store.thread(&a, &me, Position(0), 9))),
        ["good"]
    );
    assert_eq!(subject.read(|store| store.held(&b, &me)), (1, 1));
}

fn positions_are_never_used_again(subject: &mut Subject) {
    let last = subject.write(|store| store.deliver(&message("a", "me", "m1", 1)));
    assert_eq!(subject.write(|store| store.expire(Time(0), Time(2), 9)), 1);
    let next = subject.write(|store| store.deliver(&message("a", "me", "m2", 1)));
    assert!(next > last);
    let page = subject.read(|store| store.inbox(&handle("me"), last, 9));
    assert_eq!(ids(&page), ["m2"]);
}

fn forgetting_stops_at_its_limit_and_goes_on_the_next_time(subject: &mut Subject) {
    subject.write(|store| {
        for n in 0..5 {
            store.remember(&handle("a"), Once::Nonce(&n.to_string()), Time(0), Time(1))?;
            store.deliver(&message("a", "me", &n.to_string(), 1))?;
        }
        Ok(())
    });
    let mut gone = Vec::new();
    for _ in 0..4 {
        gone.push(subject.write(|store| store.expire(Time(2), Time(2), 2)));
    }
    assert_eq!(gone, [4, 4, 2, 0]);
}

fn a_transaction_that_fails_has_written_nothing(subject: &mut Subject) {
    let failure = StoreError {
        message: "enough".into(),
        transient: false,
    };
    let failed = subject.connection.write(&mut |store| {
        fill(store)?;
        store.put_identity(&identity("a"))?;
        store.put_consent(&consent("a", "b", ConsentState::Accepted, 1))?;
        store.put_invite(&invite("one", 1, 1))?;
        Err(failure.clone())
    });
    assert_eq!(failed, Err(failure));
    assert_eq!(subject.read(|store| store.identity(&handle("a"))), None);
    assert_eq!(
        subject.read(|store| store.inbox(&handle("me"), Position(0), 9)),
        Page::default()
    );
    assert_eq!(subject.read(|store| store.invites()), []);
    assert_eq!(
        subject.write(|store| store.expire(Time(99), Time(99), 99)),
        0
    );
}

fn a_transaction_sees_what_it_wrote(subject: &mut Subject) {
    let me = handle("me");
    subject.write(|store| {
        store.hold(&message("a", "me", "m1", 1))?;
        assert_eq!(store.held(&handle("a"), &me)?, (1, 1));
        store.release(&handle("a"), &me, Time(9))?;
        assert_eq!(ids(&store.inbox(&me, Position(0), 9)?), ["m1"]);
        store.put_identity(&identity("me"))?;
        assert!(store.identity(&me)?.is_some());
        Ok(())
    });
}

fn times_at_the_end_of_the_scale_are_later_than_all_others(subject: &mut Subject) {
    let a = handle("a");
    subject.write(|store| {
        store.put_presence(&presence("a", u64::MAX))?;
        store.remember(&a, Once::Nonce("n"), Time(0), Time(u64::MAX))
    });
    let far = Time(i64::MAX as u64 - 1);
    assert_eq!(subject.read(|store| store.present(far, None, 9)).len(), 1);
    assert_eq!(subject.write(|store| store.expire(far, far, 9)), 0);
    assert!(!subject.write(|store| store.remember(&a, Once::Nonce("n"), far, Time(u64::MAX))));
}
