//! Presence (section 4.2): heartbeats, and who is online.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::work::{Outcome, Work};
use super::{Effect, Response, view};
use crate::handle::Handle;
use crate::json::Value;
use crate::store::{PresenceRecord, Status};

/// How many heartbeats one request looks at. A status that few have is found in more steps.
const MAX_SCANNED: usize = 1000;

/// What `GET /presence` asks for.
#[derive(Clone, Debug)]
pub(crate) struct PresenceQuery {
    pub(crate) status: Option<Status>,
    pub(crate) after: Option<Handle>,
    pub(crate) limit: usize,
}

impl Work<'_> {
    /// Notes a heartbeat of `handle`.
    pub(crate) fn beat(
        &mut self,
        handle: &Handle,
        status: Option<Status>,
        context: Option<String>,
    ) -> Outcome<PresenceRecord> {
        let record = PresenceRecord {
            handle: handle.clone(),
            status,
            context,
            heartbeat: self.now,
            expires: self.now.after_seconds(self.settings.presence_expiry),
        };
        self.store.put_presence(&record)?;
        self.effects.push(Effect::Presence(handle.clone()));
        Ok(record)
    }

    /// `POST /presence/heartbeat`.
    pub(super) fn heartbeat(
        &mut self,
        handle: &Handle,
        status: Option<Status>,
        context: Option<&str>,
    ) -> Outcome<Response> {
        let record = self.beat(handle, status, context.map(String::from))?;
        let mut answer = view::presence(&record, self.now);
        answer.insert("success", true);
        Ok(Response::json(200, &answer.into()))
    }

    /// `GET /presence`: those of a status, or everybody who is not offline. `Link` leads to more.
    pub(super) fn who(&mut self, query: &PresenceQuery) -> Outcome<Response> {
        let wanted = |status| match query.status {
            Some(wanted) => status == wanted,
            None => status != Status::Offline,
        };
        let (mut found, mut after, mut scanned) = (Vec::new(), query.after.clone(), 0_usize);
        let more = loop {
            // One more than is wanted: whether there are more.
            let step = query.limit.saturating_add(1);
            let records = self.store.present(self.now, after.as_ref(), step)?;
            let last = records.len() < step;
            scanned = scanned.saturating_add(records.len());
            let mut full = false;
            for record in records {
                if found.len() == query.limit {
                    full = true;
                    break;
                }
                if wanted(record.status_at(self.now)) {
                    found.push(Value::from(view::presence(&record, self.now)));
                }
                after = Some(record.handle);
            }
            if full || last || scanned >= MAX_SCANNED {
                break full || !last;
            }
        };
        let response = Response::json(200, &found.into());
        Ok(match after.filter(|_| more) {
            Some(after) => response.with("link", self.next_page(query, &after)),
            None => response,
        })
    }

    fn next_page(&self, query: &PresenceQuery, after: &Handle) -> String {
        let status = query
            .status
            .map_or_else(String::new, |status| format!("status={}&", status.as_str()));
        let (base, limit) = (self.call.base, query.limit);
        format!("<{base}/presence?{status}limit={limit}&after={after}>; rel=\"next\"")
    }
}
