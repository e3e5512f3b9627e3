package aire

import (
	"crypto/ed25519"
	"strings"
	"time"
)

// Window is how far a timestamp may be from the local clock (SIG-9), and how
// long a nonce is remembered at least (SIG-10).
const Window = 300 * time.Second

// Major is the only major version this peer speaks.
const Major = 0

// Verifier checks HELLOs. One is shared by all connections of a process, or
// a HELLO replayed on a second connection would pass.
type Verifier struct {
	Now    func() time.Time
	Replay *ReplayCache
}

// NewVerifier returns a Verifier on the system clock.
func NewVerifier() *Verifier {
	return &Verifier{Now: time.Now, Replay: NewReplayCache()}
}

// Check parses the payload of a peer's HELLO and applies every check in the
// order of GAP-9. Its error is an *Error.
func (v *Verifier) Check(payload []byte, local Hello) (ParsedHello, error) {
	h, err := ParseHello(payload)
	if err != nil {
		return h, err
	}
	if h.Major != Major {
		return h, fault(IncompatibleVersion, "major %d", h.Major)
	}
	// GAP-11: an unsigned peer of minor 0 or 1 is refused with the code for a
	// missing block; its opaque NodeID is no fault of its.
	if h.Minor >= 2 && !validDID(h.NodeID) {
		return h, fault(MalformedFrame, "NodeID %q is no DID", h.NodeID)
	}
	if err := v.authenticate(h); err != nil {
		return h, err
	}
	return h, requiredMet(local.Caps, h.Caps)
}

func (v *Verifier) authenticate(h ParsedHello) error {
	s := h.Block
	if s == nil {
		return fault(BadSignature, "no signature block")
	}
	if err := v.CheckSigned(h.NodeID, Signed{*s, h.signed}); err != nil {
		return err
	}
	// Only now, so that nobody can fill the cache of a DID that he cannot
	// sign for.
	if !v.Replay.Add(h.NodeID, s.Nonce, v.Now(), time.UnixMilli(s.Timestamp)) {
		return fault(ReplayedNonce, "nonce of %s", h.NodeID)
	}
	return nil
}

// CheckSigned applies the checks of a block, in the order of GAP-9, to one that
// nodeID must have signed. Replays are not looked for: TLS keeps every frame
// behind HELLO on its connection.
func (v *Verifier) CheckSigned(nodeID string, s Signed) error {
	did, _, _ := strings.Cut(s.VMID, "#")
	if did != nodeID {
		return fault(KeyMismatch, "NodeID %s, signed by %s", nodeID, s.VMID)
	}
	if s.Alg != AlgEd25519 {
		return fault(BadSignature, "algorithm %#x", s.Alg)
	}
	now, at := v.Now(), time.UnixMilli(s.Timestamp)
	if at.Before(now.Add(-Window)) || at.After(now.Add(Window)) {
		return fault(StaleTimestamp, "made at %s", at.UTC().Format(time.RFC3339))
	}
	pub, err := ParseDIDKey(did)
	if err != nil {
		return fault(UnresolvableDID, "%s: %v", did, err)
	}
	if s.VMID != DIDKeyMethod(did) {
		return fault(UnresolvableDID, "no method %s", s.VMID)
	}
	if len(s.Sig) != ed25519.SignatureSize || !ed25519.Verify(pub, s.message, s.Sig) {
		return fault(BadSignature, "signature does not verify")
	}
	return nil
}

// requiredMet fails when either end requires what the other lacks (CAP-6).
func requiredMet(local, peer []Capability) error {
	for _, side := range [][2][]Capability{{local, peer}, {peer, local}} {
		for _, c := range side[0] {
			if c.Required && !hasCap(side[1], c.Name) {
				return fault(MissingRequiredCapability, "%s", c.Name)
			}
		}
	}
	return nil
}

func hasCap(caps []Capability, name string) bool {
	for _, c := range caps {
		if c.Name == name {
			return true
		}
	}
	return false
}
