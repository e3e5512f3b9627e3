//! What runs a registry's decisions against its store: one writer with group commit, a few readers,
//! and workers that check signatures in front of both.
