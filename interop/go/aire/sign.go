package aire

import (
	"crypto/ed25519"
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
	s := Block{Alg: AlgEd25519, VMID: id.VMID, Nonce: nonce, Timestamp: at.UnixMilli()}
	s.Sig = ed25519.Sign(id.key, signedBytes(TypeHello, h.AppendInner(nil), s.appendHead(nil)))
	h.Block = &s
}
