//! `/events`: who comes and goes, as server-sent events. The first event is `all`, with everybody;
//! those after it are `change`, or `all` again for whoever has missed one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use airc_core::error::{ErrorCode, Refusal};
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::http::{HeaderValue, Response};
use axum::response::IntoResponse as _;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::sleep;
use tracing::debug;

use super::answer;
use super::live::{self, FRESH};
use super::state::{State as Shared, until_stopped};

/// Answers with a stream of events, while there are seats.
pub(crate) async fn events(State(state): State<Arc<Shared>>) -> Response<Body> {
    let Some(seat) = state.live.seat() else {
        let words = "too many watch already: try again later";
        let refusal = Refusal::new(ErrorCode::Unavailable, words);
        return answer::refuse("/events", &refusal);
    };
    let watcher = Watcher {
        stopped: state.stopped.clone(),
        state,
        seen: None,
        _seat: seat,
    };
    let events = stream::unfold(watcher, |mut watcher| async {
        let event = watcher.next().await?;
        Some((Ok::<_, Infallible>(event), watcher))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would collect events before it sends them on.
    let buffering = HeaderName::from_static("x-accel-buffering");
    headers.insert(buffering, HeaderValue::from_static("no"));
    response
}

/// Somebody who watches.
struct Watcher {
    state: Arc<Shared>,
    stopped: watch::Receiver<bool>,
    /// The number of the last view that was sent.
    seen: Option<u64>,
    _seat: OwnedSemaphorePermit,
}

impl Watcher {
    /// The next event; none when the registry stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if *self.stopped.borrow() {
                return None;
            }
            match live::view(&self.state).await {
                Ok(view) if self.seen != Some(view.number) => {
                    let follows = self.seen.map(|seen| seen.wrapping_add(1)) == Some(view.number);
                    self.seen = Some(view.number);
                    return Some(match follows {
                        true => Event::default().event("change").data(&view.change),
                        false => Event::default()
                            .event("all")
                            .retry(RETRY)
                            .data(view.whole()),
                    });
                }
                Ok(_) => {}
                Err(error) => debug!(%error, "nobody can be told who is online"),
            }
            tokio::select! {
                () = sleep(FRESH) => {}
                () = until_stopped(&mut self.stopped) => return None,
            }
        }
    }
}

/// How often something is sent, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// When a browser comes back whose connection broke.
const RETRY: Duration = Duration::from_secs(2);
