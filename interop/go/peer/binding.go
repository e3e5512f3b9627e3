package peer

import (
	"errors"
	"fmt"
	"time"

	"aire-interop/aire"
)

// Capabilities that Options.Caps may name.
const (
	capResumable  = "aire.resumable/1"
	capBinding    = "x-aire-rs.channel-binding/0"
	capDelegation = "x-aire-rs.delegation/0"
)

// Caps maps the short names of the command line to capabilities.
var Caps = map[string]string{
	"resumable":  capResumable,
	"binding":    capBinding,
	"delegation": capDelegation,
}

// Faults that Options.TamperBinding can put in this peer's channel binding.
const (
	BindingNone      = "none"
	BindingSignature = "signature" // one bit of the signature
	BindingExporter  = "exporter"  // made for another connection
	BindingSigner    = "signer"    // another identity's, good in itself
)

// BindingTampers lists the values of Options.TamperBinding.
var BindingTampers = []string{BindingNone, BindingSignature, BindingExporter, BindingSigner}

// exporter is what binds an identity to this connection (GAP-21, RFC 9266).
func (s *session) exporter() ([]byte, error) {
	state := s.conn.ConnectionState().TLS
	return state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
}

// bind proves this end's key on this connection, and checks the peer's proof.
// Frames that come before that go to seen.
func (s *session) bind(seen ControlFrame) error {
	value, err := s.exporter()
	if err != nil {
		return err
	}
	if err := s.write(aire.Frame{Type: aire.TypeBinding, Payload: s.binding(value)}.Append(nil)); err != nil {
		return err
	}
	s.ctrl.SetReadDeadline(time.Now().Add(handshakeTimeout))
	for {
		f, err := aire.ReadFrame(s.in)
		if err != nil {
			return s.fault(err)
		}
		if f.Type != aire.TypeBinding {
			seen(f)
			if f.Type == aire.TypeError && f.OpID == 0 {
				return errors.New("ERROR came before the channel binding")
			}
			if err := controlFault(f); err != nil {
				return s.fault(err)
			}
			continue
		}
		s.ctrl.SetReadDeadline(time.Time{})
		signed, err := aire.DecodeBinding(f.Payload, value)
		if err == nil {
			err = s.verifier.CheckSigned(s.peer, signed)
		}
		if err != nil {
			// Whatever is wrong with it, it does not bind.
			return s.fault(&aire.Error{Code: aire.BadSignature, Why: fmt.Sprintf("channel binding: %v", err)})
		}
		s.Log.Printf("bound %s to this connection", s.peer)
		return nil
	}
}

// binding is the payload to send, faulty where the options say so.
func (s *session) binding(value []byte) []byte {
	id := s.identity
	switch s.TamperBinding {
	case BindingExporter:
		value = append([]byte{value[0] ^ 1}, value[1:]...)
	case BindingSigner:
		id = freshIdentity()
	}
	payload := id.SignBinding(value, aire.NewNonce(), time.Now())
	if s.TamperBinding == BindingSignature {
		payload[len(payload)-20] ^= 1
	}
	return payload
}
