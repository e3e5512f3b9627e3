//! Values that are written as text.

use std::time::Duration;

use aire_proto::identity::Did;
use aire_proto::wire::Currency;
use serde::Deserialize;

use crate::common::units;

/// A time: "250ms", "1.5s", "2m", "1h".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Time(pub(crate) Duration);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        units::time(&text).map(Self)
    }
}

/// An amount of money: "0.25USD".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Money {
    /// Millionths of the currency's unit.
    pub(crate) microunits: u64,
    /// What it is in.
    pub(crate) currency: Currency,
}

impl TryFrom<String> for Money {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (microunits, currency) = units::money(&text)?;
        Ok(Self {
            microunits,
            currency,
        })
    }
}

/// A DID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct DidText(pub(crate) String);

impl TryFrom<String> for DidText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match Did::parse(&text) {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(format!("{text:?}: {error}")),
        }
    }
}
