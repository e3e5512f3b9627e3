package aire

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"time"
)

// AlgEd25519 is the only algorithm (SIG-1).
const AlgEd25519 = 0x01

// Block is a signature block (SIG-4).
type Block struct {
	Alg       byte
	VMID      string
	Nonce     [16]byte
	Timestamp int64 // Unix, milliseconds
	Sig       []byte
}

// Append appends the block's bytes.
func (s Block) Append(b []byte) []byte {
	b = s.appendHead(b)
	return append(AppendVarint(b, uint64(len(s.Sig))), s.Sig...)
}

func (s Block) appendHead(b []byte) []byte {
	b = AppendString(append(b, s.Alg), s.VMID)
	b = append(b, s.Nonce[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(s.Timestamp))
}

// parseBlock also returns the bytes from Alg to Timestamp, as they came.
func parseBlock(c *cursor) (Block, []byte) {
	start := c.pos
	s := Block{Alg: c.u8(), VMID: c.str()}
	copy(s.Nonce[:], c.take(uint64(len(s.Nonce))))
	s.Timestamp = c.i64()
	head := c.b[start:c.pos]
	s.Sig = c.bytes()
	return s, head
}

// signedBytes is the message that a signature is about (SIG-5, GAP-20).
func signedBytes(t Type, inner, head []byte) []byte {
	b := append([]byte("AIRE-SIG-v1\x00"), byte(t))
	return append(append(b, inner...), head...)
}

// Identity is a did:key and its private half.
type Identity struct {
	key       ed25519.PrivateKey
	DID, VMID string
}

// NewIdentity derives an identity from an Ed25519 seed of 32 bytes.
func NewIdentity(seed []byte) Identity {
	key := ed25519.NewKeyFromSeed(seed)
	did := DIDKey(key.Public().(ed25519.PublicKey))
	return Identity{key: key, DID: did, VMID: DIDKeyMethod(did)}
}

// SignHello fills in the block of h. The nonce must be fresh and random
// (SIG-6).
func (id Identity) SignHello(h *Hello, nonce [16]byte, at time.Time) {
	s := id.block(TypeHello, h.AppendInner(nil), nonce, at)
	h.Block = &s
}

// Signed is a signature block as received, with the bytes that it is about.
type Signed struct {
	Block
	message []byte
}

// NewNonce is 16 fresh random bytes (SIG-6).
func NewNonce() (n [16]byte) {
	rand.Read(n[:])
	return n
}

// block signs inner, which is not sent with it.
func (id Identity) block(t Type, inner []byte, nonce [16]byte, at time.Time) Block {
	s := Block{Alg: AlgEd25519, VMID: id.VMID, Nonce: nonce, Timestamp: at.UnixMilli()}
	s.Sig = ed25519.Sign(id.key, signedBytes(t, inner, s.appendHead(nil)))
	return s
}

// SignCancel is the payload of a signed CANCEL (SIG-13).
func (id Identity) SignCancel(p Cancel, nonce [16]byte, at time.Time) []byte {
	inner := p.Append(nil)
	return id.block(TypeCancel, inner, nonce, at).Append(inner)
}

// DecodeSignedCancel reads a CANCEL with or without a block.
func DecodeSignedCancel(b []byte) (Cancel, *Signed, error) {
	if len(b) == 0 {
		return Cancel{}, nil, nil
	}
	c := cursor{b: b}
	p := Cancel{Reason: c.varint(), Detail: c.str()}
	if c.bad || c.left() == 0 {
		return p, nil, check(&c, "CANCEL")
	}
	inner := b[:c.pos]
	block, head := parseBlock(&c)
	return p, &Signed{block, signedBytes(TypeCancel, inner, head)}, check(&c, "CANCEL")
}

// SignBinding is the payload of a channel binding (GAP-21): a block over the
// value that the TLS session exports.
func (id Identity) SignBinding(exporter []byte, nonce [16]byte, at time.Time) []byte {
	return id.block(TypeBinding, exporter, nonce, at).Append(nil)
}

// DecodeBinding reads one, to be checked against this end's exporter value.
func DecodeBinding(b, exporter []byte) (Signed, error) {
	c := cursor{b: b}
	block, head := parseBlock(&c)
	return Signed{block, signedBytes(TypeBinding, exporter, head)}, check(&c, "binding")
}
