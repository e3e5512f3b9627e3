//! Answers that the HTTP side gives by itself, in the shape of section 5.

use airc_core::error::{ErrorCode, Refusal};
use airc_core::registry as core;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};

use super::rates::Standing;

/// JSON, whatever the status.
pub(crate) fn json(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    with_type(status, "application/json", body)
}

/// A body of a type. It is not kept by anybody, unless said otherwise afterwards.
pub(crate) fn with_type(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What the registry said, as HTTP.
pub(crate) fn from_core(answer: core::Response) -> Response<Body> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = with_type(status, answer.content_type, answer.body);
    for (name, value) in answer.headers {
        let name = HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A refusal, as the dialect of `target` has it.
pub(crate) fn refuse(target: &str, refusal: &Refusal) -> Response<Body> {
    from_core(core::Response::refusal(core::Dialect::of(target), refusal))
}

/// The registry cannot answer now.
pub(crate) fn unavailable(target: &str, words: &str) -> Response<Body> {
    let mut response = refuse(target, &Refusal::new(ErrorCode::Unavailable, words));
    let second = HeaderValue::from_static("1");
    response.headers_mut().insert(RETRY_AFTER, second);
    response
}

/// Too many requests.
pub(crate) fn too_early(target: &str, standing: &Standing) -> Response<Body> {
    let seconds = standing.retry_after.unwrap_or(1).to_string();
    let words = format!("too many requests: try again in {seconds} s");
    let refusal = Refusal::new(ErrorCode::RateLimited, words).with("retry_after", seconds);
    let mut response = refuse(target, &refusal);
    tell_standing(target, &mut response, standing);
    response
}

/// Adds the headers that say where the caller stands.
pub(crate) fn tell_standing(target: &str, response: &mut Response<Body>, standing: &Standing) {
    let headers = response.headers_mut();
    let values = [
        u64::from(standing.limit),
        u64::from(standing.remaining),
        standing.reset,
    ];
    // Clients of the older dialect know the older names.
    let legacy = core::Dialect::of(target) == core::Dialect::Api;
    for (index, value) in values.into_iter().enumerate() {
        let names = RATE_LIMIT.get(index).into_iter();
        let old_names = X_RATE_LIMIT.get(index).into_iter().filter(|_| legacy);
        for name in names.chain(old_names) {
            headers.insert(name.clone(), value.into());
        }
    }
    if let Some(seconds) = standing.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
}

/// The headers of section 5.1's limits: how many, how many are left, in how many seconds all are.
pub(crate) static RATE_LIMIT: [HeaderName; 3] = [
    HeaderName::from_static("ratelimit-limit"),
    HeaderName::from_static("ratelimit-remaining"),
    HeaderName::from_static("ratelimit-reset"),
];

static X_RATE_LIMIT: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];
