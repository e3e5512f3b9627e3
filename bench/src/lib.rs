//! What the benchmarks share: the inputs, the contenders, and the means to measure them.
//!
//! Every comparison hands each contender the same input and asks for the same result, in the same
//! run. The contenders are functions over a whole run of frames, never inlined into the loop that
//! measures them, so that no compiler knows the input of one and not of the other.

pub mod allocations;
pub mod contender;
pub mod control;
pub mod copying;
pub mod cursor;
pub mod echo;
pub mod identity;
pub mod link;
pub mod measure;
pub mod ours;
pub mod spending;
pub mod stream;
