package aire

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func codeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func TestVarintsAreShortestAndComeBack(t *testing.T) {
	for v, size := range map[uint64]int{
		0: 1, 63: 1, 64: 2, 16383: 2, 16384: 4, 1<<30 - 1: 4, 1 << 30: 8, MaxVarint: 8,
	} {
		b := AppendVarint(nil, v)
		c := cursor{b: b}
		if got := c.varint(); len(b) != size || got != v || !c.done() {
			t.Errorf("%d: % x came back as %d", v, b, got)
		}
		got, err := readVarint(bufio.NewReader(bytes.NewReader(b)))
		if err != nil || got != v {
			t.Errorf("%d: read as %d, %v", v, got, err)
		}
	}
}

func TestLongVarintsAreAccepted(t *testing.T) {
	// WIRE-6, in a frame header and inside a payload.
	raw := []byte{0x08, 0xff, 0xc0, 0, 0, 0, 0, 0, 0, 5, 0x40, 3, 0x40, 0x41, 0}
	f, err := ReadFrame(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil || f.OpID != 5 {
		t.Fatalf("%+v, %v", f, err)
	}
	p, err := DecodeFailure(f.Payload)
	if err != nil || p.Code != AgentNotFound {
		t.Fatalf("%+v, %v", p, err)
	}
}

func TestTheEndOfAStreamInsideAFrameIsMalformed(t *testing.T) {
	whole := Frame{Type: TypeStream, OpID: 4, Payload: []byte("abc")}.Append(nil)
	for n := range whole {
		_, err := ReadFrame(bufio.NewReader(bytes.NewReader(whole[:n])))
		if n == 0 && err != io.EOF || n > 0 && codeOf(err) != MalformedFrame {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	huge := AppendVarint([]byte{byte(TypeStream), 0, 4}, MaxPayload+1)
	if _, err := ReadFrame(bufio.NewReader(bytes.NewReader(huge))); codeOf(err) != FrameTooLarge {
		t.Errorf("huge: %v", err)
	}
}

func TestMalformedPayloadsAreRefused(t *testing.T) {
	_, notUTF8 := DecodeInvoke([]byte{1, 0xff, 0})
	_, short := DecodeInvoke([]byte{9, 'a'})
	_, noEntry := DecodeBudget([]byte{0})
	_, twice := DecodeBudget([]byte{2, 1, 1, 5, 1, 1, 6})
	_, slack := DecodeBudget([]byte{1, 1, 2, 5, 0})
	_, empty := ParseHello(nil)
	_, required := ParseHello([]byte{0, 1, 1, 'n', 1, 1, 'c', 1, 2})
	_, double := ParseHello([]byte{0, 1, 1, 'n', 2, 1, 'c', 1, 0, 1, 'c', 2, 0})
	for name, err := range map[string]error{
		"not UTF-8": notUTF8, "short": short, "no entry": noEntry, "field twice": twice,
		"slack in a field": slack, "empty HELLO": empty, "required byte": required,
		"capability twice": double,
	} {
		if codeOf(err) != MalformedFrame {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b, err := DecodeBudget([]byte{2, 0x77, 1, 0, 1, 1, 5}); err != nil || *b.Tokens != 5 {
		t.Errorf("an unknown budget field must be skipped: %v", err)
	}
	if c, err := DecodeCancel(nil); err != nil || c != (Cancel{}) {
		t.Errorf("an empty CANCEL is reason 0: %v", err)
	}
}

func TestDIDSyntax(t *testing.T) {
	for s, want := range map[string]bool{
		"did:key:z6Mk": true, "did:web:host%3A8443:seg": true, "did:a:b::c": true,
		"": false, "node1": false, "did:key:": false, "did:Key:z": false, "did::z": false,
		"did:web:a%3": false, "did:web:a/b": false, "did:web:a:": false,
	} {
		if validDID(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

func testHello(t *testing.T, seed byte) (Identity, Hello) {
	t.Helper()
	id := NewIdentity(bytes.Repeat([]byte{seed}, 32))
	return id, Hello{Minor: 2, NodeID: id.DID}
}

func nonce() (n [16]byte) {
	rand.Read(n[:])
	return n
}

func TestEachFaultOfAHelloHasItsCode(t *testing.T) {
	now := time.UnixMilli(1_781_568_000_000)
	cases := map[string]struct {
		change func(id Identity, h *Hello)
		local  Hello
		want   Code
	}{
		"sound":         {func(id Identity, h *Hello) { id.SignHello(h, nonce(), now) }, Hello{}, 0},
		"oldest":        {func(id Identity, h *Hello) { id.SignHello(h, nonce(), now.Add(-Window)) }, Hello{}, 0},
		"too old":       {func(id Identity, h *Hello) { id.SignHello(h, nonce(), now.Add(-Window-1e6)) }, Hello{}, StaleTimestamp},
		"too new":       {func(id Identity, h *Hello) { id.SignHello(h, nonce(), now.Add(Window+1e6)) }, Hello{}, StaleTimestamp},
		"unsigned":      {func(id Identity, h *Hello) {}, Hello{}, BadSignature},
		"unsigned v0.1": {func(id Identity, h *Hello) { h.Minor, h.NodeID = 1, "node1" }, Hello{}, BadSignature},
		"major":         {func(id Identity, h *Hello) { h.Major = 1; id.SignHello(h, nonce(), now) }, Hello{}, IncompatibleVersion},
		"no DID":        {func(id Identity, h *Hello) { h.NodeID = "x"; id.SignHello(h, nonce(), now) }, Hello{}, MalformedFrame},
		"other NodeID":  {func(id Identity, h *Hello) { h.NodeID += "x"; id.SignHello(h, nonce(), now) }, Hello{}, KeyMismatch},
		"other key": {func(id Identity, h *Hello) {
			_, other := testHello(t, 9)
			h.NodeID = other.NodeID
			id.VMID = DIDKeyMethod(other.NodeID)
			id.SignHello(h, nonce(), now)
		}, Hello{}, BadSignature},
		"other method": {func(id Identity, h *Hello) { id.VMID += "x"; id.SignHello(h, nonce(), now) }, Hello{}, UnresolvableDID},
		"did:example": {func(id Identity, h *Hello) {
			h.NodeID = "did:example:a"
			id.VMID = "did:example:a#k"
			id.SignHello(h, nonce(), now)
		}, Hello{}, UnresolvableDID},
		"algorithm": {func(id Identity, h *Hello) { id.SignHello(h, nonce(), now); h.Block.Alg = 2 }, Hello{}, BadSignature},
		"short signature": {func(id Identity, h *Hello) {
			id.SignHello(h, nonce(), now)
			h.Block.Sig = h.Block.Sig[:63]
		}, Hello{}, BadSignature},
		"they require": {func(id Identity, h *Hello) {
			h.Caps = []Capability{{"not a known name", 1, true}}
			id.SignHello(h, nonce(), now)
		}, Hello{}, MissingRequiredCapability},
		"we require": {func(id Identity, h *Hello) { id.SignHello(h, nonce(), now) },
			Hello{Caps: []Capability{{"x.y/1", 1, true}}}, MissingRequiredCapability},
	}
	for name, c := range cases {
		id, h := testHello(t, 1)
		c.change(id, &h)
		v := NewVerifier()
		v.Now = func() time.Time { return now }
		if _, err := v.Check(h.Append(nil), c.local); codeOf(err) != c.want || (err == nil) != (c.want == 0) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBytesAfterTheBlockAreCounted(t *testing.T) {
	id, h := testHello(t, 1)
	id.SignHello(&h, nonce(), time.Now())
	got, err := NewVerifier().Check(append(h.Append(nil), 1, 2, 3), Hello{})
	if err != nil || got.Extra != 3 {
		t.Errorf("%d, %v", got.Extra, err)
	}
	// Part of a block is no block at all.
	whole := h.Append(nil)
	for n := len(h.AppendInner(nil)) + 1; n < len(whole); n++ {
		if _, err := ParseHello(whole[:n]); codeOf(err) != MalformedFrame {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

func TestAReplayedNonceIsRefused(t *testing.T) {
	now := time.Now()
	v := NewVerifier()
	v.Now = func() time.Time { return now }
	id, h := testHello(t, 1)
	n := nonce()
	id.SignHello(&h, n, now.Add(Window))
	payload := h.Append(nil)
	if _, err := v.Check(payload, Hello{}); err != nil {
		t.Fatal(err)
	}
	// Stamped a whole window ahead, it is still fresh two windows later.
	now = now.Add(2*Window - time.Second)
	if _, err := v.Check(payload, Hello{}); codeOf(err) != ReplayedNonce {
		t.Errorf("replay: %v", err)
	}
	other, o := testHello(t, 2)
	other.SignHello(&o, n, now)
	if _, err := v.Check(o.Append(nil), Hello{}); err != nil {
		t.Errorf("another DID may use the same nonce: %v", err)
	}
	// A HELLO that does not verify leaves no trace in the cache (GAP-9).
	third, h3 := testHello(t, 3)
	third.SignHello(&h3, nonce(), now)
	h3.Block.Sig[0] ^= 1
	v.Check(h3.Append(nil), Hello{})
	h3.Block.Sig[0] ^= 1
	if _, err := v.Check(h3.Append(nil), Hello{}); err != nil {
		t.Errorf("after a forged attempt: %v", err)
	}
}

func TestTheReplayCacheIsBounded(t *testing.T) {
	r, now := NewReplayCache(), time.Now()
	for i := range maxNoncesPerDID {
		if !r.Add("did:x:a", [16]byte{byte(i), byte(i >> 8)}, now, now) {
			t.Fatal(i)
		}
	}
	if r.Add("did:x:a", nonce(), now, now) {
		t.Error("past the bound of a DID")
	}
	if !r.Add("did:x:a", nonce(), now.Add(Window+1), now.Add(Window+1)) {
		t.Error("old nonces must make room")
	}
}

func TestDIDKeysComeBack(t *testing.T) {
	for i := range 50 {
		id := NewIdentity(bytes.Repeat([]byte{byte(i)}, 32))
		pub, err := ParseDIDKey(id.DID)
		if err != nil || DIDKey(pub) != id.DID || !strings.HasPrefix(id.DID, "did:key:z6Mk") {
			t.Fatalf("%s: %v", id.DID, err)
		}
	}
	b := []byte{0, 0, 1, 2}
	if got, err := base58Decode(base58Encode(b)); err != nil || !bytes.Equal(got, b) {
		t.Errorf("%x, %v", got, err)
	}
	for _, s := range []string{"did:web:a", "did:key:z0", "did:key:zabc", "did:key:6Mk", "did:key:z" + strings.Repeat("2", 300)} {
		if _, err := ParseDIDKey(s); err == nil {
			t.Errorf("%s accepted", s)
		}
	}
}
