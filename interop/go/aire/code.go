package aire

import "fmt"

// Code is an error code of the one registry; it is also the QUIC application
// code that a connection is closed with.
type Code uint64

const (
	IncompatibleVersion       Code = 0x01
	MissingRequiredCapability Code = 0x02
	MalformedFrame            Code = 0x03
	ProtocolViolation         Code = 0x04
	BadSignature              Code = 0x05
	StaleTimestamp            Code = 0x06
	ReplayedNonce             Code = 0x07
	UnresolvableDID           Code = 0x08
	KeyMismatch               Code = 0x09
	Cancelled                 Code = 0x0a
	BudgetExceeded            Code = 0x0b
	DeadlineExceeded          Code = 0x0c
	DelegateFailed            Code = 0x0d
	ResumeInvalid             Code = 0x0e
	ResumeExpired             Code = 0x0f
	ResumeUnavailable         Code = 0x10

	// GAP-6: the specification gives these no number.
	FrameTooLarge Code = 0x40
	AgentNotFound Code = 0x41
	Refused       Code = 0x42
	Application   Code = 0x43
)

var codeNames = map[Code]string{
	IncompatibleVersion:       "INCOMPATIBLE_VERSION",
	MissingRequiredCapability: "MISSING_REQUIRED_CAPABILITY",
	MalformedFrame:            "MALFORMED_FRAME",
	ProtocolViolation:         "PROTOCOL_VIOLATION",
	BadSignature:              "BAD_SIGNATURE",
	StaleTimestamp:            "STALE_TIMESTAMP",
	ReplayedNonce:             "REPLAYED_NONCE",
	UnresolvableDID:           "UNRESOLVABLE_DID",
	KeyMismatch:               "KEY_MISMATCH",
	Cancelled:                 "CANCELLED",
	BudgetExceeded:            "BUDGET_EXCEEDED",
	DeadlineExceeded:          "DEADLINE_EXCEEDED",
	DelegateFailed:            "DELEGATE_FAILED",
	ResumeInvalid:             "RESUME_INVALID",
	ResumeExpired:             "RESUME_EXPIRED",
	ResumeUnavailable:         "RESUME_UNAVAILABLE",
	FrameTooLarge:             "FRAME_TOO_LARGE",
	AgentNotFound:             "AGENT_NOT_FOUND",
	Refused:                   "REFUSED",
	Application:               "APPLICATION",
}

func (c Code) String() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return c.Hex()
}

// Hex is the number, as the specification writes it.
func (c Code) Hex() string { return fmt.Sprintf("0x%02x", uint64(c)) }

// Error is a fault of the peer, with the code to answer it with.
type Error struct {
	Code Code
	Why  string // for the log on this side: it never goes on the wire (SIG-14)
}

func (e *Error) Error() string {
	if e.Why == "" {
		return e.Code.String()
	}
	return e.Code.String() + ": " + e.Why
}

func fault(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Why: fmt.Sprintf(format, args...)}
}
