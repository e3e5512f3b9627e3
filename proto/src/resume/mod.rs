//! What resumption needs without I/O (§9).
//!
//! A responder keeps a [`Retained`] of each resumable operation: the last frames that it sent, in
//! a [`Window`] over memory of the caller's; the [`Token`]s that are good for it; and how the
//! operation ended. An initiator counts what it received in a [`Progress`], and writes that down
//! as a [`Ticket`], which outlives the connection and the process.

mod progress;
mod retained;
#[cfg(feature = "postcard")]
mod ticket;
mod token;
mod window;

pub use progress::{MAX_TOKEN_LEN, Progress, TokenTooLong};
pub use retained::{Ended, ResumeError, Retained, Terminal};
#[cfg(feature = "postcard")]
pub use ticket::{Ticket, TicketError};
pub use token::Token;
pub use window::{Halves, Iter, Place, Pushed, Window};
