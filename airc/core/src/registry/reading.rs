//! Messages as they are read: inboxes and threads (section 4.3).

use alloc::string::String;
use alloc::vec::Vec;

use super::Response;
use super::cursor::Scope;
use super::target::MAX_LIMIT;
use super::work::{Outcome, Work};
use crate::handle::Handle;
use crate::json::Value;
use crate::store::{MessageRecord, Page, Position};

/// Which part of an inbox or a thread is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) since: Option<String>,
    pub(crate) limit: usize,
}

impl Work<'_> {
    /// `GET /messages`: the owner's inbox, and who asks for their consent (AGAP-3).
    pub(super) fn inbox(&mut self, owner: &Handle, wanted: &Wanted) -> Outcome<Response> {
        let scope = Scope { owner, peer: None };
        let after = scope.read(wanted.since.as_deref())?;
        let page = self.page(scope, after, wanted.limit)?;
        let pending = self.pending(owner, MAX_LIMIT)?;
        let handles = pending.iter().map(|record| record.from.as_str());
        let pending = Value::from(handles.collect::<Vec<_>>());
        Ok(answer(scope, after, &page, Some(&pending)))
    }

    /// `GET /messages/thread/{handle}`: what the owner and a peer have sent each other.
    pub(super) fn thread(
        &mut self,
        owner: &Handle,
        peer: &Handle,
        wanted: &Wanted,
    ) -> Outcome<Response> {
        let peer_scope = Some(peer);
        let scope = Scope {
            owner,
            peer: peer_scope,
        };
        let after = scope.read(wanted.since.as_deref())?;
        self.identity(peer)?;
        let mut page = self.page(scope, after, wanted.limit)?;
        let last = last(&page, after);
        // Within a page the order is that of threads (section 2.5); the cursor's is that of
        // deliveries, in which nothing is passed by.
        page.messages
            .sort_by(|(_, one), (_, two)| (one.timestamp, &one.id).cmp(&(two.timestamp, &two.id)));
        Ok(answer(scope, last, &page, None))
    }
}

/// How many messages are read at a time: of the longest, no more than a few mebibytes.
const STEP: usize = 50;

/// How many bytes of messages are answered at most: the first one goes in any case.
const MAX_BYTES: usize = 4 << 20;

/// Whether one more message fits into an answer that has `bytes` already.
pub(crate) fn fits(bytes: &mut usize, message: &MessageRecord) -> bool {
    let first = *bytes == 0;
    *bytes = bytes.saturating_add(message.envelope.len());
    first || *bytes <= MAX_BYTES
}

impl Work<'_> {
    /// Up to `limit` messages, as long as an answer may be.
    fn page(&mut self, scope: Scope<'_>, after: Position, limit: usize) -> Outcome<Page> {
        let (mut page, mut after, mut bytes) = (Page::default(), after, 0);
        loop {
            let step = limit.saturating_sub(page.messages.len()).min(STEP);
            let next = match scope.peer {
                None => self.store.inbox(scope.owner, after, step)?,
                Some(peer) => self.store.thread(scope.owner, peer, after, step)?,
            };
            page.more = next.more && !next.messages.is_empty();
            for (position, message) in next.messages {
                if !fits(&mut bytes, &message) {
                    page.more = true;
                    return Ok(page);
                }
                after = position;
                page.messages.push((position, message));
            }
            if !page.more || page.messages.len() >= limit {
                return Ok(page);
            }
        }
    }
}

/// The position of a page's last message in the order of deliveries.
fn last(page: &Page, after: Position) -> Position {
    let positions = page.messages.iter().map(|(position, _)| *position);
    positions.max().unwrap_or(after).max(after)
}

/// Envelopes are answered as they were signed: they are put into the answer as they are.
fn answer(scope: Scope<'_>, after: Position, page: &Page, pending: Option<&Value>) -> Response {
    let cursor = scope.write(last(page, after));
    let mut body = alloc::format!("{{\"cursor\":\"{cursor}\",\"hasMore\":{}", page.more);
    body.push_str(",\"messages\":[");
    for (at, (_, message)) in page.messages.iter().enumerate() {
        if at > 0 {
            body.push(',');
        }
        body.push_str(&message.envelope);
    }
    body.push(']');
    if let Some(pending) = pending {
        body.push_str(&alloc::format!(",\"pendingRequests\":{pending}"));
    }
    body.push('}');
    Response::text(200, super::answer::JSON, body).with("cache-control", "no-store")
}
