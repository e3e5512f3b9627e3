//! What a registry tells of itself: `/healthz`, `/readyz`, `/metrics`, `/openapi.json` and
//! `/.well-known/airc`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};
use tracing::warn;

use super::metrics::Page;
use super::routes::Peer;
use super::state::State as Shared;
use super::{answer, api, client, live};
use crate::config::MAX_BODY;
use crate::engine::{EngineStats, TRANSACTION_BOUNDS_MS};

/// The OpenAPI document: all routes, by hand.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// It runs.
pub(crate) async fn health() -> Response<Body> {
    answer::json(StatusCode::OK, r#"{"status":"ok"}"#)
}

/// The store answers.
pub(crate) async fn ready(State(state): State<Arc<Shared>>) -> Response<Body> {
    if *state.stopped.borrow() {
        return answer::unavailable("/readyz", "the registry is stopping");
    }
    match live::view(&state).await {
        Ok(_) => answer::json(StatusCode::OK, r#"{"status":"ready"}"#),
        Err(error) => {
            warn!(%error, "not ready");
            answer::unavailable("/readyz", "the store does not answer")
        }
    }
}

/// Numbers for a monitoring system, for those who may see them.
pub(crate) async fn metrics(
    State(state): State<Arc<Shared>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
) -> Response<Body> {
    let address = client::address(&state.config, peer, &headers);
    let allowed = &state.config.metrics_from;
    // A proxy on this machine that is not trusted would make everybody local.
    let hidden = client::is_forwarded(&headers) && !state.config.trusts(peer);
    if hidden || !allowed.iter().any(|network| network.contains(address)) {
        return answer::refuse("/metrics", &api::not_found());
    }
    let mut page = Page(state.metrics.text());
    let stats = state.engine.stats();
    stats_of_engine(&mut page, &stats);
    let watchers = state.live.watchers();
    page.one(
        "airc_watchers",
        "gauge",
        "People who watch the page.",
        watchers,
    );
    match live::view(&state).await {
        Ok(view) => {
            let name = "airc_identities_online";
            page.family(name, "gauge", "Identities that are not offline, by status.");
            for status in ["online", "idle", "busy"] {
                let agents = view.agents.values();
                let count = agents.filter(|agent| agent.status == status).count();
                page.sample(name, &format!("status=\"{status}\""), count);
            }
        }
        Err(error) => warn!(%error, "the metrics lack who is online"),
    }
    answer::with_type(StatusCode::OK, "text/plain; version=0.0.4", page.0)
}

/// All routes and their shapes.
pub(crate) async fn openapi() -> Response<Body> {
    kept(answer::json(StatusCode::OK, OPENAPI))
}

/// What a client must know to talk to this registry.
pub(crate) async fn discovery(State(state): State<Arc<Shared>>) -> Response<Body> {
    let document = serde_json::to_string_pretty(&describe(&state)).unwrap_or_default();
    kept(answer::json(StatusCode::OK, document))
}

fn describe(state: &Shared) -> Value {
    let settings = state.registry.settings();
    let (limits, base) = (&state.config.limits, &state.base_url);
    let api = settings.legacy.then(|| format!("{base}/api"));
    json!({
        "protocol": "AIRC",
        "protocol_version": "0.1",
        "versions": ["0.1"],
        "software": { "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") },
        "domain": state.domain,
        "registry_url": base,
        "base_urls": { "v0": format!("{base}/v0"), "api": api },
        "endpoints": {
            "register": "/identity",
            "rotate": "/identity/rotate",
            "identity": "/identity/{handle}",
            "heartbeat": "/presence/heartbeat",
            "presence": "/presence",
            "messages": "/messages",
            "thread": "/messages/thread/{handle}",
            "consent": "/consent/{handle}",
            "consents": "/consent",
            "consent_request": "/consent/request",
            "consent_accept": "/consent/accept",
            "consent_block": "/consent/block",
            "did": "/agents/{handle}/did.json",
            "aire_did": "/.well-known/aire-did",
            "openapi": "/openapi.json",
        },
        "capabilities": ["identity", "presence", "messages", "payloads", "threads", "consent",
            "signing", "key_rotation", "aire_discovery"],
        "features": {
            "open_registration": settings.open,
            "invites": !settings.open,
            "proof_of_possession": settings.require_proof,
            "signatures_required": settings.require_signatures,
            "signed_requests": true,
            "key_rotation": true,
            "held_messages": settings.max_held_per_pair > 0,
            "strict_payloads": true,
            "legacy_api": settings.legacy,
        },
        "delivery": ["poll"],
        "limits": {
            "request_bytes": MAX_BODY,
            "payload_bytes": settings.max_payload,
            "context_characters": 280,
            "timestamp_window_seconds": settings.timestamp_window,
            "nonce_memory_seconds": settings.nonce_memory,
            "message_id_memory_seconds": settings.id_memory,
            "rotation_grace_seconds": settings.rotation_grace,
            "presence_expiry_seconds": settings.presence_expiry,
            "retention_seconds": settings.retention,
            "held_per_pair": settings.max_held_per_pair,
            "held_per_recipient": settings.max_held_per_recipient,
            "requests_per_minute_identity": limits.requests_per_identity,
            "requests_per_minute_address": limits.requests_per_address,
            "burst_minutes": limits.burst,
        },
        "federation_enabled": false,
        "relay_endpoint": null,
    })
}

/// The answer, good for a few minutes.
fn kept(mut response: Response<Body>) -> Response<Body> {
    let minutes = HeaderValue::from_static("public, max-age=300");
    response.headers_mut().insert(CACHE_CONTROL, minutes);
    response
}

fn stats_of_engine(page: &mut Page, stats: &EngineStats) {
    for (name, kind, help, value) in [
        (
            "airc_queue_depth",
            "gauge",
            "Calls that wait or are worked on.",
            stats.waiting as u64,
        ),
        (
            "airc_queue_capacity",
            "gauge",
            "How many may.",
            stats.capacity as u64,
        ),
        (
            "airc_reads_total",
            "counter",
            "Transactions that read.",
            stats.reads,
        ),
        (
            "airc_batched_calls_total",
            "counter",
            "Calls in transactions that wrote.",
            stats.batched,
        ),
        (
            "airc_store_retries_total",
            "counter",
            "Transactions tried again.",
            stats.retries,
        ),
        (
            "airc_store_failures_total",
            "counter",
            "Calls that the store failed.",
            stats.failures,
        ),
        (
            "airc_panics_total",
            "counter",
            "Calls that panicked: bugs.",
            stats.panics,
        ),
        (
            "airc_expired_rows_total",
            "counter",
            "Rows whose time was over.",
            stats.expired,
        ),
    ] {
        page.one(name, kind, help, value);
    }
    let bounds: Vec<(u64, String)> = TRANSACTION_BOUNDS_MS
        .iter()
        .map(|ms| (*ms, format!("{}.{:03}", ms / 1000, ms % 1000)))
        .collect();
    let bounds = bounds.iter().map(|(_, text)| text.as_str());
    let name = "airc_transaction_duration_seconds";
    let help = "From the begin of a transaction that wrote until it was durable.";
    page.histogram(
        name,
        help,
        bounds,
        &stats.transactions,
        stats.transaction_time_us,
    );
}
