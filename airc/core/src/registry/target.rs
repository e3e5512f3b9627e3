//! A request's target: the path finds a route, the query its parameters.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Method, Route, Settings};
use crate::error::{ErrorCode, Refusal};

/// The longest target, in bytes.
pub(crate) const MAX_TARGET: usize = 4096;

/// How many parameters a query may have.
const MAX_PARAMETERS: usize = 32;

/// Where a target leads.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) route: Route,
    /// What the path begins with: nothing, or `/v0`.
    pub(crate) base: &'static str,
    /// What stands where the route's path has `{handle}`.
    pub(crate) handle: Option<String>,
    pub(crate) query: Query,
}

impl Target {
    pub(crate) fn read(method: Method, target: &str, settings: &Settings) -> Result<Self, Refusal> {
        if target.len() > MAX_TARGET {
            return Err(invalid(format!(
                "the path and query are over {MAX_TARGET} bytes long"
            )));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut methods = Vec::new();
        for route in Route::ALL.iter().copied() {
            let Some((base, handle)) = found(route, path).filter(|_| served(route, settings))
            else {
                continue;
            };
            if route.method() != method {
                methods.push(route.method().as_str());
                continue;
            }
            let handle = handle.map(decode).transpose()?;
            let query = Query::read(query)?;
            return Ok(Self {
                route,
                base,
                handle,
                query,
            });
        }
        if methods.is_empty() {
            return Err(Refusal::new(
                ErrorCode::NotFound,
                "nothing is served at this path: see /openapi.json for what is",
            ));
        }
        let allowed = methods.join(", ");
        let message = format!(
            "this path is not served with {}, only {allowed}",
            method.as_str()
        );
        Err(Refusal::new(ErrorCode::MethodNotAllowed, message).with("allow", allowed))
    }
}

/// Whether these settings serve a route.
fn served(route: Route, settings: &Settings) -> bool {
    settings.legacy || !route.path().starts_with("/api/")
}

/// Whether `path` is that of a route: what it begins with, and the handle in it.
fn found(route: Route, path: &str) -> Option<(&'static str, Option<&str>)> {
    let versioned = path.strip_prefix("/v0").filter(|_| route.versioned());
    let tries = [Some(("", path)), versioned.map(|path| ("/v0", path))];
    tries.into_iter().flatten().find_map(|(base, path)| {
        let mut handle = None;
        let mut segments = path.split('/');
        for wanted in route.path().split('/') {
            let segment = segments.next()?;
            if wanted == "{handle}" && !segment.is_empty() {
                handle = Some(segment);
            } else if wanted != segment {
                return None;
            }
        }
        segments.next().is_none().then_some((base, handle))
    })
}

/// The parameters of a query.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    fn read(query: &str) -> Result<Self, Refusal> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let mut parameters: Vec<(String, String)> = Vec::new();
        for pair in pairs {
            if parameters.len() == MAX_PARAMETERS {
                return Err(invalid(format!(
                    "a query has at most {MAX_PARAMETERS} parameters"
                )));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (form(name)?, form(value)?);
            if parameters.iter().any(|(other, _)| *other == name) {
                let shown: String = name.chars().take(64).collect();
                return Err(invalid(format!("the query has {shown:?} twice")));
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// A parameter that is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// `limit`: 50 if it is not given, and never over 200 (section 4.3).
    pub(crate) fn limit(&self) -> Result<usize, Refusal> {
        let Some(text) = self.get("limit") else {
            return Ok(DEFAULT_LIMIT);
        };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(0) => Err(invalid("limit must be a whole number from 1 to 200")),
            Ok(limit) if digits => Ok(MAX_LIMIT.min(limit)),
            // More digits than the number type has: more than 200 in any case.
            Err(_) if digits => Ok(MAX_LIMIT),
            _ => Err(invalid("limit must be a whole number from 1 to 200")),
        }
    }
}

/// How many of anything are answered at a time, unless the caller asks for less or more.
pub(crate) const DEFAULT_LIMIT: usize = 50;

/// How many of anything are answered at most.
pub(crate) const MAX_LIMIT: usize = 200;

/// Text of a form: `+` is a space, and `%` and two digits a byte.
fn form(text: &str) -> Result<String, Refusal> {
    if text.contains('+') {
        return decode(&text.replace('+', " "));
    }
    decode(text)
}

/// Text whose `%` and two digits are bytes.
fn decode(text: &str) -> Result<String, Refusal> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let bad = || invalid("the path or query has a % that is not followed by two digits of UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (pair, behind) = rest.split_first_chunk::<2>().ok_or_else(bad)?;
        let digit = |byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|it| u8::try_from(it).ok())
        };
        let [high, low] = pair.map(digit);
        let (high, low) = high.zip(low).ok_or_else(bad)?;
        bytes.push((high << 4) | low);
        rest = behind;
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

fn invalid(message: impl ToString) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, message.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn read(method: Method, target: &str) -> Result<Target, Refusal> {
        Target::read(method, target, &Settings::default())
    }

    #[test]
    fn every_route_is_found_by_its_own_path_and_method() {
        for route in Route::ALL.iter().copied() {
            assert_eq!(
                route.as_str(),
                format!("{} {}", route.method().as_str(), route.path())
            );
            let path = route.path().replace("{handle}", "%73eth");
            let target = read(route.method(), &path).unwrap();
            assert_eq!((target.route, target.base), (route, ""));
            let has = route.path().contains("{handle}");
            assert_eq!(target.handle, has.then(|| "seth".to_string()));
            let versioned = read(route.method(), &format!("/v0{path}"));
            assert_eq!(versioned.is_ok(), route.versioned(), "{path}");
        }
    }

    #[test]
    fn an_unknown_path_is_not_found_and_a_wrong_method_says_which_is_right() {
        for path in [
            "",
            "/",
            "/v0",
            "/v0/",
            "/identity/",
            "/identity/a/b",
            "//identity",
            "/presence/",
            "/Presence",
            "/api",
            "/v0/api/presence",
            "/v0/v0/presence",
            "/agents/seth",
            "/agents//did.json",
        ] {
            let refusal = read(Method::Get, path).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::NotFound, "{path}");
        }
        for (method, path, allow) in [
            (Method::Get, "/identity", "POST"),
            (Method::Post, "/identity/seth", "GET"),
            (Method::Get, "/consent/request", ""),
            (Method::Post, "/v0/presence", "GET"),
            (Method::Get, "/presence/heartbeat", "POST"),
        ] {
            let read = read(method, path);
            if allow.is_empty() {
                // A handle may be called so.
                assert_eq!(read.unwrap().handle.unwrap(), "request");
                continue;
            }
            let refusal = read.unwrap_err();
            assert_eq!(refusal.code, ErrorCode::MethodNotAllowed);
            assert_eq!(refusal.details, vec![("allow", allow.to_string())]);
        }
    }

    #[test]
    fn the_old_dialect_is_not_served_where_the_operator_does_not_want_it() {
        let settings = Settings {
            legacy: false,
            ..Settings::default()
        };
        let refusal = Target::read(Method::Get, "/api/presence", &settings).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::NotFound);
        assert!(Target::read(Method::Get, "/presence", &settings).is_ok());
    }

    #[test]
    fn parameters_are_decoded_and_bounded() {
        let target = read(Method::Get, "/presence?a=%c3%A9+b%26&limit=7&&c&d=").unwrap();
        assert_eq!(target.query.get("a"), Some("é b&"));
        assert_eq!(target.query.get("c"), None);
        assert_eq!(target.query.get("d"), None);
        assert_eq!(target.query.limit(), Ok(7));
        let many: String = (0..33).map(|n| format!("p{n}=1&")).collect();
        for bad in [
            "a=%",
            "a=%1",
            "a=%zz",
            "a=%ff",
            "a=1&a=2",
            "%61=1&a=2",
            &many,
        ] {
            let refusal = read(Method::Get, &format!("/presence?{bad}")).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::InvalidRequest, "{bad}");
        }
        let long = format!("/presence?{}", "a".repeat(MAX_TARGET));
        let refusal = read(Method::Get, &long).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::InvalidRequest);
    }

    #[test]
    fn a_limit_is_fifty_by_default_and_two_hundred_at_most() {
        let limit = |text: &str| {
            read(Method::Get, &format!("/presence?{text}"))
                .unwrap()
                .query
                .limit()
        };
        assert_eq!(limit(""), Ok(50));
        assert_eq!(limit("limit=1"), Ok(1));
        assert_eq!(limit("limit=200"), Ok(200));
        assert_eq!(limit("limit=201"), Ok(200));
        assert_eq!(limit("limit=99999999999999999999999999"), Ok(200));
        for bad in ["limit=0", "limit=-1", "limit=x", "limit=%2B5", "limit=1.5"] {
            assert!(limit(bad).is_err(), "{bad}");
        }
    }
}
