//! Messages as they are read: inboxes and threads (section 4.3).

use alloc::string::String;
use alloc::vec::Vec;

use super::Response;
use super::cursor::Scope;
use super::target::MAX_LIMIT;
use super::work::{Outcome, Work};
use crate::handle::Handle;
use crate::json::Value;
use crate::store::{Page, Position};

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
        let page = self.store.inbox(owner, after, wanted.limit)?;
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
        let mut page = self.store.thread(owner, peer, after, wanted.limit)?;
        let last = last(&page, after);
        // Within a page the order is that of threads (section 2.5); the cursor's is that of
        // deliveries, in which nothing is passed by.
        page.messages
            .sort_by(|(_, one), (_, two)| (one.timestamp, &one.id).cmp(&(two.timestamp, &two.id)));
        Ok(answer(scope, last, &page, None))
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
