//! What a registry answers: a document, or a refusal in the shape of section 5.

use std::time::{Duration, SystemTime};

use airc_core::error::ErrorCode;
use airc_core::json::{self, Object, Value};
use ureq::http::HeaderMap;
use ureq::http::header::{DATE, LINK, LOCATION, RETRY_AFTER};
use ureq::http::response::Parts;

use crate::Error;
use crate::error::{MAX_MESSAGE, Refused};

/// An answer that is no refusal.
#[derive(Debug)]
pub(crate) struct Answer {
    what: String,
    status: u16,
    value: Value,
    /// Where the rest of a list begins, if there is one: the `after` of the next page's URL.
    pub(crate) after: Option<String>,
}

/// The most details of a refusal that are kept.
const MAX_DETAILS: usize = 16;

impl Answer {
    pub(super) fn new(what: String, head: &Parts, body: Vec<u8>) -> Result<Self, Error> {
        let status = head.status.as_u16();
        if head.status.is_redirection() {
            let to = header(&head.headers, LOCATION.as_str()).map(str::to_owned);
            return Err(Error::Redirected { what, to });
        }
        let value = json::parse_answer(&body);
        if !head.status.is_success() {
            let refused = refused(head, value.ok().as_ref());
            return Err(match refused {
                Some(refused) => Error::Refused(Box::new(refused)),
                None => Error::Answer {
                    what,
                    status,
                    why: "it has no error code that this client knows".into(),
                },
            });
        }
        let value = match value {
            Ok(value) => value,
            Err(error) => {
                return Err(Error::Answer {
                    what,
                    status,
                    why: error.to_string(),
                });
            }
        };
        let links = head.headers.get_all(LINK).iter();
        let after = links
            .filter_map(|link| link.to_str().ok())
            .find_map(after_of);
        Ok(Self {
            what,
            status,
            value,
            after,
        })
    }

    /// Whether something is there that was not there before.
    pub(crate) fn is_new(&self) -> bool {
        self.status == 201
    }

    /// An answer that is not what it should be.
    pub(crate) fn wrong(&self, why: impl Into<String>) -> Error {
        Error::Answer {
            what: self.what.clone(),
            status: self.status,
            why: why.into(),
        }
    }

    /// The document, which has to be an object.
    pub(crate) fn object(&self) -> Result<&Object, Error> {
        let object = self.value.as_object();
        object.ok_or_else(|| self.wrong(format!("it is {}, and no object", self.value.kind())))
    }

    /// The document, which has to be an array.
    pub(crate) fn array(&self) -> Result<&[Value], Error> {
        let array = self.value.as_array();
        array.ok_or_else(|| self.wrong(format!("it is {}, and no array", self.value.kind())))
    }

    /// What stands under `key`, which has to be what `read` reads.
    pub(crate) fn field<'a, T>(
        &'a self,
        key: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T, Error> {
        let value = self.object()?.get(key).and_then(read);
        value.ok_or_else(|| self.wrong(format!("its {key:?} is missing, or not what it should be")))
    }
}

/// The `after` of a link to the next page: `<...&after=seth>; rel="next"`.
fn after_of(link: &str) -> Option<String> {
    let (url, rest) = link.trim_start().strip_prefix('<')?.split_once('>')?;
    if !rest.contains("rel=\"next\"") && !rest.contains("rel=next") {
        return None;
    }
    let (_, query) = url.split_once('?')?;
    let mut pairs = query.split('&');
    pairs.find_map(|pair| pair.strip_prefix("after=").map(Into::into))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn refused(head: &Parts, body: Option<&Value>) -> Option<Refused> {
    let status = head.status.as_u16();
    let error = body.and_then(|body| body.get("error"));
    let code = error.and_then(|error| error.get("code"));
    let code = match code.and_then(Value::as_str) {
        Some(code) => ErrorCode::parse(code)?,
        None => code_of(status)?,
    };
    let text = |key| {
        error
            .and_then(|error| error.get(key))
            .and_then(Value::as_str)
    };
    let details = error.and_then(|error| error.get("details")?.as_object());
    let details = details.into_iter().flat_map(Object::iter);
    let now = SystemTime::now();
    Some(Refused {
        code,
        status,
        message: shortened(text("message").unwrap_or("the registry gives no reason")),
        details: details
            .take(MAX_DETAILS)
            .map(|(name, value)| {
                let value = value.as_str().map_or_else(|| value.to_string(), Into::into);
                (shortened(name), shortened(&value))
            })
            .collect(),
        retry_after: header(&head.headers, RETRY_AFTER.as_str())
            .and_then(|text| retry_after(text, now)),
        clock_ahead: header(&head.headers, DATE.as_str()).and_then(|text| clock_ahead(text, now)),
    })
}

/// What a status without a code says: proxies and limits in front of a registry answer so.
fn code_of(status: u16) -> Option<ErrorCode> {
    match status {
        429 => Some(ErrorCode::RateLimited),
        502..=504 => Some(ErrorCode::Unavailable),
        _ => None,
    }
}

fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_MESSAGE);
    text.get(..end).unwrap_or_default().into()
}

/// Seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

fn clock_ahead(date: &str, now: SystemTime) -> Option<i64> {
    let theirs = httpdate::parse_http_date(date).ok()?;
    match now.duration_since(theirs) {
        Ok(ahead) => i64::try_from(ahead.as_secs()).ok(),
        Err(error) => i64::try_from(error.duration().as_secs())
            .ok()?
            .checked_neg(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::http::Response;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Result<Answer, Error> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let (head, ()) = response.body(()).expect("a response").into_parts();
        Answer::new("GET x".into(), &head, body.into())
    }

    fn refusal(status: u16, headers: &[(&str, &str)], body: &str) -> Refused {
        match answer(status, headers, body) {
            Err(Error::Refused(refused)) => *refused,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_code_is_read_with_its_words_and_details() {
        for code in ErrorCode::ALL {
            let body = format!(
                r#"{{"error":{{"code":"{code}","message":"No.","details":{{"consent_status":"pending","limit":3}}}}}}"#
            );
            let refused = refusal(code.status(), &[("retry-after", "7")], &body);
            assert_eq!((refused.code, refused.status), (code, code.status()));
            assert_eq!(refused.message, "No.");
            assert_eq!(refused.detail("consent_status"), Some("pending"));
            assert_eq!(refused.detail("limit"), Some("3"));
            assert_eq!(refused.retry_after, Some(Duration::from_secs(7)));
        }
    }

    #[test]
    fn what_stands_in_front_of_a_registry_refuses_without_a_code() {
        for (status, code) in [
            (429, ErrorCode::RateLimited),
            (502, ErrorCode::Unavailable),
            (503, ErrorCode::Unavailable),
            (504, ErrorCode::Unavailable),
        ] {
            assert_eq!(refusal(status, &[], "<html>").code, code);
        }
        for (status, body) in [
            (500, ""),
            (418, "{}"),
            (400, r#"{"error":{"code":"teapot"}}"#),
            (404, r#"{"error":"not here"}"#),
        ] {
            let error = answer(status, &[], body).expect_err("no answer");
            assert!(matches!(error, Error::Answer { .. }), "{error}");
        }
    }

    #[test]
    fn waits_are_seconds_or_dates() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        let ten = Some(Duration::from_secs(10));
        assert_eq!(retry_after(" 10 ", now), ten);
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:47 GMT", now), ten);
        let past = "Sun, 06 Nov 1994 08:49:27 GMT";
        assert_eq!(retry_after(past, now), Some(Duration::ZERO));
        for text in ["", "-1", "1.5", "soon"] {
            assert_eq!(retry_after(text, now), None, "{text}");
        }
        assert_eq!(clock_ahead(past, now), Some(10));
        assert_eq!(clock_ahead("Sun, 06 Nov 1994 08:49:47 GMT", now), Some(-10));
    }

    #[test]
    fn endless_words_are_cut_off() {
        let long = "é".repeat(MAX_MESSAGE);
        let body = format!(r#"{{"error":{{"code":"auth_failed","message":"x{long}"}}}}"#);
        let message = refusal(401, &[], &body).message;
        assert_eq!(message.len(), MAX_MESSAGE - 1);
    }

    #[test]
    fn nobody_follows_a_redirection() {
        let error = answer(307, &[("location", "https://b.example/")], "").expect_err("none");
        let Error::Redirected { to, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(to.as_deref(), Some("https://b.example/"));
    }

    #[test]
    fn the_next_page_is_where_the_link_points() {
        for (link, after) in [
            (
                "<https://a/presence?limit=2&after=b>; rel=\"next\"",
                Some("b"),
            ),
            ("</presence?after=b&limit=2>; rel=next", Some("b")),
            ("</presence?after=b>; rel=\"prev\"", None),
            ("</presence?limit=2>; rel=\"next\"", None),
            ("</presence>; rel=\"next\"", None),
            ("next", None),
        ] {
            let list = answer(200, &[("link", link)], "[]").expect("JSON");
            assert_eq!(list.after.as_deref(), after, "{link}");
        }
    }

    #[test]
    fn an_answer_that_is_no_json_or_another_kind_of_it_is_an_error() {
        let page = answer(200, &[], "<html>").expect_err("no JSON");
        assert!(matches!(page, Error::Answer { .. }));
        let list = answer(200, &[], "[1]").expect("JSON");
        assert_eq!(list.array().expect("an array").len(), 1);
        let error = list.object().expect_err("no object").to_string();
        assert!(error.contains("an array, and no object"), "{error}");
        assert!(list.field("x", Value::as_str).is_err());
    }
}
