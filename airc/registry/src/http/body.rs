//! Reading what a client sends, and no more of it than is wanted.

use std::time::Duration;

use airc_core::error::{ErrorCode, Refusal};
use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::config::MAX_BODY;

/// Reads a body of up to [`MAX_BODY`] bytes. What says that it is longer is refused unread
/// (AGAP-10).
///
/// # Errors
/// A refusal, when it is too long, comes too slowly, or breaks off.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    patience: Duration,
) -> Result<Bytes, Refusal> {
    if announced(headers).is_some_and(|length| length > MAX_BODY as u64) {
        tokio::spawn(drain(body));
        return Err(too_long());
    }
    let mut limited = Box::pin(Limited::new(body, MAX_BODY));
    let collected = timeout(patience, limited.as_mut().collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(_)) => Err(broken("the request's body broke off")),
        Err(_) => Err(broken("the request's body took too long")),
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_long() -> Refusal {
    let words = format!("a request's body has at most {MAX_BODY} bytes");
    Refusal::new(ErrorCode::PayloadTooLarge, words).with("max_body_size", MAX_BODY.to_string())
}

fn broken(words: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, words)
}

/// Takes in some of what is not wanted, so that a client that sends before it reads gets to read
/// its answer. Keeps nothing.
async fn drain(mut body: Body) {
    let draining = async {
        let mut left = MAX_DRAINED;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Whoever is slower than that does without.
    let _late = timeout(DRAINING, draining).await;
}

const MAX_DRAINED: usize = 8 * MAX_BODY;
const DRAINING: Duration = Duration::from_secs(5);
