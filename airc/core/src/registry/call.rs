//! A request that was understood, and waits to be applied.

use super::{Dialect, Route};
use crate::handle::Handle;
use crate::store::IdentityRecord;
use crate::time::Time;

/// A request that was read: routed, parsed, and within its limits.
#[derive(Clone, Debug)]
pub struct Call {
    pub(super) route: Route,
    pub(super) dialect: Dialect,
}

impl Call {
    /// Which call it is.
    #[must_use]
    pub const fn route(&self) -> Route {
        self.route
    }

    /// In which dialect it was asked.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whose signature it carries, if it carries one.
    #[must_use]
    pub const fn signer(&self) -> Option<&Handle> {
        None
    }

    /// Whether applying it may change what is kept: it needs a transaction that writes.
    #[must_use]
    pub fn writes(&self) -> bool {
        !matches!(
            self.route,
            Route::Identity | Route::Presence | Route::ApiWho
        )
    }

    /// Verifies the signature outside of any transaction, with the keys of the signer's `identity`
    /// as it was a moment ago, and remembers which key it was. Whether it verified; a call without
    /// a signature does not. [`Registry::apply`](super::Registry::apply) believes it only while
    /// that key is still accepted, and verifies by itself otherwise.
    pub const fn check(&mut self, _identity: Option<&IdentityRecord>, _now: Time) -> bool {
        false
    }
}
