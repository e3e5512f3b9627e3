package aire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

type vectorFile struct {
	Version string
	Vectors []vector
}

type vector struct {
	ID      string
	Encoded string `json:"encoded_hex"`
	Frame   *struct {
		Type    byte
		Flags   byte
		OpID    uint64 `json:"op_id"`
		Payload string `json:"payload_hex"`
	}
	Decoded json.RawMessage

	Inputs *struct {
		Seed      string `json:"seed_hex"`
		PublicKey string `json:"public_key_hex"`
		DID       string
		VMID      string `json:"verification_method_id"`
		Nonce     string `json:"nonce_hex"`
		Timestamp int64  `json:"timestamp_ms"`
	}
	Inner     string `json:"inner_payload_hex"`
	Signature string `json:"signature_hex"`
	Domain    string `json:"domain_separator_hex"`
	Signed    string `json:"signed_message_hex"`
}

// loadVectors reads the published vectors; AIRE_VECTORS names another folder.
func loadVectors(t *testing.T, version string) []vector {
	t.Helper()
	dir := os.Getenv("AIRE_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "vectors", "upstream")
	}
	raw, err := os.ReadFile(filepath.Join(dir, version+".json"))
	if err != nil {
		t.Fatalf("the published vectors are missing: %v", err)
	}
	var file vectorFile
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if file.Version != version || len(file.Vectors) == 0 {
		t.Fatalf("%s.json holds %d vectors of %q", version, len(file.Vectors), file.Version)
	}
	return file.Vectors
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEveryPublishedFrameRoundTrips(t *testing.T) {
	for _, version := range []string{"v0.1", "v0.2", "v0.3", "v0.4"} {
		for _, v := range loadVectors(t, version) {
			t.Run(version+"/"+v.ID, func(t *testing.T) {
				encoded := unhex(t, v.Encoded)
				r := bufio.NewReader(bytes.NewReader(encoded))
				f, err := ReadFrame(r)
				if err != nil {
					t.Fatal(err)
				}
				if r.Buffered() != 0 {
					t.Errorf("%d bytes left", r.Buffered())
				}
				if v.Frame != nil {
					want := Frame{Type(v.Frame.Type), v.Frame.Flags, v.Frame.OpID, unhex(t, v.Frame.Payload)}
					if !reflect.DeepEqual(f, want) {
						t.Errorf("decoded %+v, want %+v", f, want)
					}
					f = want
				}
				if got := f.Append(nil); !bytes.Equal(got, encoded) {
					t.Errorf("encoded %x", got)
				}
				if v.Decoded != nil {
					payloadRoundTrips(t, f, v.Decoded)
				}
			})
		}
	}
}

// payloadRoundTrips compares with the vector's own description of the payload,
// and encodes from that description, not from what the decoder gave.
func payloadRoundTrips(t *testing.T, f Frame, decoded json.RawMessage) {
	var d struct {
		Reason     uint64
		Detail     string
		Tokens     *uint64 `json:"tokens_remaining"`
		Cost       *uint64 `json:"cost_microunits_remaining"`
		Currency   string
		DeadlineMS *int64 `json:"deadline_ms"`
		TTLSecs    uint64 `json:"ttl_secs"`
		Token      string `json:"token_hex"`
		LastSeq    uint64 `json:"last_seq"`
		LastRecv   uint64 `json:"last_recv"`
	}
	if err := json.Unmarshal(decoded, &d); err != nil {
		t.Fatal(err)
	}
	token := unhex(t, d.Token)
	var got, want any
	var err error
	var encoded []byte
	switch f.Type {
	case TypeCancel:
		w := Cancel{d.Reason, d.Detail}
		got, err = DecodeCancel(f.Payload)
		want, encoded = w, w.Append(nil)
	case TypeBudget:
		w := Budget{Tokens: d.Tokens, Cost: d.Cost, Currency: d.Currency, DeadlineMS: d.DeadlineMS}
		got, err = DecodeBudget(f.Payload)
		want, encoded = w, w.Append(nil)
	case TypeResumable:
		w := Resumable{d.TTLSecs, token, d.LastSeq}
		got, err = DecodeResumable(f.Payload)
		want, encoded = w, w.Append(nil)
	case TypeResume:
		w := Resume{token, d.LastRecv}
		got, err = DecodeResume(f.Payload)
		want, encoded = w, w.Append(nil)
	default:
		t.Fatalf("no decoder for type %#x", f.Type)
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("decoded %+v, %v, want %+v", got, err, want)
	}
	if !bytes.Equal(encoded, f.Payload) {
		t.Errorf("encoded %x, want %x", encoded, f.Payload)
	}
}

func TestThePublishedHelloWithCapabilityParses(t *testing.T) {
	for _, v := range loadVectors(t, "v0.1") {
		if v.ID != "hello-with-capability" {
			continue
		}
		payload := unhex(t, v.Frame.Payload)
		h, err := ParseHello(payload)
		want := Hello{Minor: 1, NodeID: "node1", Caps: []Capability{{"core.streaming", 1, true}}}
		if err != nil || !reflect.DeepEqual(h.Hello, want) {
			t.Errorf("parsed %+v, %v", h.Hello, err)
		}
		if got := want.Append(nil); !bytes.Equal(got, payload) {
			t.Errorf("encoded %x", got)
		}
		return
	}
	t.Fatal("vector not found")
}

func TestThePublishedSignedHello(t *testing.T) {
	v := loadVectors(t, "v0.2")[0]
	in := v.Inputs
	id := NewIdentity(unhex(t, in.Seed))
	if id.DID != in.DID || id.VMID != in.VMID {
		t.Fatalf("identity %s, %s", id.DID, id.VMID)
	}
	pub, err := ParseDIDKey(in.DID)
	if err != nil || !bytes.Equal(pub, unhex(t, in.PublicKey)) {
		t.Fatalf("key %x, %v", pub, err)
	}

	h := Hello{Minor: 2, NodeID: in.DID, Caps: []Capability{{"aire.did-method.key/1", 1, true}}}
	if got := hex.EncodeToString(h.AppendInner(nil)); got != v.Inner {
		t.Errorf("inner payload %s", got)
	}
	if got := hex.EncodeToString(signedBytes(TypeHello, nil, nil)); got != v.Domain {
		t.Errorf("domain separator %s", got)
	}
	id.SignHello(&h, [16]byte(unhex(t, in.Nonce)), time.UnixMilli(in.Timestamp))
	if got := hex.EncodeToString(h.Block.Sig); got != v.Signature {
		t.Errorf("signature %s", got)
	}
	payload := h.Append(nil)
	if got := hex.EncodeToString(Frame{Type: TypeHello, Payload: payload}.Append(nil)); got != v.Encoded {
		t.Errorf("encoded %s", got)
	}
	parsed, err := ParseHello(payload)
	if err != nil || hex.EncodeToString(parsed.signed) != v.Signed {
		t.Errorf("signed message %x, %v", parsed.signed, err)
	}

	local := Hello{Caps: []Capability{{"aire.did-method.key/1", 1, false}}}
	at := func() *Verifier {
		v := NewVerifier()
		v.Now = func() time.Time { return time.UnixMilli(in.Timestamp) }
		return v
	}
	if _, err := at().Check(payload, local); err != nil {
		t.Fatal(err)
	}
	// SIG-12: the signed region ends where SigLen (two bytes here) begins, and
	// a changed signature must not verify either.
	for i := range payload {
		if n := len(payload) - 64; i >= n-2 && i < n {
			continue
		}
		for bit := range 8 {
			bad := bytes.Clone(payload)
			bad[i] ^= 1 << bit
			if _, err := at().Check(bad, local); err == nil {
				t.Fatalf("accepted with bit %d of byte %d flipped", bit, i)
			}
		}
	}
}
