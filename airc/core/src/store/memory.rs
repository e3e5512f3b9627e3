//! A store in memory: what the other stores must do, in a few lines; for tests, and for programs
//! that keep a registry inside themselves.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::ops::Bound;

use super::{
    ConsentRecord, ConsentState, IdentityRecord, InviteRecord, MessageRecord, Once, Page, Position,
    PresenceRecord, SecretHash, SessionRecord, Store, Stored,
};
use crate::handle::Handle;
use crate::time::Time;

/// Everything a registry keeps, in memory. Nothing here can fail, so every transaction is written.
///
/// It grows with what a registry admits: [`Store::expire`] is what keeps it small.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStore {
    identities: BTreeMap<Handle, IdentityRecord>,
    presence: BTreeMap<Handle, PresenceRecord>,
    /// By sender, then recipient.
    consents: BTreeMap<(Handle, Handle), ConsentRecord>,
    /// The same pairs, recipient first.
    consents_to: BTreeSet<(Handle, Handle)>,
    once: BTreeMap<(Handle, Used), Time>,
    last: Position,
    messages: BTreeMap<Position, MessageRecord>,
    inboxes: BTreeSet<(Handle, Position)>,
    threads: BTreeSet<(Handle, Handle, Position)>,
    /// By recipient, then sender; in the order in which they will be delivered.
    held: BTreeMap<(Handle, Handle), BTreeMap<(u64, String), MessageRecord>>,
    sessions: BTreeMap<SecretHash, SessionRecord>,
    invites: BTreeMap<SecretHash, InviteRecord>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Used {
    Nonce(String),
    MessageId(String),
}

impl From<Once<'_>> for Used {
    fn from(once: Once<'_>) -> Self {
        match once {
            Once::Nonce(text) => Self::Nonce(text.to_string()),
            Once::MessageId(text) => Self::MessageId(text.to_string()),
        }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn page(&self, positions: impl Iterator<Item = Position>, limit: usize) -> Page {
        let mut messages: Vec<_> = positions
            .filter_map(|position| Some((position, self.messages.get(&position)?.clone())))
            .take(limit.saturating_add(1))
            .collect();
        let more = messages.len() > limit;
        messages.truncate(limit);
        Page { messages, more }
    }

    fn inbox_of(
        &self,
        owner: &Handle,
        after: Position,
    ) -> impl DoubleEndedIterator<Item = Position> {
        let first = Bound::Excluded((owner.clone(), after));
        let last = Bound::Included((owner.clone(), Position(u64::MAX)));
        self.inboxes.range((first, last)).map(|(_, at)| *at)
    }

    fn thread_of(
        &self,
        one: &Handle,
        two: &Handle,
        after: Position,
    ) -> impl DoubleEndedIterator<Item = Position> {
        let (one, two) = sorted(one, two);
        let first = Bound::Excluded((one.clone(), two.clone(), after));
        let last = Bound::Included((one, two, Position(u64::MAX)));
        self.threads.range((first, last)).map(|(_, _, at)| *at)
    }

    fn forget(&mut self, position: Position) {
        let Some(message) = self.messages.remove(&position) else {
            return;
        };
        let (one, two) = sorted(&message.from, &message.to);
        self.threads.remove(&(one, two, position));
        self.inboxes.remove(&(message.to, position));
    }
}

/// The pair that names a thread (section 2.5).
fn sorted(one: &Handle, two: &Handle) -> (Handle, Handle) {
    (one.min(two).clone(), one.max(two).clone())
}

/// The range of the keys of a map by pairs that begin with `first`.
fn beginning_with(first: &Handle) -> impl Fn(&&(Handle, Handle)) -> bool {
    move |(one, _)| one == first
}

/// No handle is before this one.
fn lowest() -> Option<Handle> {
    Handle::parse("0").ok()
}

/// The newest first; those of the same moment by their handles.
fn newest_first(consents: &mut Vec<ConsentRecord>, limit: usize) {
    consents.sort_by(|one, two| {
        let key = |record: &ConsentRecord| (Reverse(record.since), record.from.clone());
        key(one).cmp(&key(two)).then_with(|| one.to.cmp(&two.to))
    });
    consents.truncate(limit);
}

/// Removes up to `limit` of what is spent. How many.
fn sweep<K: Ord + Clone, V>(
    map: &mut BTreeMap<K, V>,
    limit: usize,
    spent: impl Fn(&V) -> bool,
) -> u64 {
    let keys: Vec<K> = map
        .iter()
        .filter(|(_, value)| spent(value))
        .map(|(key, _)| key.clone())
        .take(limit)
        .collect();
    for key in &keys {
        map.remove(key);
    }
    keys.len() as u64
}

impl Store for MemoryStore {
    fn identity(&mut self, handle: &Handle) -> Stored<Option<IdentityRecord>> {
        Ok(self.identities.get(handle).cloned())
    }

    fn put_identity(&mut self, identity: &IdentityRecord) -> Stored<()> {
        self.identities
            .insert(identity.handle.clone(), identity.clone());
        Ok(())
    }

    fn presence(&mut self, handle: &Handle) -> Stored<Option<PresenceRecord>> {
        Ok(self.presence.get(handle).cloned())
    }

    fn put_presence(&mut self, presence: &PresenceRecord) -> Stored<()> {
        self.presence
            .insert(presence.handle.clone(), presence.clone());
        Ok(())
    }

    fn present(
        &mut self,
        now: Time,
        after: Option<&Handle>,
        limit: usize,
    ) -> Stored<Vec<PresenceRecord>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let present = self
            .presence
            .range::<Handle, _>((from, Bound::Unbounded))
            .map(|(_, record)| record)
            .filter(|record| record.expires > now);
        Ok(present.take(limit).cloned().collect())
    }

    fn consent(&mut self, from: &Handle, to: &Handle) -> Stored<Option<ConsentRecord>> {
        Ok(self.consents.get(&(from.clone(), to.clone())).cloned())
    }

    fn put_consent(&mut self, consent: &ConsentRecord) -> Stored<()> {
        let key = (consent.from.clone(), consent.to.clone());
        let back = (consent.to.clone(), consent.from.clone());
        if consent.state == ConsentState::None {
            self.consents.remove(&key);
            self.consents_to.remove(&back);
        } else {
            self.consents.insert(key, consent.clone());
            self.consents_to.insert(back);
        }
        Ok(())
    }

    fn consents_to(
        &mut self,
        of: &Handle,
        state: Option<ConsentState>,
        limit: usize,
    ) -> Stored<Vec<ConsentRecord>> {
        let Some(lowest) = lowest() else {
            return Ok(Vec::new());
        };
        let mut consents: Vec<_> = self
            .consents_to
            .range((of.clone(), lowest)..)
            .take_while(beginning_with(of))
            .filter_map(|(to, from)| self.consents.get(&(from.clone(), to.clone())))
            .filter(|record| state.is_none_or(|state| state == record.state))
            .cloned()
            .collect();
        newest_first(&mut consents, limit);
        Ok(consents)
    }

    fn consents_from(&mut self, of: &Handle, limit: usize) -> Stored<Vec<ConsentRecord>> {
        let Some(lowest) = lowest() else {
            return Ok(Vec::new());
        };
        let mut consents: Vec<_> = self
            .consents
            .range((of.clone(), lowest)..)
            .take_while(|((from, _), _)| from == of)
            .map(|(_, record)| record.clone())
            .collect();
        newest_first(&mut consents, limit);
        Ok(consents)
    }

    fn remember(
        &mut self,
        handle: &Handle,
        once: Once<'_>,
        now: Time,
        until: Time,
    ) -> Stored<bool> {
        let known = self
            .once
            .entry((handle.clone(), once.into()))
            .or_insert(Time(0));
        let new = *known <= now;
        if new {
            *known = until;
        }
        Ok(new)
    }

    fn deliver(&mut self, message: &MessageRecord) -> Stored<Position> {
        let position = Position(self.last.0.saturating_add(1));
        self.last = position;
        let (one, two) = sorted(&message.from, &message.to);
        self.threads.insert((one, two, position));
        self.inboxes.insert((message.to.clone(), position));
        self.messages.insert(position, message.clone());
        Ok(position)
    }

    fn hold(&mut self, message: &MessageRecord) -> Stored<()> {
        self.held
            .entry((message.to.clone(), message.from.clone()))
            .or_default()
            .insert((message.timestamp, message.id.clone()), message.clone());
        Ok(())
    }

    fn held(&mut self, from: &Handle, to: &Handle) -> Stored<(u64, u64)> {
        let Some(lowest) = lowest() else {
            return Ok((0, 0));
        };
        let (mut of_pair, mut of_recipient) = (0, 0_u64);
        for ((recipient, sender), messages) in self.held.range((to.clone(), lowest)..) {
            if recipient != to {
                break;
            }
            let count = messages.len() as u64;
            of_recipient = of_recipient.saturating_add(count);
            if sender == from {
                of_pair = count;
            }
        }
        Ok((of_pair, of_recipient))
    }

    fn release(&mut self, from: &Handle, to: &Handle, now: Time) -> Stored<u64> {
        let held = self.held.remove(&(to.clone(), from.clone()));
        let held = held.unwrap_or_default();
        let count = held.len() as u64;
        for mut message in held.into_values() {
            message.received = now;
            self.deliver(&message)?;
        }
        Ok(count)
    }

    fn drop_held(&mut self, from: &Handle, to: &Handle) -> Stored<u64> {
        let held = self.held.remove(&(to.clone(), from.clone()));
        Ok(held.map_or(0, |held| held.len() as u64))
    }

    fn inbox(&mut self, owner: &Handle, after: Position, limit: usize) -> Stored<Page> {
        Ok(self.page(self.inbox_of(owner, after), limit))
    }

    fn thread(
        &mut self,
        owner: &Handle,
        peer: &Handle,
        after: Position,
        limit: usize,
    ) -> Stored<Page> {
        Ok(self.page(self.thread_of(owner, peer, after), limit))
    }

    fn latest(
        &mut self,
        owner: &Handle,
        peer: Option<&Handle>,
        since: Time,
        limit: usize,
    ) -> Stored<Vec<MessageRecord>> {
        let start = Position(0);
        let newest = |positions: &mut dyn Iterator<Item = Position>| -> Vec<MessageRecord> {
            positions
                .filter_map(|position| self.messages.get(&position))
                .filter(|message| message.received > since)
                .take(limit)
                .cloned()
                .collect()
        };
        let mut messages = match peer {
            Some(peer) => newest(&mut self.thread_of(owner, peer, start).rev()),
            None => newest(&mut self.inbox_of(owner, start).rev()),
        };
        messages.reverse();
        Ok(messages)
    }

    fn put_session(&mut self, session: &SessionRecord) -> Stored<()> {
        self.sessions.insert(session.hash, session.clone());
        Ok(())
    }

    fn session(&mut self, hash: &SecretHash) -> Stored<Option<SessionRecord>> {
        Ok(self.sessions.get(hash).cloned())
    }

    fn put_invite(&mut self, invite: &InviteRecord) -> Stored<()> {
        self.invites.insert(invite.hash, invite.clone());
        Ok(())
    }

    fn invites(&mut self) -> Stored<Vec<InviteRecord>> {
        let mut invites: Vec<_> = self.invites.values().cloned().collect();
        invites.sort_by(|one, two| {
            (Reverse(one.created), &one.id).cmp(&(Reverse(two.created), &two.id))
        });
        Ok(invites)
    }

    fn use_invite(&mut self, hash: &SecretHash, now: Time) -> Stored<bool> {
        let Some(invite) = self.invites.get_mut(hash) else {
            return Ok(false);
        };
        if invite.revoked || invite.expires.is_some_and(|expires| expires <= now) {
            return Ok(false);
        }
        match invite.uses_left.as_mut() {
            None => Ok(true),
            Some(0) => Ok(false),
            Some(left) => {
                *left = left.saturating_sub(1);
                Ok(true)
            }
        }
    }

    fn revoke_invite(&mut self, id: &str) -> Stored<bool> {
        let invite = self.invites.values_mut().find(|invite| invite.id == id);
        Ok(invite.map(|invite| invite.revoked = true).is_some())
    }

    fn expire(&mut self, now: Time, messages_before: Time, limit: usize) -> Stored<u64> {
        let mut gone = sweep(&mut self.once, limit, |until| *until <= now);
        gone = gone.saturating_add(sweep(&mut self.sessions, limit, |one| one.expires <= now));
        gone = gone.saturating_add(sweep(&mut self.presence, limit, |one| one.expires <= now));
        let old: Vec<Position> = self
            .messages
            .iter()
            .filter(|(_, message)| message.received < messages_before)
            .map(|(position, _)| *position)
            .take(limit)
            .collect();
        for position in &old {
            self.forget(*position);
        }
        gone = gone.saturating_add(old.len() as u64);
        let mut left = limit;
        for messages in self.held.values_mut() {
            let swept = sweep(messages, left, |one| one.received < messages_before);
            left = left.saturating_sub(usize::try_from(swept).unwrap_or(usize::MAX));
            gone = gone.saturating_add(swept);
        }
        self.held.retain(|_, messages| !messages.is_empty());
        Ok(gone)
    }
}
