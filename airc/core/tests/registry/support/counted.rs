//! A store that counts what it is asked for, and fails when it is told to.

use airc_core::handle::Handle;
use airc_core::store::{
    ConsentRecord, ConsentState, IdentityRecord, InviteRecord, MemoryStore, MessageRecord, Once,
    Page, Position, PresenceRecord, SecretHash, SessionRecord, Store, StoreError, Stored,
};
use airc_core::time::Time;

pub(crate) struct Counted {
    pub(crate) inner: MemoryStore,
    /// What was asked for, in its order.
    pub(crate) calls: Vec<&'static str>,
    /// How many calls succeed.
    pub(crate) good: usize,
}

impl Counted {
    pub(crate) fn new(inner: MemoryStore) -> Self {
        Self {
            inner,
            calls: Vec::new(),
            good: usize::MAX,
        }
    }
}

macro_rules! counted {
    ($(fn $name:ident(&mut self $(, $argument:ident: $kind:ty)*) -> $result:ty;)*) => {
        impl Store for Counted {
            $(fn $name(&mut self $(, $argument: $kind)*) -> Stored<$result> {
                if self.calls.len() >= self.good {
                    let message = "the disk is full".into();
                    return Err(StoreError { message, transient: false });
                }
                self.calls.push(stringify!($name));
                self.inner.$name($($argument),*)
            })*
        }
    };
}

counted! {
    fn identity(&mut self, handle: &Handle) -> Option<IdentityRecord>;
    fn put_identity(&mut self, identity: &IdentityRecord) -> ();
    fn presence(&mut self, handle: &Handle) -> Option<PresenceRecord>;
    fn put_presence(&mut self, presence: &PresenceRecord) -> ();
    fn present(&mut self, now: Time, after: Option<&Handle>, limit: usize) -> Vec<PresenceRecord>;
    fn consent(&mut self, from: &Handle, to: &Handle) -> Option<ConsentRecord>;
    fn put_consent(&mut self, consent: &ConsentRecord) -> ();
    fn consents_to(&mut self, of: &Handle, state: Option<ConsentState>, limit: usize) -> Vec<ConsentRecord>;
    fn consents_from(&mut self, of: &Handle, limit: usize) -> Vec<ConsentRecord>;
    fn remember(&mut self, handle: &Handle, once: Once<'_>, now: Time, until: Time) -> bool;
    fn deliver(&mut self, message: &MessageRecord) -> Position;
    fn hold(&mut self, message: &MessageRecord) -> ();
    fn held(&mut self, from: &Handle, to: &Handle) -> (u64, u64);
    fn release(&mut self, from: &Handle, to: &Handle, now: Time) -> u64;
    fn drop_held(&mut self, from: &Handle, to: &Handle) -> u64;
    fn inbox(&mut self, owner: &Handle, after: Position, limit: usize) -> Page;
    fn thread(&mut self, owner: &Handle, peer: &Handle, after: Position, limit: usize) -> Page;
    fn latest(&mut self, owner: &Handle, peer: Option<&Handle>, since: Time, limit: usize) -> Vec<MessageRecord>;
    fn put_session(&mut self, session: &SessionRecord) -> ();
    fn session(&mut self, hash: &SecretHash) -> Option<SessionRecord>;
    fn put_invite(&mut self, invite: &InviteRecord) -> ();
    fn invites(&mut self) -> Vec<InviteRecord>;
    fn use_invite(&mut self, hash: &SecretHash, now: Time) -> bool;
    fn revoke_invite(&mut self, id: &str) -> bool;
    fn expire(&mut self, now: Time, messages_before: Time, limit: usize) -> u64;
}
