//! The calls of section 4, and of the other dialect: from HTTP to [`airc_core`] and back.

use std::sync::Arc;

use airc_core::error::{ErrorCode, Refusal};
use airc_core::registry::{Answer, Call, Credentials, Effect, Method, Request, Route};
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, Response};
use tracing::error;

use super::rates::{Address, Caller, Standing};
use super::routes::{Label, Peer};
use super::state::State as Shared;
use super::{answer, body, client};
use crate::engine::EngineError;

/// Answers whatever no other route answers.
pub(crate) async fn serve(
    State(state): State<Arc<Shared>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: http::Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let address = client::address(&state.config, peer, &head.headers);
    let caller = Asking {
        state: &state,
        target,
        address: address.into(),
    };
    let method = match head.method {
        http::Method::GET | http::Method::HEAD => Method::Get,
        http::Method::POST => Method::Post,
        _ => return caller.other_method(),
    };
    let credentials = match credentials(&head.headers) {
        Ok(credentials) => credentials,
        Err(refusal) => return caller.refuse(&refusal),
    };
    let patience = state.config.times.body_timeout.0;
    let bytes = match body::read(&head.headers, body, patience).await {
        Ok(bytes) => bytes,
        Err(refusal) => return caller.refuse(&refusal),
    };
    let entropy = match entropy() {
        Ok(entropy) => entropy,
        Err(error) => {
            error!(%error, "no random bytes");
            return answer::unavailable(target, "the registry cannot answer now: try again later");
        }
    };
    let read = state.registry.read(&Request {
        method,
        target,
        credentials,
        body: &bytes,
        entropy,
    });
    match read {
        Ok(call) => {
            let route = call.route();
            let mut response = caller.call(call, &credentials).await;
            response.extensions_mut().insert(Label(route.as_str()));
            response
        }
        Err(refusal) => caller.refuse(&refusal),
    }
}

/// Who asks for what.
struct Asking<'a> {
    state: &'a Shared,
    target: &'a str,
    address: Address,
}

impl Asking<'_> {
    /// Refuses what nobody's signature was looked at for.
    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        let standing = self.state.rates.anonymous(self.address);
        if let Some(standing) = standing.filter(Standing::is_over) {
            return answer::too_early(self.target, &standing);
        }
        let mut response = answer::refuse(self.target, refusal);
        self.tell(&mut response, standing.as_ref());
        response
    }

    /// Refuses a method that nothing here has. Which ones a path has is for the registry to say.
    fn other_method(&self) -> Response<Body> {
        let mut refusals = [Method::Get, Method::Post].into_iter().map(|method| {
            let request = Request {
                method,
                target: self.target,
                credentials: Credentials::default(),
                body: &[],
                entropy: [0; 32],
            };
            (method, self.state.registry.read(&request))
        });
        let allowed: Vec<&str> = refusals
            .by_ref()
            .filter(|(_, read)| match read {
                Ok(_) => true,
                Err(refusal) => !matches!(
                    refusal.code,
                    ErrorCode::NotFound | ErrorCode::MethodNotAllowed
                ),
            })
            .map(|(method, _)| method.as_str())
            .collect();
        if allowed.is_empty() {
            return self.refuse(&not_found());
        }
        let words = format!("only {} can be used here", allowed.join(" and "));
        let mut response = self.refuse(&Refusal::new(ErrorCode::MethodNotAllowed, words));
        let methods = allowed.join(", ").replace("GET", "GET, HEAD");
        if response.status() == http::StatusCode::METHOD_NOT_ALLOWED
            && let Ok(methods) = methods.try_into()
        {
            response.headers_mut().insert(http::header::ALLOW, methods);
        }
        response
    }

    async fn call(&self, call: Call, credentials: &Credentials<'_>) -> Response<Body> {
        let rates = &self.state.rates;
        let claimed = claimed(self.state, &call, credentials);
        let early = match claimed.is_empty() {
            true => rates.anonymous(self.address),
            false => rates.too_early(self.address, &claimed),
        };
        if let Some(early) = early.filter(Standing::is_over) {
            return answer::too_early(self.target, &early);
        }
        let answer = match self.state.engine.call(call).await {
            Ok(answer) => answer,
            Err(EngineError::Busy) => {
                let words = "the registry has too much to do: try again in a second";
                return answer::unavailable(self.target, words);
            }
            Err(error) => {
                error!(%error, "the store failed");
                let words = "the registry cannot do this now: try again later";
                return answer::unavailable(self.target, words);
            }
        };
        self.state.metrics.effects(&answer.effects);
        let standing = match claimed.is_empty() {
            true => early,
            false => self.count(&answer, &claimed),
        };
        if let Some(standing) = standing.as_ref().filter(|standing| standing.is_over())
            && answer.caller.is_none()
            && answer.result.is_err()
        {
            return answer::too_early(self.target, standing);
        }
        let mut response = answer::from_core(answer.into_response());
        self.tell(&mut response, standing.as_ref());
        response
    }

    /// Counts a request that came with a claim, now that it is known whether it was true. Whoever
    /// makes itself known for the first time counts as an address: or names would be a way around
    /// the limits of addresses.
    fn count(&self, answer: &Answer, claimed: &[Caller]) -> Option<Standing> {
        let is_new = answer
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Registered(_)));
        let rates = &self.state.rates;
        match &answer.caller {
            Some(handle) if !is_new => rates.proven(handle, claimed),
            None if !is_new && answer.result.is_ok() => rates.anonymous(self.address),
            _ => rates.failed(self.address),
        }
    }

    fn tell(&self, response: &mut Response<Body>, standing: Option<&Standing>) {
        if let Some(standing) = standing {
            answer::tell_standing(self.target, response, standing);
        }
    }
}

/// As whom a call wants to be seen; nobody if it is for everybody.
fn claimed(state: &Shared, call: &Call, credentials: &Credentials<'_>) -> Vec<Caller> {
    match call.route() {
        // What makes a new name known counts as an address.
        Route::Register => return Vec::new(),
        // Nobody looks at who asks: some clients say it all the same.
        Route::Identity
        | Route::Presence
        | Route::DidDocument
        | Route::AireDid
        | Route::ApiWho
        | Route::ApiIdentity
        | Route::ApiHealth => return Vec::new(),
        _ => {}
    }
    let signer = call.signer().cloned().map(Caller::Handle);
    let token = credentials
        .authorization
        .map(|text| state.rates.token(text));
    signer.into_iter().chain(token).collect()
}

/// The headers that say who asks, as text.
fn credentials(headers: &HeaderMap) -> Result<Credentials<'_>, Refusal> {
    let text = |name: &HeaderName| match headers.get(name) {
        None => Ok(None),
        Some(value) => value.to_str().map(Some).map_err(|_| {
            let words = format!("the header {name} is not plain text");
            Refusal::new(ErrorCode::InvalidRequest, words)
        }),
    };
    Ok(Credentials {
        authorization: text(&AUTHORIZATION)?,
        handle: text(&SIGNED_HEADERS[0])?,
        timestamp: text(&SIGNED_HEADERS[1])?,
        nonce: text(&SIGNED_HEADERS[2])?,
        signature: text(&SIGNED_HEADERS[3])?,
    })
}

/// The headers of AGAP-5.
static SIGNED_HEADERS: [HeaderName; 4] = [
    HeaderName::from_static("x-airc-handle"),
    HeaderName::from_static("x-airc-timestamp"),
    HeaderName::from_static("x-airc-nonce"),
    HeaderName::from_static("x-airc-signature"),
];

fn entropy() -> Result<[u8; 32], boring::error::ErrorStack> {
    let mut entropy = [0; 32];
    boring::rand::rand_bytes(&mut entropy)?;
    Ok(entropy)
}

/// Nothing is there.
pub(crate) fn not_found() -> Refusal {
    Refusal::new(
        ErrorCode::NotFound,
        "nothing is served at this path: see /openapi.json for what is",
    )
}
