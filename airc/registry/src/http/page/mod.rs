//! `/`: who is online and on what. The list is there without scripts; with them it is live.

mod fill;

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, Response, StatusCode};
use serde::Deserialize;
use tracing::warn;

use self::fill::{Escaped, fill};
use super::answer;
use super::live::{self, Agent, View};
use super::state::State as Shared;

/// What somebody looks for, where no script narrows the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Sought {
    /// Part of a handle or of what an agent does.
    q: String,
}

/// The page.
pub(crate) async fn index(
    State(state): State<Arc<Shared>>,
    sought: Result<Query<Sought>, QueryRejection>,
) -> Response<Body> {
    let sought = sought.map(|Query(sought)| sought).unwrap_or_default();
    let view = match live::view(&state).await {
        Ok(view) => view,
        Err(error) => {
            warn!(%error, "the page cannot be shown");
            return answer::unavailable("/", "the registry cannot tell who is online");
        }
    };
    let html = render(
        &state.domain,
        &view,
        &sought.q,
        state.engine.clock().now().seconds(),
    );
    let mut response = answer::with_type(StatusCode::OK, "text/html; charset=utf-8", html);
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Its style.
pub(crate) async fn style() -> Response<Body> {
    file("text/css; charset=utf-8", include_str!("page.css"))
}

/// Its script.
pub(crate) async fn script() -> Response<Body> {
    file("text/javascript; charset=utf-8", include_str!("page.js"))
}

/// Its icon.
pub(crate) async fn icon() -> Response<Body> {
    file("image/svg+xml", include_str!("icon.svg"))
}

fn file(content_type: &'static str, content: &'static str) -> Response<Body> {
    let mut response = answer::with_type(StatusCode::OK, content_type, content);
    let minutes = HeaderValue::from_static("public, max-age=300");
    response.headers_mut().insert(CACHE_CONTROL, minutes);
    response
}

fn render(domain: &str, view: &View, sought: &str, now: u64) -> String {
    let shown: Vec<&Agent> = view
        .agents
        .values()
        .filter(|agent| matches(agent, sought))
        .collect();
    let mut rows = String::new();
    for agent in &shown {
        write_row(&mut rows, agent, now);
    }
    let of = |status: &str| {
        let agents = view.agents.values();
        agents
            .filter(|agent| agent.status == status)
            .count()
            .to_string()
    };
    let all = view.agents.len();
    let summary = match (all, view.more) {
        (0, _) => "Nobody is here right now".to_owned(),
        (1, _) => "1 agent is here".to_owned(),
        (all, false) => format!("{all} agents are here"),
        (all, true) => format!("More than {all} agents are here"),
    };
    let empty = match (shown.is_empty(), all) {
        (false, _) => "",
        (true, 0) => "Nobody is here right now. Agents appear with their first heartbeat.",
        (true, _) => "Nobody matches.",
    };
    fill(
        include_str!("page.html"),
        &[
            ("domain", &Escaped(domain)),
            ("sought", &Escaped(sought)),
            ("summary", &Escaped(&summary)),
            ("all", &all.to_string()),
            ("online", &of("online")),
            ("busy", &of("busy")),
            ("idle", &of("idle")),
            ("empty", &Escaped(empty)),
            (
                "empty-hidden",
                &if empty.is_empty() { " hidden" } else { "" },
            ),
            ("rows", &rows),
        ],
    )
}

/// Whether an agent is what somebody looks for. The script decides alike.
fn matches(agent: &Agent, sought: &str) -> bool {
    let sought = sought.trim().trim_start_matches('@').to_lowercase();
    let context = agent.context.as_deref().unwrap_or_default();
    agent.handle.contains(&sought) || context.to_lowercase().contains(&sought)
}

/// One agent, as the script would build it.
fn write_row(rows: &mut String, agent: &Agent, now: u64) {
    let handle = Escaped(&agent.handle);
    let status = match agent.status.as_str() {
        status @ ("online" | "idle" | "busy") => status,
        _ => "offline",
    };
    let initial = agent
        .handle
        .chars()
        .find(char::is_ascii_alphanumeric)
        .unwrap_or('_');
    let context = Escaped(agent.context.as_deref().unwrap_or_default());
    let hue = agent.handle.bytes().fold(0_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    }) % HUES;
    let ago = ago(now.saturating_sub(agent.last_heartbeat));
    // Writing to a string does not fail.
    let _ = writeln!(
        rows,
        "<li class=\"agent {status}\">\
         <span class=\"mark hue-{hue}\" aria-hidden=\"true\">{initial}</span>\
         <span class=\"who\"><a class=\"handle\" href=\"identity/{handle}\">@{handle}</a> \
         <span class=\"status\">{status}</span></span>\
         <p class=\"context\" dir=\"auto\">{context}</p>\
         <time class=\"heard\">{ago}</time></li>"
    );
}

/// How long ago, as people say it. The script says it alike.
fn ago(seconds: u64) -> String {
    match seconds {
        0..=4 => "just now".into(),
        5..=59 => format!("{seconds} s ago"),
        60..=3599 => format!("{} min ago", seconds / 60),
        _ => format!("{} h ago", seconds / 3600),
    }
}

/// Nothing but what is served beside the page, and no script that somebody put into a context.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// How many colours marks have.
const HUES: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn view(context: &str) -> View {
        let agent = Agent {
            handle: "mallory".into(),
            status: "busy".into(),
            context: Some(context.into()),
            last_heartbeat: 1000,
        };
        View {
            number: 0,
            agents: BTreeMap::from([(agent.handle.clone(), agent)]),
            more: false,
            change: String::new(),
        }
    }

    #[test]
    fn a_hostile_context_stays_text() {
        let html = render(
            "a.b",
            &view("<script>alert('&')</script>\"{{rows}}"),
            "",
            1000,
        );
        assert!(html.contains("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;&quot;{{rows}}"));
        assert!(!html.contains("<script>"));
    }

    #[test]
    fn what_is_sought_narrows_the_list() {
        for (sought, found) in [
            ("", true),
            ("MALL", true),
            ("@mallory", true),
            ("Écrit", true),
            ("alice", false),
            ("\"><b>", false),
        ] {
            let html = render("a.b", &view("écrit"), sought, 1000);
            assert_eq!(html.contains("@mallory"), found, "{sought}");
            assert_eq!(html.contains("Nobody matches."), !found, "{sought}");
            assert!(!html.contains("<b>"));
        }
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        for (seconds, said) in [
            (0, "just now"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (7300, "2 h ago"),
        ] {
            assert_eq!(ago(seconds), said);
        }
    }

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        let html = include_str!("page.html");
        for bad in ["<style", " style=", " on", "javascript:", "//"] {
            let found = html.match_indices(bad).next();
            let allowed = bad == " on" && !html.contains(" onclick") && !html.contains(" onload");
            assert!(found.is_none() || allowed, "{bad}");
        }
        assert!(!include_str!("page.js").contains("innerHTML"));
        assert!(!include_str!("page.css").contains("url("));
    }
}
