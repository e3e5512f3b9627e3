//! Fields of an object, checked, with refusals that name them.

use alloc::format;
use alloc::string::ToString;
use core::fmt;

use crate::PublicKey;
use crate::error::{ErrorCode, Refusal};
use crate::handle::{Handle, HandleError};
use crate::json::{JsonError, Object, Value};
use crate::{key, limits};

/// The fields of an object. A name is a path, `payload.type`; its last part is the key.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a Object);

/// `value`, if it is an object.
pub(super) fn object(value: Value) -> Result<Object, Refusal> {
    let kind = value.kind();
    value.into_object().ok_or_else(|| {
        let message = format!("the body is {kind}: an object is expected");
        Refusal::new(ErrorCode::InvalidRequest, message)
    })
}

/// A field that is not as it should be.
pub(super) fn refuse(name: &str, is: &str, expected: impl fmt::Display) -> Refusal {
    let message = format!("`{name}` is {is}: {expected}");
    Refusal::new(ErrorCode::InvalidRequest, message).with("field", name)
}

impl<'a> Fields<'a> {
    /// What stands in a field, if anything does.
    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        let key = name.rsplit('.').next().unwrap_or(name);
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A field that `read` takes, if it is there.
    pub(super) fn optional<T>(
        self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match read(value) {
                Some(found) => Ok(Some(found)),
                None => Err(refuse(name, value.kind(), expected)),
            },
        }
    }

    /// A text that `check` takes, if it is there.
    pub(super) fn optional_text<T, E: fmt::Display>(
        self,
        name: &str,
        check: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Result<Option<T>, Refusal> {
        match self.optional(name, "a string is expected", Value::as_str)? {
            None => Ok(None),
            Some(text) => match check(text) {
                Ok(found) => Ok(Some(found)),
                Err(expected) => Err(refuse(name, "unusable", expected)),
            },
        }
    }

    /// A text that `check` takes.
    pub(super) fn text<T, E: fmt::Display>(
        self,
        name: &str,
        check: impl Fn(&'a str) -> Result<T, E>,
    ) -> Result<T, Refusal> {
        match self.optional_text(name, &check)? {
            Some(found) => Ok(found),
            // Nothing is as unusable as an empty text, and what is expected is the same.
            None => Err(match check("") {
                Err(expected) => refuse(name, "missing", expected),
                Ok(_) => refuse(name, "missing", "a string is expected"),
            }),
        }
    }

    /// A handle.
    pub(super) fn handle(self, name: &str) -> Result<Handle, Refusal> {
        self.text::<_, HandleError>(name, Handle::parse)
    }

    /// A public key, in any of its forms.
    pub(super) fn key(self, name: &str) -> Result<PublicKey, Refusal> {
        self.text(name, key::parse)
    }

    /// Free text of at most `most` characters, if it is there.
    pub(super) fn free_text(self, name: &str, most: usize) -> Result<Option<&'a str>, Refusal> {
        self.optional_text(name, |text| {
            limits::free_text(text, most).ok_or_else(|| {
                format!("at most {most} characters are expected, none of them U+0000")
            })
        })
    }

    /// Unix seconds, if they are there.
    pub(super) fn optional_timestamp(self) -> Result<Option<u64>, Refusal> {
        self.optional("timestamp", SECONDS, Value::as_u64)
    }

    /// Unix seconds.
    pub(super) fn timestamp(self) -> Result<u64, Refusal> {
        let found = self.optional_timestamp()?;
        found.ok_or_else(|| refuse("timestamp", "missing", SECONDS))
    }
}

const SECONDS: &str = "whole Unix seconds are expected";

impl From<JsonError> for Refusal {
    fn from(error: JsonError) -> Self {
        let message = format!("the body is no JSON that is taken here: {error}");
        Self::new(ErrorCode::InvalidRequest, message).with("byte", error.at.to_string())
    }
}
