//! A registry over the store in memory, on a clock that only the tests move.

mod support;

mod consent;
mod errors;
mod identity;
mod messages;
mod presence;
mod reading;
mod replay;
mod rotation;
