//! Handing work on: how a budget is cut among delegated operations, and the path that keeps a
//! delegation from going round in a circle.

mod meter;
mod path;
mod shares;

pub use crate::identity::MAX_DID_LEN;
pub use path::{MAX_AGENT_LEN, MAX_HOPS, PATH_FRAME, Path, PathError, PathRef};
pub use shares::{Share, ShareError, Shares};
