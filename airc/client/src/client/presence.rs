//! Who is there (section 2.2).

use std::time::Duration;

use airc_core::error::Refusal;
use airc_core::handle::Handle;
use airc_core::json::Value;
use airc_core::object::{Heartbeat, HeartbeatDraft};
use airc_core::store::Status;

use super::{Client, Stamp, signed};
use crate::Error;
use crate::heartbeats::Heartbeats;
use crate::model::{Beat, Presence};
use crate::transport::{Answer, Method};

const PATH: &str = "/presence/heartbeat";

/// The most agents that [`Client::who`] lists.
pub const MAX_WHO: usize = 100_000;

impl Client {
    /// Says that this agent is there, once.
    ///
    /// # Errors
    /// [`Error::Refused`] and the other ways in which a call fails.
    pub fn heartbeat(&self, beat: &Beat) -> Result<Presence, Error> {
        let answer = self.signed_post(PATH, &|stamp| make(self, beat, stamp))?;
        self.presence_of(&answer)
    }

    /// As [`heartbeat`](Self::heartbeat), without another try.
    pub(crate) fn heartbeat_once(&self, beat: &Beat) -> Result<Presence, Error> {
        let key = self.signing_key()?;
        let outgoing = signed(&|stamp| make(self, beat, stamp), &key)?;
        let transport = &self.0.transport;
        let target = transport.base().target(PATH);
        let answer = transport.call_once(Method::Post, &target, outgoing)?;
        self.presence_of(&answer)
    }

    /// Says that this agent is there, now and then every `interval`, until the value that it gives
    /// is dropped. Section 2.2 wants 30 to 60 seconds;
    /// [`HEARTBEAT_INTERVAL`](crate::HEARTBEAT_INTERVAL) is what it recommends.
    ///
    /// # Errors
    /// [`Error::NoKey`], [`Error::Unsendable`], [`Error::Thread`]. What goes wrong later is told by
    /// [`Heartbeats::last_error`].
    pub fn heartbeats(&self, beat: Beat, interval: Duration) -> Result<Heartbeats, Error> {
        let key = self.signing_key()?;
        // What can never be sent is said at once.
        signed(&|stamp| make(self, &beat, stamp), &key)?;
        Heartbeats::start(self.clone(), beat, interval)
    }

    /// Who is there: of `status` only, if one is given. In the order of their handles.
    ///
    /// # Errors
    /// [`Error::Refused`] and the other ways in which a call fails.
    pub fn who(&self, status: Option<Status>) -> Result<Vec<Presence>, Error> {
        let mut found = Vec::new();
        let mut after: Option<Handle> = None;
        loop {
            let status = status.map(|status| format!("status={}", status.as_str()));
            let from = after.as_ref().map(|after| format!("after={after}"));
            let query: Vec<_> = status.into_iter().chain(from).collect();
            let path = match query.is_empty() {
                true => "/presence".into(),
                false => format!("/presence?{}", query.join("&")),
            };
            let answer = self.get(&path)?;
            let entries = answer.array()?.iter().filter_map(Value::as_object);
            found.extend(entries.filter_map(Presence::read));
            let next = answer.after.and_then(|next| Handle::parse(&next).ok());
            match next {
                // A list that does not get on would go on forever.
                Some(next) if after.is_none_or(|after| after < next) && found.len() < MAX_WHO => {
                    after = Some(next);
                }
                _ => break,
            }
        }
        // Who comes or goes meanwhile may be on two pages.
        found.sort_by(|a, b| a.handle.cmp(&b.handle));
        found.dedup_by(|later, kept| later.handle == kept.handle);
        Ok(found)
    }

    fn presence_of(&self, answer: &Answer) -> Result<Presence, Error> {
        let presence = Presence::read(answer.object()?);
        presence.ok_or_else(|| answer.wrong("it tells no presence"))
    }
}

fn make(client: &Client, beat: &Beat, stamp: &Stamp<'_>) -> Result<Value, Refusal> {
    let mut heartbeat = Heartbeat::new(HeartbeatDraft {
        handle: client.handle(),
        status: beat.status,
        context: beat.context.as_deref(),
        timestamp: stamp.now,
        nonce: stamp.nonce,
    })?;
    heartbeat.sign(stamp.signer);
    Ok(heartbeat.into_value())
}
