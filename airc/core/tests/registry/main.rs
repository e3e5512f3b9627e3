//! A registry over the store in memory, on a clock that only the tests move.

mod support;

mod bridge;
mod consent;
mod errors;
mod identity;
mod legacy;
mod messages;
mod presence;
mod properties;
mod reading;
mod replay;
mod rotation;
mod stored;
