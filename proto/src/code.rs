//! The numbers that both ends agree on: error codes (§4.7, 5.4.7, 7.2.6, 9.7 and `GAP-6`) and
//! cancel reasons (`CAN-4`).

use core::fmt;

/// Builds an open enumeration: named values, and whatever else a peer may send.
macro_rules! open_enum {
    (
        $(#[$meta:meta])* $name:ident, unknown = $unknown:literal,
        { $($(#[$vmeta:meta])* $variant:ident = $value:literal as $wire:literal,)* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub enum $name {
            $($(#[$vmeta])* $variant,)*
            /// A number that this version does not name.
            Other(u64),
        }

        impl $name {
            /// The number on the wire.
            #[must_use]
            pub const fn to_wire(self) -> u64 {
                match self {
                    $(Self::$variant => $value,)*
                    Self::Other(other) => other,
                }
            }

            /// The value that `wire` stands for. Never fails: unknown numbers are kept.
            #[must_use]
            pub const fn from_wire(wire: u64) -> Self {
                match wire {
                    $($value => Self::$variant,)*
                    other => Self::Other(other),
                }
            }

            /// The name in the specification, in capitals.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $wire,)*
                    Self::Other(_) => $unknown,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::Other(other) => write!(f, concat!($unknown, "({:#04x})"), other),
                    named => f.write_str(named.name()),
                }
            }
        }
    };
}

open_enum! {
    /// Why a connection or an operation failed, as it travels in ERROR frames, in stream resets
    /// and in CONNECTION_CLOSE. One code space for all of them.
    ErrorCode, unknown = "UNKNOWN_CODE",
    {
        /// The peers speak different major versions (`HS-6`).
        IncompatibleVersion = 0x01 as "INCOMPATIBLE_VERSION",
        /// A capability that one peer requires is not active (`CAP-6`).
        MissingRequiredCapability = 0x02 as "MISSING_REQUIRED_CAPABILITY",
        /// Bytes that do not parse.
        MalformedFrame = 0x03 as "MALFORMED_FRAME",
        /// Frames that parse, but must not come here or now.
        ProtocolViolation = 0x04 as "PROTOCOL_VIOLATION",
        /// The signature is missing, of an unknown algorithm, or wrong.
        BadSignature = 0x05 as "BAD_SIGNATURE",
        /// The signature's timestamp is outside the window (`SIG-9`).
        StaleTimestamp = 0x06 as "STALE_TIMESTAMP",
        /// The nonce was seen before, or the replay guard is full (`SIG-10`, `SIG-11`).
        ReplayedNonce = 0x07 as "REPLAYED_NONCE",
        /// No key could be found for the DID (`SIG-2`).
        UnresolvableDid = 0x08 as "UNRESOLVABLE_DID",
        /// The verification method belongs to another DID (`SIG-8`).
        KeyMismatch = 0x09 as "KEY_MISMATCH",
        /// The operation was cancelled (`CAN-5`).
        Cancelled = 0x0a as "CANCELLED",
        /// The operation's tokens or money are used up.
        BudgetExceeded = 0x0b as "BUDGET_EXCEEDED",
        /// The operation's deadline has passed.
        DeadlineExceeded = 0x0c as "DEADLINE_EXCEEDED",
        /// An operation that this one was delegated to failed.
        DelegateFailed = 0x0d as "DELEGATE_FAILED",
        /// The resumption token is unknown, spent, or somebody else's.
        ResumeInvalid = 0x0e as "RESUME_INVALID",
        /// The resumption token's time is over.
        ResumeExpired = 0x0f as "RESUME_EXPIRED",
        /// The frames asked for are no longer retained.
        ResumeUnavailable = 0x10 as "RESUME_UNAVAILABLE",
        /// A frame is larger than the receiver's limit (`WIRE-14`, `GAP-6`, `GAP-19`).
        FrameTooLarge = 0x40 as "FRAME_TOO_LARGE",
        /// The node has no agent of that name (`GAP-6`).
        AgentNotFound = 0x41 as "AGENT_NOT_FOUND",
        /// Policy or overload: try later, or elsewhere (`GAP-6`).
        Refused = 0x42 as "REFUSED",
        /// The agent itself failed (`GAP-6`).
        Application = 0x43 as "APPLICATION",
    }
}

open_enum! {
    /// Why an operation is cancelled (`CAN-4`). Vendors own 0x40 and up.
    CancelReason, unknown = "REASON",
    {
        /// Somebody no longer wants the answer.
        UserCancelled = 0 as "USER_CANCELLED",
        /// The deadline has passed.
        DeadlineExceeded = 1 as "DEADLINE_EXCEEDED",
        /// The budget is used up.
        BudgetExceeded = 2 as "BUDGET_EXCEEDED",
        /// The operation that this one was delegated from was cancelled.
        UpstreamCancelled = 3 as "UPSTREAM_CANCELLED",
        /// The canceller has no room or no time for it.
        ResourceExhausted = 4 as "RESOURCE_EXHAUSTED",
        /// The canceller failed.
        Internal = 5 as "INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;

    #[test]
    fn every_code_survives_the_wire() {
        for wire in 0..0x100 {
            assert_eq!(ErrorCode::from_wire(wire).to_wire(), wire);
            assert_eq!(CancelReason::from_wire(wire).to_wire(), wire);
        }
    }

    #[test]
    fn unknown_numbers_print_as_numbers() {
        let mut text = heapless::String::<32>::new();
        assert!(write!(text, "{}", CancelReason::from_wire(0x41)).is_ok());
        assert_eq!(text, "REASON(0x41)");
    }
}
