//! Where a registry keeps things.
