package peer

import (
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"aire-interop/aire"
)

// Faults that Options.Tamper can put in the HELLO that this peer sends.
const (
	TamperNone      = "none"
	TamperSignature = "signature" // one bit of the signature
	TamperNonce     = "nonce"     // one bit of the nonce, after signing
	TamperNodeID    = "nodeid"    // another NodeID than VMID's, well signed
	TamperTimestamp = "timestamp" // ten minutes old, well signed
)

// Tampers lists the values of Options.Tamper.
var Tampers = []string{TamperNone, TamperSignature, TamperNonce, TamperNodeID, TamperTimestamp}

// Options is common to both ends.
type Options struct {
	Minor       uint64 // advertised in HELLO; 0 and 1 send it unsigned
	Tamper      string
	DoubleHello bool // send a second HELLO right after the first
	HelloType2  bool // send a frame of type 0x02 after the handshake
	// Caps are advertised, by their whole names.
	Caps          []string
	TamperBinding string
	// DropAfter closes the connection of the first operation that has sent so
	// many STREAM frames; 0 never does.
	DropAfter uint64
	// Ask is what a node asks of each client that connects: nothing, where it
	// names no agent. What comes goes to Out.
	Ask Call
	Out io.Writer
	Log *log.Logger

	identity aire.Identity
	verifier *aire.Verifier
	store    *store
	dropped  *atomic.Bool
}

// NewOptions gives a peer that behaves, under a fresh identity.
func NewOptions(logger *log.Logger) *Options {
	return &Options{
		Minor:         2,
		Tamper:        TamperNone,
		TamperBinding: BindingNone,
		Log:           logger,
		identity:      freshIdentity(),
		verifier:      aire.NewVerifier(),
		store:         &store{issued: map[string]issued{}},
		dropped:       new(atomic.Bool),
	}
}

func freshIdentity() aire.Identity {
	seed := make([]byte, 32)
	rand.Read(seed)
	return aire.NewIdentity(seed)
}

// SetCaps takes short names, with commas between them.
func (o *Options) SetCaps(list string) error {
	o.Caps = nil
	for _, short := range strings.FieldsFunc(list, func(c rune) bool { return c == ',' }) {
		name, ok := Caps[short]
		if !ok {
			return fmt.Errorf("--caps knows no %q", short)
		}
		o.Caps = append(o.Caps, name)
	}
	slices.Sort(o.Caps)
	return nil
}

// Validate refuses values that would make a test check nothing.
func (o *Options) Validate() error {
	if !slices.Contains(Tampers, o.Tamper) {
		return fmt.Errorf("--tamper is one of %v", Tampers)
	}
	if !slices.Contains(BindingTampers, o.TamperBinding) {
		return fmt.Errorf("--tamper-binding is one of %v", BindingTampers)
	}
	if o.TamperBinding != BindingNone && !slices.Contains(o.Caps, capBinding) {
		return fmt.Errorf("--tamper-binding needs --caps binding")
	}
	if o.Minor < 4 && len(o.Caps) > 0 {
		return fmt.Errorf("--caps needs --minor 4 or more: the reference is noted to have none")
	}
	if o.Minor < 2 && o.Tamper != TamperNone {
		return fmt.Errorf("--tamper needs --minor 2 or more: below it HELLO is unsigned")
	}
	return nil
}

// DID is this peer's own.
func (o *Options) DID() string { return o.identity.DID }

// referenceLike selects the manner: see the package comment.
func (o *Options) referenceLike() bool { return o.Minor <= 2 }

// Misbehaves says that a sound peer must close the connection on this one.
func (o *Options) Misbehaves() bool {
	return o.Tamper != TamperNone || o.TamperBinding != BindingNone || o.DoubleHello || o.HelloType2 || o.Minor < 2
}

// local is what this peer says of itself, unsigned.
func (o *Options) local() aire.Hello {
	h := aire.Hello{Major: aire.Major, Minor: o.Minor, NodeID: o.identity.DID}
	for _, name := range o.Caps {
		h.Caps = append(h.Caps, aire.Capability{Name: name, Version: 1})
	}
	return h
}

// hello builds the frame to send, with a fresh nonce on every call.
func (o *Options) hello() []byte {
	h := o.local()
	at := time.Now()
	switch o.Tamper {
	case TamperNodeID:
		h.NodeID = otherLastLetter(h.NodeID)
	case TamperTimestamp:
		at = at.Add(-10 * time.Minute)
	}
	if o.Minor >= 2 {
		o.identity.SignHello(&h, aire.NewNonce(), at)
	}
	switch o.Tamper {
	case TamperSignature:
		h.Block.Sig[20] ^= 1
	case TamperNonce:
		h.Block.Nonce[0] ^= 1
	}
	return aire.Frame{Type: aire.TypeHello, Payload: h.Append(nil)}.Append(nil)
}

// otherLastLetter keeps the text a well-formed DID, so that the mismatch with
// VMID is its only fault.
func otherLastLetter(did string) string {
	last := byte('a')
	if did[len(did)-1] == last {
		last = 'b'
	}
	return did[:len(did)-1] + string(last)
}
