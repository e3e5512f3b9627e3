//! Random steps over all stores at once: each says what the one in memory says.

use std::cell::RefCell;

use airc_core::handle::Handle;
use airc_core::store::{
    ConsentState, MemoryStore, Once, Page, Position, SessionRecord, Store, StoreError, Stored,
};
use airc_core::time::Time;
use airc_registry::store::Connection;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::records::{consent, handle, identity, invite, message, presence};
use crate::subject::Subject;

/// Few names and times, so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Identity(u8),
    PutIdentity(u8),
    Presence(u8, u64),
    Present(u64, Option<u8>, usize),
    Consent(u8, u8),
    PutConsent(u8, u8, u8, u64),
    ConsentsTo(u8, Option<u8>, usize),
    ConsentsFrom(u8, usize),
    Remember(u8, bool, u8, u64, u64),
    Deliver(u8, u8, u8, u64),
    Hold(u8, u8, u8, u64),
    Held(u8, u8),
    Release(u8, u8, u64),
    Drop(u8, u8),
    Inbox(u8, u64, usize),
    Thread(u8, u8, u64, usize),
    Latest(u8, Option<u8>, u64, usize),
    Session(u8, u64),
    PutInvite(u8),
    UseInvite(u8, u64),
    Revoke(u8),
    Expire(u64, u64),
}

fn steps() -> impl Strategy<Value = Step> {
    let who = || 0_u8..4;
    let time = || 0_u64..40;
    let limit = || 0_usize..6;
    let some = || proptest::option::of(0_u8..4);
    prop_oneof![
        1 => who().prop_map(Step::Identity),
        1 => who().prop_map(Step::PutIdentity),
        1 => (who(), time()).prop_map(|(a, b)| Step::Presence(a, b)),
        1 => (time(), some(), limit()).prop_map(|(a, b, c)| Step::Present(a, b, c)),
        1 => (who(), who()).prop_map(|(a, b)| Step::Consent(a, b)),
        3 => (who(), who(), 0_u8..4, time()).prop_map(|(a, b, c, d)| Step::PutConsent(a, b, c, d)),
        2 => (who(), some(), limit()).prop_map(|(a, b, c)| Step::ConsentsTo(a, b, c)),
        2 => (who(), limit()).prop_map(|(a, b)| Step::ConsentsFrom(a, b)),
        3 => (who(), any::<bool>(), 0_u8..3, time(), time())
            .prop_map(|(a, b, c, d, e)| Step::Remember(a, b, c, d, e)),
        8 => (who(), who(), 0_u8..9, time()).prop_map(|(a, b, c, d)| Step::Deliver(a, b, c, d)),
        6 => (who(), who(), 0_u8..9, time()).prop_map(|(a, b, c, d)| Step::Hold(a, b, c, d)),
        2 => (who(), who()).prop_map(|(a, b)| Step::Held(a, b)),
        2 => (who(), who(), time()).prop_map(|(a, b, c)| Step::Release(a, b, c)),
        1 => (who(), who()).prop_map(|(a, b)| Step::Drop(a, b)),
        4 => (who(), 0_u64..30, limit()).prop_map(|(a, b, c)| Step::Inbox(a, b, c)),
        4 => (who(), who(), 0_u64..30, limit()).prop_map(|(a, b, c, d)| Step::Thread(a, b, c, d)),
        4 => (who(), some(), time(), limit()).prop_map(|(a, b, c, d)| Step::Latest(a, b, c, d)),
        1 => (who(), time()).prop_map(|(a, b)| Step::Session(a, b)),
        1 => who().prop_map(Step::PutInvite),
        2 => (who(), time()).prop_map(|(a, b)| Step::UseInvite(a, b)),
        1 => who().prop_map(Step::Revoke),
        2 => (time(), time()).prop_map(|(a, b)| Step::Expire(a, b)),
    ]
}

const NAMES: [&str; 4] = ["a", "a_b", "ab", "b0"];

fn who(index: u8) -> Handle {
    handle(NAMES[usize::from(index)])
}

fn state(index: u8) -> ConsentState {
    [
        ConsentState::None,
        ConsentState::Pending,
        ConsentState::Accepted,
        ConsentState::Blocked,
    ][usize::from(index)]
}

/// A page whose positions count from `base`: a store that was used before goes on counting.
fn counted(page: Page, base: u64) -> Vec<(u64, String)> {
    let counted = |(position, message): (Position, _)| {
        (position.0 - base, format!("{message:?} {}", page.more))
    };
    page.messages.into_iter().map(counted).collect()
}

/// Takes a step, and tells what the store said.
fn take(step: &Step, base: u64, store: &mut dyn Store) -> Stored<String> {
    let name = |index: u8| NAMES[usize::from(index)];
    let said = match *step {
        Step::Identity(a) => format!("{:?}", store.identity(&who(a))?),
        Step::PutIdentity(a) => format!("{:?}", store.put_identity(&identity(name(a)))?),
        Step::Presence(a, expires) => {
            store.put_presence(&presence(name(a), expires))?;
            format!("{:?}", store.presence(&who(a))?)
        }
        Step::Present(now, after, limit) => {
            format!(
                "{:?}",
                store.present(Time(now), after.map(who).as_ref(), limit)?
            )
        }
        Step::Consent(a, b) => format!("{:?}", store.consent(&who(a), &who(b))?),
        Step::PutConsent(a, b, to, since) => {
            let record = consent(name(a), name(b), state(to), since);
            format!("{:?}", store.put_consent(&record)?)
        }
        Step::ConsentsTo(a, in_state, limit) => {
            let found = store.consents_to(&who(a), in_state.map(state), limit)?;
            format!("{found:?}")
        }
        Step::ConsentsFrom(a, limit) => format!("{:?}", store.consents_from(&who(a), limit)?),
        Step::Remember(a, nonce, text, now, until) => {
            let text = text.to_string();
            let once = if nonce {
                Once::Nonce(&text)
            } else {
                Once::MessageId(&text)
            };
            format!(
                "{:?}",
                store.remember(&who(a), once, Time(now), Time(until))?
            )
        }
        Step::Deliver(a, b, id, received) => {
            let record = message(name(a), name(b), &format!("m{id}"), received);
            format!("{}", store.deliver(&record)?.0 - base)
        }
        Step::Hold(a, b, id, received) => {
            let mut record = message(name(a), name(b), &format!("m{id}"), received);
            record.timestamp = received % 3;
            format!("{:?}", store.hold(&record)?)
        }
        Step::Held(a, b) => format!("{:?}", store.held(&who(a), &who(b))?),
        Step::Release(a, b, now) => {
            format!("{:?}", store.release(&who(a), &who(b), Time(now))?)
        }
        Step::Drop(a, b) => format!("{:?}", store.drop_held(&who(a), &who(b))?),
        Step::Inbox(a, after, limit) => {
            let page = store.inbox(&who(a), Position(base + after), limit)?;
            format!("{:?}", counted(page, base))
        }
        Step::Thread(a, b, after, limit) => {
            let page = store.thread(&who(a), &who(b), Position(base + after), limit)?;
            format!("{:?}", counted(page, base))
        }
        Step::Latest(a, b, since, limit) => {
            let peer = b.map(who);
            format!(
                "{:?}",
                store.latest(&who(a), peer.as_ref(), Time(since), limit)?
            )
        }
        Step::Session(a, expires) => {
            let before = store.session(&[a; 32])?;
            store.put_session(&SessionRecord {
                hash: [a; 32],
                handle: who(a),
                expires: Time(expires),
            })?;
            format!("{before:?}")
        }
        Step::PutInvite(a) => {
            store.put_invite(&invite(name(a), a, 3))?;
            format!("{:?}", store.invites()?)
        }
        Step::UseInvite(a, now) => format!("{:?}", store.use_invite(&[a; 32], Time(now))?),
        Step::Revoke(a) => format!("{:?}", store.revoke_invite(name(a))?),
        Step::Expire(now, before) => {
            format!("{:?}", store.expire(Time(now), Time(before), usize::MAX)?)
        }
    };
    Ok(said)
}

/// Takes the steps in one transaction, and undoes it, so that the next begins with an empty store.
fn play(connection: &mut dyn Connection, steps: &[Step]) -> Vec<String> {
    let undo = StoreError {
        message: "undone".into(),
        transient: false,
    };
    let mut said = Vec::new();
    let undone = connection.write(&mut |store| {
        let base = store.deliver(&message("a", "zz", "first", 99))?.0;
        for step in steps {
            said.push(take(step, base, store)?);
        }
        Err(undo.clone())
    });
    assert_eq!(undone, Err(undo));
    said
}

fn compare(subject: Option<Subject>) {
    let Some(subject) = subject else {
        return;
    };
    let subject = RefCell::new(subject);
    let mut runner = TestRunner::new(Config::with_cases(200));
    let cases = proptest::collection::vec(steps(), 1..80);
    let result = runner.run(&cases, |steps| {
        let mut memory = MemoryStore::new();
        let base = memory.deliver(&message("a", "zz", "first", 99)).unwrap().0;
        let expected: Vec<_> = steps
            .iter()
            .map(|step| take(step, base, &mut memory).unwrap())
            .collect();
        let said = play(&mut *subject.borrow_mut().connection, &steps);
        for (step, (said, expected)) in steps.iter().zip(said.iter().zip(&expected)) {
            prop_assert_eq!(said, expected, "{:?}", step);
        }
        prop_assert_eq!(said.len(), expected.len());
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

#[test]
fn sqlite_says_what_memory_says_whatever_the_steps() {
    compare(Subject::sqlite());
}

#[test]
fn postgres_says_what_memory_says_whatever_the_steps() {
    compare(Subject::postgres());
}
