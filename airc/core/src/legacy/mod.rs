//! The `/api` dialect: what the deployed network speaks, over the same store and the same consent.
//!
//! Who registers gets a token, and bears it from then on. Messages that nobody signed are kept and
//! marked: their envelope says `"unsigned": true`. A message that is signed as section 3 has it is
//! kept as such, and a request may be signed by headers (AGAP-5) instead of bearing a token.
//!
//! Where clients and servers of the dialect differ, the reading is the one that serves most of
//! them; fields that nobody needs are ignored.

mod consent;
mod health;
mod messages;
mod presence;
mod register;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use crate::PublicKey;
use crate::error::{ErrorCode, Refusal};
use crate::handle::Handle;
use crate::json::{self, Object, Value};
use crate::registry::proof::Proof;
use crate::registry::target::Target;
use crate::registry::work::{Outcome, Stop, Work};
use crate::registry::{Request, Response, Route, TAKEN, error_object};

/// What a call of the dialect asks for.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Presence(Box<presence::Notice>),
    Who,
    Send(Box<messages::Note>),
    Messages(messages::Wanted),
    Consent(consent::Notice),
    Pending(Option<Handle>),
    Between(Handle, Handle),
    Identity(Handle),
    Health,
}

impl Action {
    /// Reads a request, and what proves its sender.
    pub(crate) fn read(
        request: &Request<'_>,
        target: &Target,
    ) -> Result<(Self, Option<Proof>), Refusal> {
        let by_headers = Proof::of_headers(request, true)?;
        let query = |name: &str| target.query.get(name).map(|text| a_handle(name, text));
        let action = match target.route {
            Route::ApiWho => Self::Who,
            Route::ApiHealth => Self::Health,
            Route::ApiIdentity => {
                let handle = target.handle.as_deref().unwrap_or_default();
                Self::Identity(a_handle("the path", handle)?)
            }
            Route::ApiMessages => Self::Messages(messages::Wanted::read(target)?),
            Route::ApiConsents => match (query("from"), query("to")) {
                (Some(from), Some(to)) => Self::Between(from?, to?),
                _ => Self::Pending(query("user").transpose()?),
            },
            Route::ApiSend => {
                let (note, by_body) = messages::Note::read(body(request)?)?;
                return Ok((Self::Send(Box::new(note)), by_body.or(by_headers)));
            }
            Route::ApiConsent => Self::Consent(consent::Notice::read(&body(request)?)?),
            _ => {
                let (notice, by_body) = presence::Notice::read(&body(request)?)?;
                return Ok((Self::Presence(Box::new(notice)), by_headers.or(by_body)));
            }
        };
        Ok((action, by_headers))
    }

    /// The key that is being registered.
    pub(crate) fn key(&self) -> Option<PublicKey> {
        match self {
            Self::Presence(notice) => notice.key,
            _ => None,
        }
    }
}

impl Work<'_> {
    /// Does what a call of the dialect asks for.
    pub(crate) fn run_api(&mut self, action: &Action) -> Outcome<Response> {
        match action {
            Action::Presence(notice) => self.api_presence(notice),
            Action::Who => self.api_who(),
            Action::Send(note) => self.api_send(note),
            Action::Messages(wanted) => self.api_messages(wanted),
            Action::Consent(notice) => self.api_consent(notice),
            Action::Pending(user) => self.api_pending(user.as_ref()),
            Action::Between(from, to) => self.api_between(from, to),
            Action::Identity(handle) => self.api_identity(handle),
            Action::Health => self.api_health(),
        }
    }

    /// Who acts: as [`asking`](Work::asking), but a token is not enough where everything has to be
    /// signed.
    fn acting(&mut self) -> Outcome<Handle> {
        if self.settings.require_signatures && self.call.proof.is_none() {
            return Err(unsigned());
        }
        self.asking()
    }

    /// That `caller` speaks of themselves.
    fn own(&self, caller: &Handle, named: Option<&Handle>) -> Outcome<()> {
        match named.filter(|named| *named != caller) {
            Some(named) => Err(not_yours(caller, named)),
            None => Ok(()),
        }
    }
}

/// The `reason` of a refusal because a token is another's.
const NOT_YOURS: &str = "not_your_handle";

fn not_yours(caller: &Handle, named: &Handle) -> Stop {
    let message = format!("the credentials are those of @{caller}, not of @{named}");
    let refusal = Refusal::new(ErrorCode::AuthFailed, message);
    Stop::Refused(refusal.with("reason", NOT_YOURS))
}

/// Nothing goes unsigned here.
fn unsigned() -> Stop {
    Stop::Refused(Refusal::new(
        ErrorCode::AuthFailed,
        "this registry wants everything signed: a token only reads",
    ))
}

/// What a refusal looks like in the dialect: `error` is a word that clients know, or the sentence
/// itself for what is wrong with a request. Our own error object is beside it.
pub(crate) fn refusal(refusal: &Refusal) -> Response {
    let reason = refusal.details.iter().find(|(name, _)| *name == "reason");
    let reason = reason.map(|(_, reason)| reason.as_str());
    let status = refusal.code.status();
    let (status, word) = match (refusal.code, reason) {
        (ErrorCode::AuthFailed, Some(TAKEN)) => (409, TAKEN),
        (ErrorCode::AuthFailed, Some(NOT_YOURS)) => (403, NOT_YOURS),
        (ErrorCode::AuthFailed, _) => (status, "unauthorized"),
        (ErrorCode::InvalidRequest, _) => (status, refusal.message.as_str()),
        (code, _) => (status, code.as_str()),
    };
    let mut body = Object::new();
    body.insert("success", false);
    body.insert("error", word);
    body.insert("message", refusal.message.as_str());
    body.insert("airc", error_object(refusal));
    Response::json(status, &body.into())
}

/// The object in a request's body.
fn body(request: &Request<'_>) -> Result<Object, Refusal> {
    let value = json::parse(request.body)?;
    let kind = value.kind();
    value
        .into_object()
        .ok_or_else(|| invalid(format!("the body is {kind}: an object is expected")))
}

/// The first of some fields that is there, and a text.
fn text<'a>(object: &'a Object, names: &[&str]) -> Result<Option<&'a str>, Refusal> {
    for name in names {
        match object.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => return Ok(Some(text)),
            Some(other) => {
                let message = format!("{name} is {}: a string is expected", other.kind());
                return Err(invalid(message));
            }
        }
    }
    Ok(None)
}

/// The first of some fields that is there, and a handle.
fn handle_of(object: &Object, names: &[&str]) -> Result<Option<Handle>, Refusal> {
    let text = text(object, names)?.filter(|text| !text.is_empty());
    let place = names.first().copied().unwrap_or_default();
    text.map(|text| a_handle(place, text)).transpose()
}

fn a_handle(place: &str, text: &str) -> Result<Handle, Refusal> {
    Handle::parse_legacy(text).map_err(|error| invalid(format!("{place}: {error}")))
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, message)
}
