//! AIRE test vectors as typed values, and the conformance table.
//!
//! Two collections are compiled in, so that nothing looks for a file at run time:
//!
//! - [`upstream`]: what the specification publishes, one file per milestone,
//!   byte for byte (WIRE-15);
//! - [`own`]: this project's, written by `vectors/generate.py`, which shares no
//!   code with any crate here.
//!
//! A [`Vector`] says what some bytes mean ([`FrameVector`], [`ConcatVector`],
//! [`VarintVector`], [`DidKeyVector`]), or what a receiver answers them with
//! ([`MalformedVector`]); [`BindingVector`] and [`PathVector`] do both for frames of this
//! project, [`AddressVector`] for text. The receiver that the outcomes assume is described by
//! [`CLOCK_MS`], [`RECEIVER_CAPABILITIES`] and [`FRAME_LIMIT`]. `vectors/README.md`
//! documents the JSON.
//!
//! ```
//! for vector in aire_vectors::all() {
//!     if let Some(varint) = vector.as_varint() {
//!         assert!(matches!(varint.encoded.len(), 1 | 2 | 4 | 8), "{}", vector.id);
//!     }
//! }
//! ```

pub mod conformance;
mod model;
mod read;

pub use model::{
    AddressVector, BindingVector, Body, Budget, Cancel, Capability, Closes, ConcatVector, Decoded,
    Delegate, DidKeyVector, DidWebParts, ErrorCode, ErrorPayload, Frame, FrameVector, HandleParts,
    Hello, Hop, Invoke, MalformedVector, PathFault, PathVector, Place, Resumable, Resume,
    Resumption, SignatureBlock, Signing, SigningInputs, UriParts, VarintVector, Vector,
};
pub use read::{ReadError, read};

/// The receiver's clock for every signed vector, in Unix milliseconds (SIG-9).
pub const CLOCK_MS: i64 = 1_781_568_000_000;

/// What the receiver of the vectors advertises, none of it as required: name and
/// capability version. It has no resolver of `did:web`, and speaks AIRE 0.4.
pub const RECEIVER_CAPABILITIES: [(&str, u64); 1] = [("aire.did-method.key/1", 1)];

/// The receiver's frame limit in payload bytes (WIRE-13, WIRE-14): the
/// `FRAME_TOO_LARGE` vectors announce at least one byte more.
pub const FRAME_LIMIT: u64 = 1_048_576;

/// The seed of the key that signed the good HELLO which comes before a
/// [`MalformedVector`] that is sent behind the handshake. Signed frames among them are
/// judged by it (SIG-8, SIG-13).
pub const PEER_SEED: [u8; 32] = [77; 32];

/// The OpID of the operation that a [`MalformedVector`] takes place on: the first
/// one that a client opens (GAP-2).
pub const OPERATION: u64 = 4;

/// The published files: name and text.
const UPSTREAM: [(&str, &str); 4] = [
    ("upstream/v0.1.json", include_str!("../upstream/v0.1.json")),
    ("upstream/v0.2.json", include_str!("../upstream/v0.2.json")),
    ("upstream/v0.3.json", include_str!("../upstream/v0.3.json")),
    ("upstream/v0.4.json", include_str!("../upstream/v0.4.json")),
];

/// The generated files: name and text.
const OWN: [(&str, &str); 10] = [
    ("own/varints.json", include_str!("../own/varints.json")),
    ("own/envelopes.json", include_str!("../own/envelopes.json")),
    (
        "own/operations.json",
        include_str!("../own/operations.json"),
    ),
    (
        "own/concatenations.json",
        include_str!("../own/concatenations.json"),
    ),
    ("own/signed.json", include_str!("../own/signed.json")),
    (
        "own/bad-control.json",
        include_str!("../own/bad-control.json"),
    ),
    (
        "own/bad-operations.json",
        include_str!("../own/bad-operations.json"),
    ),
    (
        "own/channel-binding.json",
        include_str!("../own/channel-binding.json"),
    ),
    (
        "own/delegation-paths.json",
        include_str!("../own/delegation-paths.json"),
    ),
    ("own/addresses.json", include_str!("../own/addresses.json")),
];

/// The vectors that the specification publishes.
///
/// All are frames. Only some say what the payload means; a frame of v0.1 may hold
/// a payload that does not decode, since that milestone is about the envelope.
///
/// # Panics
///
/// When a compiled-in file does not follow the schema, which this crate's tests
/// rule out.
pub fn upstream() -> Vec<Vector> {
    read_all(&UPSTREAM)
}

/// The vectors of this project.
///
/// # Panics
///
/// As [`upstream`].
pub fn own() -> Vec<Vector> {
    read_all(&OWN)
}

/// The vectors of both collections, the published ones first. Ids are unique
/// across them.
///
/// # Panics
///
/// As [`upstream`].
pub fn all() -> Vec<Vector> {
    let mut vectors = upstream();
    vectors.extend(own());
    vectors
}

fn read_all(files: &[(&'static str, &str)]) -> Vec<Vector> {
    files
        .iter()
        .flat_map(|(file, text)| match read(file, text) {
            Ok(vectors) => vectors,
            Err(error) => panic!("{error}"),
        })
        .collect()
}
