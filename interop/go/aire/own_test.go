package aire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// ownClock is the receiver's clock of the project's own vectors.
const ownClock = 1_781_568_000_000

// loadOwn reads one file of the project's own vectors, which were made by yet
// another encoder; AIRE_OWN_VECTORS names another folder.
func loadOwn[V any](t *testing.T, set string) []V {
	t.Helper()
	dir := os.Getenv("AIRE_OWN_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "vectors", "own")
	}
	raw, err := os.ReadFile(filepath.Join(dir, set+".json"))
	if err != nil {
		t.Fatalf("the project's vectors are missing: %v", err)
	}
	var file struct {
		Set     string
		Vectors []V
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if file.Set != set || len(file.Vectors) == 0 {
		t.Fatalf("%s.json holds %d vectors of %q", set, len(file.Vectors), file.Set)
	}
	return file.Vectors
}

// onlyFrame reads the one frame that the hex holds.
func onlyFrame(t *testing.T, s string) Frame {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(unhex(t, s)))
	f, err := ReadFrame(r)
	if err != nil || r.Buffered() > 0 {
		t.Fatalf("no frame, or more than one: %v", err)
	}
	return f
}

func ownVerifier() *Verifier {
	v := NewVerifier()
	v.Now = func() time.Time { return time.UnixMilli(ownClock) }
	return v
}

func TestEveryBindingIsGoodOrBadAsItSays(t *testing.T) {
	good := 0
	for _, v := range loadOwn[struct {
		ID       string
		Encoded  string `json:"encoded_hex"`
		Exporter string `json:"exporter_hex"`
		DID      string `json:"peer_did"`
		Seed     string `json:"peer_seed_hex"`
		Code     string
		Signed   string `json:"signed_message_hex"`
		Inputs   *struct {
			Nonce     string `json:"nonce_hex"`
			Timestamp int64  `json:"timestamp_ms"`
		}
	}](t, "channel-binding") {
		f := onlyFrame(t, v.Encoded)
		exporter := unhex(t, v.Exporter)
		if f.Type != TypeBinding || f.OpID != 0 {
			t.Errorf("%s: type %#x of operation %d", v.ID, byte(f.Type), f.OpID)
		}
		s, err := DecodeBinding(f.Payload, exporter)
		if err == nil {
			err = ownVerifier().CheckSigned(v.DID, s)
		}
		if (err == nil) != (v.Code == "") {
			t.Errorf("%s: %v, want %q", v.ID, err, v.Code)
		}
		if v.Inputs == nil {
			continue
		}
		good++
		if got := hex.EncodeToString(s.message); got != v.Signed {
			t.Errorf("%s: signed %s", v.ID, got)
		}
		// Shortest varints, and nothing behind: what this peer sends, too.
		id, at := NewIdentity(unhex(t, v.Seed)), time.UnixMilli(v.Inputs.Timestamp)
		made := id.SignBinding(exporter, [16]byte(unhex(t, v.Inputs.Nonce)), at)
		if !bytes.Equal(made, f.Payload) && v.ID != "binding-varints-in-8" && v.ID != "binding-trailing" {
			t.Errorf("%s: made %x", v.ID, made)
		}
	}
	if good == 0 {
		t.Error("no good one among them")
	}
}

func TestEveryPathIsReadOrRefusedAsItSays(t *testing.T) {
	for _, v := range loadOwn[struct {
		ID        string
		Encoded   string `json:"encoded_hex"`
		Hops      Path
		Canonical bool
		Refused   string
	}](t, "delegation-paths") {
		f := onlyFrame(t, v.Encoded)
		p, err := DecodePath(f.Payload)
		if f.Type != TypePath || (err == nil) != (v.Refused == "") || v.Refused == "" && len(p) != len(v.Hops) {
			t.Errorf("%s: %v, %v", v.ID, p, err)
			continue
		}
		for i, hop := range v.Hops {
			if p[i] != hop {
				t.Errorf("%s: hop %d is %v", v.ID, i, p[i])
			}
		}
		if v.Canonical && !bytes.Equal(p.Append(nil), f.Payload) {
			t.Errorf("%s: encoded %x", v.ID, p.Append(nil))
		}
	}
}

// ownFrame is what all frame vectors and malformed ones have.
type ownFrame struct {
	ID, Kind  string
	On, Code  string
	Encoded   string `json:"encoded_hex"`
	Canonical bool
	Decoded   json.RawMessage
}

func TestBudgetsSpendingReportedOrNot(t *testing.T) {
	reports := 0
	for _, v := range loadOwn[ownFrame](t, "operations") {
		if v.Encoded == "" || onlyFrame(t, v.Encoded).Type != TypeBudget {
			continue
		}
		f := onlyFrame(t, v.Encoded)
		b, err := DecodeBudget(f.Payload)
		if err != nil {
			t.Errorf("%s: %v", v.ID, err)
		}
		var want struct {
			Spent json.Number `json:"tokens_spent"`
			Cost  json.Number `json:"cost_microunits_spent"`
		}
		// Numbers past 2^53 are strings, which json.Number takes as well.
		if err := json.Unmarshal(v.Decoded, &want); err != nil {
			t.Fatal(err)
		}
		for name, pair := range map[string]struct {
			got  *uint64
			want json.Number
		}{"tokens": {b.TokensSpent, want.Spent}, "cost": {b.CostSpent, want.Cost}} {
			if (pair.got == nil) != (pair.want == "") {
				t.Errorf("%s: %s spent %v, want %q", v.ID, name, pair.got, pair.want)
			} else if pair.got != nil {
				if n, err := pair.want.Int64(); err != nil || uint64(n) != *pair.got {
					t.Errorf("%s: %s spent %d, want %s", v.ID, name, *pair.got, pair.want)
				}
			}
		}
		if b.IsReport() {
			reports++
		}
		if v.Canonical && !bytes.Equal(b.Append(nil), f.Payload) {
			t.Errorf("%s: encoded %x", v.ID, b.Append(nil))
		}
	}
	if reports < 20 {
		t.Errorf("%d reports", reports)
	}
}

func TestMalformedBudgetsAndSignedCancelsHaveTheirCode(t *testing.T) {
	// Whose HELLO came before them.
	seed := bytes.Repeat([]byte{77}, 32)
	did := NewIdentity(seed).DID
	budgets, cancels := 0, 0
	for _, v := range loadOwn[ownFrame](t, "bad-operations") {
		if v.Code == ProtocolViolation.String() || v.On == "operation" || v.Code == FrameTooLarge.String() {
			continue
		}
		f, err := ReadFrame(bufio.NewReader(bytes.NewReader(unhex(t, v.Encoded))))
		if err != nil {
			continue // it ends inside a frame
		}
		switch f.Type {
		case TypeBudget:
			budgets++
			_, err = DecodeBudget(f.Payload)
		case TypeCancel:
			cancels++
			var s *Signed
			if _, s, err = DecodeSignedCancel(f.Payload); err == nil {
				err = ownVerifier().CheckSigned(did, *s)
			}
		case TypeDelegate:
			_, err = DecodeDelegate(f.Payload)
		default:
			continue
		}
		if err == nil || codeOf(err).String() != v.Code {
			t.Errorf("%s: %v, want %s", v.ID, err, v.Code)
		}
	}
	if budgets < 50 || cancels < 25 {
		t.Errorf("%d budgets and %d cancels", budgets, cancels)
	}
}
