//! Capability names, negotiation, and the active set (`CAP-1` to `CAP-9`).

use core::fmt;

use crate::wire::{Capabilities, Capability};

/// The longest capability name, in bytes (`CAP-1`).
pub const MAX_NAME_LEN: usize = 255;

/// The most capabilities that a node may advertise: the active set has a bit for each.
pub const MAX_LOCAL: usize = u16::BITS as usize;

/// The names under the reserved `aire.` namespace that the specification defines (`CAP-2`).
pub const DEFINED: [&str; 3] = [
    "aire.did-method.key/1",
    "aire.did-method.web/1",
    "aire.resumable/1",
];

/// The node resolves `did:web` (`ID-2`).
pub const DID_WEB: &str = "aire.did-method.web/1";

/// Operations can be resumed after a connection is lost (`RES-1`).
pub const RESUMABLE: &str = "aire.resumable/1";

/// Ours: both ends prove that their key sits at the end of this very connection (`GAP-21`).
pub const CHANNEL_BINDING: &str = "x-aire-rs.channel-binding/0";

/// Ours: a delegated operation says through whom it came, so that cycles are found.
pub const DELEGATION: &str = "x-aire-rs.delegation/0";

/// Why a capability cannot be advertised. Found before anything starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CapabilityError {
    /// It has more than 255 bytes.
    NameTooLong,
    /// It is not `label(.label)*/major`.
    NotANamespaceAndMajor,
    /// A label is not a letter followed by letters, digits and hyphens.
    BadLabel,
    /// The major is not a decimal number without leading zeros.
    BadMajor,
    /// It is under `aire.`, and the specification does not define it.
    ReservedNamespace,
    /// It is there twice.
    Duplicate,
    /// There are more than [`MAX_LOCAL`].
    TooMany,
    /// Its minor version is over 2^62 - 1.
    VersionTooLarge,
}

impl fmt::Display for CapabilityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NameTooLong => "a capability name has at most 255 bytes",
            Self::NotANamespaceAndMajor => {
                "a capability name is a namespace, a slash and a major version, as in \
                 com.example.search/1"
            }
            Self::BadLabel => {
                "each label of a capability's namespace is a letter, then letters, digits or \
                 hyphens"
            }
            Self::BadMajor => {
                "a capability's major version is a decimal number without leading zeros"
            }
            Self::ReservedNamespace => {
                "names under `aire.` are reserved: only those that the specification defines may \
                 be advertised"
            }
            Self::Duplicate => "a capability is listed twice",
            Self::TooMany => "more than 16 capabilities are listed",
            Self::VersionTooLarge => "a capability's minor version is over 2^62 - 1",
        })
    }
}

impl core::error::Error for CapabilityError {}

/// Checks a name against the grammar (`CAP-1`), without asking who owns it.
///
/// # Errors
/// Which rule it breaks.
pub fn check_name(name: &str) -> Result<(), CapabilityError> {
    if name.len() > MAX_NAME_LEN {
        return Err(CapabilityError::NameTooLong);
    }
    let (namespace, major) = name
        .split_once('/')
        .ok_or(CapabilityError::NotANamespaceAndMajor)?;
    if !namespace.split('.').all(is_label) {
        return Err(CapabilityError::BadLabel);
    }
    let digits = !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (major.starts_with('0') && major != "0") {
        return Err(CapabilityError::BadMajor);
    }
    Ok(())
}

fn is_label(label: &str) -> bool {
    let mut bytes = label.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Checks what a node is about to advertise (`CAP-1`, `CAP-2`, `CAP-7`).
///
/// # Errors
/// The first rule that is broken, and by which entry.
pub fn check_local(local: &[Capability<'_>]) -> Result<(), (usize, CapabilityError)> {
    for (index, entry) in local.iter().enumerate() {
        check_entry(local, index, entry).map_err(|error| (index, error))?;
    }
    Ok(())
}

fn check_entry(
    local: &[Capability<'_>],
    index: usize,
    entry: &Capability<'_>,
) -> Result<(), CapabilityError> {
    check_name(entry.name)?;
    if entry.name.starts_with("aire.") && !DEFINED.contains(&entry.name) {
        return Err(CapabilityError::ReservedNamespace);
    }
    if entry.version > crate::varint::MAX {
        return Err(CapabilityError::VersionTooLarge);
    }
    if index >= MAX_LOCAL {
        return Err(CapabilityError::TooMany);
    }
    let mut earlier = local.iter().take(index);
    if earlier.any(|other| other.name == entry.name) {
        return Err(CapabilityError::Duplicate);
    }
    Ok(())
}

/// What both peers advertised: fixed for the connection's life (`CAP-5`). It remembers places in
/// the local list, so ask it with the list that it was negotiated from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ActiveSet {
    /// Of the active entries of the local list; the others' are 0.
    minors: [u64; MAX_LOCAL],
    /// Bit `n` says whether entry `n` is active.
    active: u16,
    resumable: bool,
    channel_binding: bool,
    delegation: bool,
}

impl ActiveSet {
    /// The active minor version of the local list's entry `index`; `None` when it is not active.
    #[must_use]
    pub fn minor(&self, index: usize) -> Option<u64> {
        let active = index < MAX_LOCAL && self.active & 1 << index != 0;
        self.minors.get(index).copied().filter(|_| active)
    }

    /// The active minor version of `name`; `None` when it is not active. `local` is the list that
    /// the set was negotiated from.
    #[must_use]
    pub fn minor_of(&self, local: &[Capability<'_>], name: &str) -> Option<u64> {
        let index = local.iter().position(|entry| entry.name == name)?;
        self.minor(index)
    }

    /// Whether `aire.resumable/1` is active (`RES-1`).
    #[must_use]
    pub const fn resumable(&self) -> bool {
        self.resumable
    }

    /// Whether [`CHANNEL_BINDING`] is active.
    #[must_use]
    pub const fn channel_binding(&self) -> bool {
        self.channel_binding
    }

    /// Whether [`DELEGATION`] is active.
    #[must_use]
    pub const fn delegation(&self) -> bool {
        self.delegation
    }

    /// How many capabilities are active.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.active.count_ones() as usize
    }

    /// Whether no capability is active.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.active == 0
    }
}

/// A capability that one side requires and that is not active (`CAP-6`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingRequired;

/// Computes the active set. Both ends come to the same one.
///
/// # Errors
/// [`MissingRequired`] when either side requires a name that the other did not advertise.
pub fn negotiate(
    local: &[Capability<'_>],
    peer: &Capabilities<'_>,
) -> Result<ActiveSet, MissingRequired> {
    let mut active = ActiveSet::default();
    for (index, (entry, minor)) in local.iter().zip(&mut active.minors).enumerate() {
        match peer.iter().find(|other| other.name == entry.name) {
            Some(other) => {
                *minor = other.version.min(entry.version);
                active.active |= 1 << index;
                active.resumable |= entry.name == RESUMABLE;
                active.channel_binding |= entry.name == CHANNEL_BINDING;
                active.delegation |= entry.name == DELEGATION;
            }
            None if entry.required => return Err(MissingRequired),
            None => {}
        }
    }
    let known = |name: &str| local.iter().any(|entry| entry.name == name);
    if peer
        .iter()
        .any(|entry| entry.required && !known(entry.name))
    {
        return Err(MissingRequired);
    }
    Ok(active)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wire::{Hello, HelloInner, Payload};

    fn entry(name: &str, version: u64, required: bool) -> Capability<'_> {
        Capability {
            name,
            version,
            required,
        }
    }

    /// What `local` and a peer that advertises `peer` agree on.
    fn between(
        local: &[Capability<'_>],
        peer: &[Capability<'_>],
    ) -> Result<ActiveSet, MissingRequired> {
        let inner = HelloInner {
            major: 0,
            minor: 4,
            node_id: "",
            capabilities: peer,
        };
        let mut wire = [0; 512];
        let len = inner.encode(&mut wire).unwrap();
        let hello = Hello::decode(wire.get(..len).unwrap()).unwrap();
        negotiate(local, &hello.capabilities)
    }

    #[test]
    fn names_outside_the_grammar_are_refused_before_anything_starts() {
        use CapabilityError::*;
        for (name, expected) in [
            ("com.example.search/1", Ok(())),
            ("a/0", Ok(())),
            ("a-b.c9/12", Ok(())),
            ("com.example.search", Err(NotANamespaceAndMajor)),
            ("", Err(NotANamespaceAndMajor)),
            ("/1", Err(BadLabel)),
            ("a..b/1", Err(BadLabel)),
            ("9a/1", Err(BadLabel)),
            ("a_b/1", Err(BadLabel)),
            ("a/", Err(BadMajor)),
            ("a/01", Err(BadMajor)),
            ("a/1/2", Err(BadMajor)),
            ("a/x", Err(BadMajor)),
        ] {
            assert_eq!(check_name(name), expected, "{name}");
        }
        let long = heapless::String::<300>::try_from("a").unwrap();
        let mut long = long;
        while long.len() < 254 {
            long.push('b').unwrap();
        }
        let mut fits = long.clone();
        fits.truncate(253);
        fits.push_str("/1").unwrap();
        assert_eq!(check_name(&fits), Ok(()));
        long.push_str("/1").unwrap();
        assert_eq!(check_name(&long), Err(NameTooLong));
    }

    #[test]
    fn the_reserved_namespace_holds_only_what_the_specification_defines() {
        for name in DEFINED {
            assert_eq!(check_local(&[entry(name, 1, false)]), Ok(()));
        }
        assert_eq!(
            check_local(&[entry("aire.mine/1", 1, false)]),
            Err((0, CapabilityError::ReservedNamespace))
        );
        assert_eq!(
            check_local(&[entry("a/1", 1, false), entry("a/1", 2, false)]),
            Err((1, CapabilityError::Duplicate))
        );
    }

    #[test]
    fn both_ends_compute_the_same_active_set_at_the_lower_minor() {
        let ours = [
            entry("a/1", 3, false),
            entry("b/1", 1, true),
            entry("c/1", 1, false),
        ];
        let theirs = [
            entry("b/1", 7, false),
            entry("a/1", 2, false),
            entry("a/2", 2, false),
        ];
        let here = between(&ours, &theirs).unwrap();
        let there = between(&theirs, &ours).unwrap();
        for name in ["a/1", "b/1", "c/1", "a/2"] {
            assert_eq!(here.minor_of(&ours, name), there.minor_of(&theirs, name));
        }
        assert_eq!(here.minor_of(&ours, "a/1"), Some(2));
        assert_eq!(here.minor_of(&ours, "b/1"), Some(1));
        assert_eq!(here.minor_of(&ours, "c/1"), None);
        assert_eq!(here.len(), 2);
    }

    #[test]
    fn a_required_name_that_is_not_active_fails_from_either_side() {
        let needs = [entry("a/1", 1, true)];
        let lacks = [entry("a/2", 1, false)];
        assert_eq!(between(&needs, &lacks), Err(MissingRequired));
        assert_eq!(between(&lacks, &needs), Err(MissingRequired));
        let optional = [entry("a/1", 1, false)];
        assert!(between(&needs, &optional).is_ok(), "unequal required bits");
        // A name outside the grammar is never known, but still counts when required (CAP-3).
        let odd = [entry("not a name", 1, true)];
        assert_eq!(between(&optional, &odd), Err(MissingRequired));
    }
}
