//! Which path leads where.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use airc_core::error::{ErrorCode, Refusal};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    HeaderName, LINK, ORIGIN, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response};
use axum::middleware::{self, Next};
use axum::routing::get;
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};
use tracing::debug;

use super::state::State as Shared;
use super::{about, answer, api, events, page};
use crate::config::Origin;

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// What an answer counts as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label(pub(crate) &'static str);

/// What is served beside the registry's calls, for the names in metrics.
const OWN: [&str; 10] = [
    "/",
    "/page.css",
    "/page.js",
    "/icon.svg",
    "/events",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/.well-known/airc",
];

/// All that a registry serves.
pub(crate) fn routes(state: &Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/page.css", get(page::style))
        .route("/page.js", get(page::script))
        .route("/icon.svg", get(page::icon))
        .route("/events", get(events::events))
        .route("/healthz", get(about::health))
        .route("/readyz", get(about::ready))
        .route("/metrics", get(about::metrics))
        .route("/openapi.json", get(about::openapi))
        .route("/.well-known/airc", get(about::discovery))
        .method_not_allowed_fallback(other_method)
        .fallback(api::serve)
        .layer(cors(&state.config.cors_origins))
        .layer(middleware::from_fn_with_state(Arc::clone(state), around))
        .with_state(Arc::clone(state))
}

async fn other_method(request: Request) -> Response<Body> {
    let refusal = Refusal::new(ErrorCode::MethodNotAllowed, "only GET can be used here");
    answer::refuse(request.uri().path(), &refusal)
}

/// What is the same for all answers.
async fn around(State(state): State<Arc<Shared>>, request: Request, next: Next) -> Response<Body> {
    let began = Instant::now();
    let path = request.uri().path();
    let own = OWN.into_iter().find(|own| *own == path);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Not on this machine alone: a browser would want TLS of everything else at localhost, too.
    if state.config.tls.is_some() && !state.config.is_local() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
    let label = response.extensions().get::<Label>().map(|label| label.0);
    let label = own.or(label).unwrap_or("other");
    let status = response.status();
    debug!(label, status = status.as_u16(), took = ?began.elapsed(), "answered");
    state.metrics.answered(label, status, began.elapsed());
    response
}

/// Everybody's pages may read; which ones may do more is for the operator to say. Nothing here
/// knows cookies: who asks is in headers and bodies.
fn cors(origins: &[Origin]) -> CorsLayer {
    let mut exposed = vec![LINK, RETRY_AFTER];
    exposed.extend(answer::RATE_LIMIT.iter().cloned());
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        // Clients of the older dialect have headers of their own.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed)
        .max_age(Duration::from_secs(7200));
    if origins.iter().any(Origin::is_any) {
        return layer.allow_origin(Any);
    }
    let origins: Vec<HeaderValue> = origins.iter().filter_map(Origin::header).collect();
    let allowed =
        move |origin: &HeaderValue, parts: &Parts| reads(parts) || origins.contains(origin);
    layer
        .allow_origin(AllowOrigin::predicate(allowed))
        .vary([ORIGIN, REQUEST_METHOD.clone()])
}

/// Whether a request, or the one that it asks for, only reads.
fn reads(parts: &Parts) -> bool {
    let method = match parts.method {
        Method::OPTIONS => parts
            .headers
            .get(&REQUEST_METHOD)
            .map(HeaderValue::as_bytes),
        ref method => Some(method.as_str().as_bytes()),
    };
    method.is_some_and(|method| method == b"GET" || method == b"HEAD")
}

static REQUEST_METHOD: HeaderName = HeaderName::from_static("access-control-request-method");
