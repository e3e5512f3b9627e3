//! A request that was understood, and waits to be applied.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::delivery::Sending;
use super::presence::PresenceQuery;
use super::proof::{self, Proof};
use super::reading::Wanted;
use super::target::Target;
use super::{Dialect, Method, Request, Route, Settings};
use crate::consent::Event;
use crate::error::{ErrorCode, Refusal};
use crate::handle::Handle;
use crate::json::{self, Value};
use crate::object::{ConsentNotice, Heartbeat, Message, Registration, Rotation};
use crate::store::{ConsentState, IdentityRecord, Status};
use crate::time::Time;
use crate::{PublicKey, legacy, limits};

/// A request that was read: routed, parsed, and within its limits.
#[derive(Clone)]
pub struct Call {
    pub(crate) route: Route,
    /// What the path began with: nothing, or `/v0`.
    pub(crate) base: &'static str,
    pub(crate) action: Action,
    /// What the body's signature proves, or the headers'.
    pub(crate) proof: Option<Proof>,
    /// The secret that is borne: a token, or an invite.
    pub(crate) bearer: Option<String>,
    pub(crate) entropy: [u8; 32],
    /// Keys that the signature was checked with, and whether it holds.
    verdicts: Vec<(PublicKey, bool)>,
}

/// Secrets stay out of logs.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({})", self.route.as_str())
    }
}

/// What a call asks for.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Register(Box<Registration>),
    Rotate(Box<Rotation>),
    Identity(Handle),
    Heartbeat(Box<Heartbeat>),
    Who(PresenceQuery),
    Send(Box<Sending>),
    Inbox(Wanted),
    Thread(Handle, Wanted),
    PostConsent(Event, Box<ConsentNotice>),
    ConsentWith(Handle),
    Consents(Option<ConsentState>, usize),
    DidDocument(Handle),
    AireDid(Handle),
    Api(Box<legacy::Action>),
}

impl Call {
    /// Reads a request: see [`Registry::read`](super::Registry::read).
    pub(super) fn read(request: &Request<'_>, settings: &Settings) -> Result<Self, Refusal> {
        let target = Target::read(request.method, request.target, settings)?;
        if request.body.len() > limits::MAX_REQUEST {
            let message = alloc::format!("a body has at most {} bytes", limits::MAX_REQUEST);
            return Err(Refusal::new(ErrorCode::PayloadTooLarge, message));
        }
        let bearer = proof::borne(request)?;
        let (action, proof) = match Dialect::of(target.route.path()) {
            Dialect::V0 => read_action(request, &target)?,
            Dialect::Api => {
                let (action, proof) = legacy::Action::read(request, &target)?;
                (Action::Api(Box::new(action)), proof)
            }
        };
        Ok(Self {
            route: target.route,
            base: target.base,
            action,
            proof,
            bearer,
            entropy: request.entropy,
            verdicts: Vec::new(),
        })
    }

    /// Which call it is.
    #[must_use]
    pub const fn route(&self) -> Route {
        self.route
    }

    /// In which dialect it was asked.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        Dialect::of(self.route.path())
    }

    /// Whose signature it carries, if it carries one.
    #[must_use]
    pub fn signer(&self) -> Option<&Handle> {
        self.proof.as_ref().map(|proof| &proof.signer)
    }

    /// Whether applying it may change what is kept, nonces included: it needs a transaction that
    /// writes.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.route.method() == Method::Post || self.proof.is_some()
    }

    /// Verifies the signature outside of any transaction, with the keys of the signer's `identity`
    /// as it was a moment ago, and remembers how that went with each. Whether it verified; a call
    /// without a signature does not. [`Registry::apply`](super::Registry::apply) asks by itself
    /// which keys are accepted: this only saves it the arithmetic.
    pub fn check(&mut self, identity: Option<&IdentityRecord>, now: Time) -> bool {
        let Some(proof) = &self.proof else {
            return false;
        };
        // A registration may be signed by the very key that it brings.
        let own = match &self.action {
            Action::Register(registration) => Some(registration.key),
            Action::Api(action) => action.key(),
            _ => None,
        };
        let known = identity.filter(|identity| identity.handle == proof.signer);
        let known = known.map(|identity| proof::accepted(identity, now));
        for key in known.into_iter().flatten().chain(own) {
            let good = proof.holds(&key);
            self.verdicts.push((key, good));
            if good {
                return true;
            }
        }
        false
    }

    /// Whether `key` made the signature `proof`, which is the call's.
    pub(super) fn made_by(&self, proof: &Proof, key: &PublicKey) -> bool {
        let verdict = self.verdicts.iter().find(|(known, _)| known == key);
        match verdict {
            Some((_, good)) => *good,
            None => proof.holds(key),
        }
    }
}

/// What one of the paths of section 4, or of the bridge, is asked for.
fn read_action(request: &Request<'_>, target: &Target) -> Result<(Action, Option<Proof>), Refusal> {
    Ok(match target.route {
        Route::Inbox => (Action::Inbox(wanted(target)?), asking(request)?),
        Route::Thread => {
            let action = Action::Thread(handle(target)?, wanted(target)?);
            (action, asking(request)?)
        }
        Route::Consent => (Action::ConsentWith(handle(target)?), asking(request)?),
        Route::Consents => {
            let state = one_of(target, "state", ConsentState::parse, STATES)?;
            let action = Action::Consents(state, target.query.limit()?);
            (action, asking(request)?)
        }
        Route::Identity => (Action::Identity(handle(target)?), None),
        Route::DidDocument => (Action::DidDocument(handle(target)?), None),
        Route::AireDid => {
            let name = target.query.get("name").unwrap_or_default();
            (Action::AireDid(a_handle("name", name)?), None)
        }
        Route::Presence => {
            let after = target.query.get("after");
            let after = after.map(|after| a_handle("after", after)).transpose()?;
            let query = PresenceQuery {
                status: one_of(target, "status", Status::parse, STATUSES)?,
                after,
                limit: target.query.limit()?,
            };
            (Action::Who(query), None)
        }
        route => read_body(route, json::parse(request.body)?)?,
    })
}

const STATES: &str = "`none`, `pending`, `accepted` or `blocked`";
const STATUSES: &str = "`online`, `idle`, `busy` or `offline`";

/// What a signed body asks for.
fn read_body(route: Route, body: Value) -> Result<(Action, Option<Proof>), Refusal> {
    let (action, proof) = match route {
        Route::Register => {
            let registration = Registration::read(body)?;
            let proof = registration.is_signed().then(|| {
                let (timestamp, nonce) = (registration.timestamp, registration.nonce.as_deref());
                Proof::of_body(
                    registration.object(),
                    &registration.handle,
                    timestamp,
                    nonce,
                )
            });
            let proof = proof.transpose()?;
            return Ok((Action::Register(Box::new(registration)), proof));
        }
        Route::Rotate => {
            let it = Rotation::read(body)?;
            let proof = signed(it.object(), &it.handle, it.timestamp, &it.nonce)?;
            (Action::Rotate(Box::new(it)), proof)
        }
        Route::Heartbeat => {
            let it = Heartbeat::read(body)?;
            let proof = signed(it.object(), &it.handle, it.timestamp, &it.nonce)?;
            (Action::Heartbeat(Box::new(it)), proof)
        }
        Route::Send => {
            let it = Message::read(body)?;
            let proof = signed(it.object(), &it.from, it.timestamp, &it.nonce)?;
            (Action::Send(Box::new(Sending::signed(&it)?)), proof)
        }
        _ => {
            let it = ConsentNotice::read(body)?;
            let event = match route {
                Route::ConsentAccept => Event::Accept,
                Route::ConsentBlock => Event::Block,
                _ => Event::Request,
            };
            let proof = signed(it.object(), &it.from, it.timestamp, &it.nonce)?;
            (Action::PostConsent(event, Box::new(it)), proof)
        }
    };
    Ok((action, Some(proof)))
}

fn signed(
    object: &json::Object,
    signer: &Handle,
    timestamp: u64,
    nonce: &str,
) -> Result<Proof, Refusal> {
    Proof::of_body(object, signer, Some(timestamp), Some(nonce))
}

fn asking(request: &Request<'_>) -> Result<Option<Proof>, Refusal> {
    Proof::of_headers(request, false)
}

fn wanted(target: &Target) -> Result<Wanted, Refusal> {
    Ok(Wanted {
        since: target.query.get("since").map(String::from),
        limit: target.query.limit()?,
    })
}

/// The handle in the path.
fn handle(target: &Target) -> Result<Handle, Refusal> {
    a_handle("the path", target.handle.as_deref().unwrap_or_default())
}

fn a_handle(place: &str, text: &str) -> Result<Handle, Refusal> {
    Handle::parse(text).map_err(|error| {
        let message = alloc::format!("{place} has no handle that can be: {error}");
        Refusal::new(ErrorCode::InvalidRequest, message)
    })
}

/// A parameter that is one of a few words.
fn one_of<T>(
    target: &Target,
    name: &str,
    parse: impl Fn(&str) -> Option<T>,
    words: &str,
) -> Result<Option<T>, Refusal> {
    let Some(text) = target.query.get(name) else {
        return Ok(None);
    };
    match parse(text) {
        Some(found) => Ok(Some(found)),
        None => Err(Refusal::new(
            ErrorCode::InvalidRequest,
            alloc::format!("{name} must be {words}"),
        )),
    }
}
