package interop

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"aire-interop/aire"
	"aire-interop/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// rustPeer is the binary to test against. Without one these tests fail: a
// skipped test would read as a passed one.
func rustPeer(t *testing.T) string {
	t.Helper()
	bin := os.Getenv("AIRE_TWO_NODES")
	if bin == "" {
		t.Fatal("AIRE_TWO_NODES names no binary to test against: run `make interop`, which builds one and sets it")
	}
	return bin
}

func TestGoClientRustNode(t *testing.T) {
	n := harness.StartNode(t, rustPeer(t), "server")
	for _, minor := range []string{"2", "4", "9"} {
		t.Run("handshake of minor "+minor, func(t *testing.T) {
			r := harness.Call(t, harness.GoPeer, n, "echo/say", "x", "--minor", minor)
			_, hello, ok := strings.Cut(r.Err, "hello "+n.DID+" ")
			if !ok || r.Exit != 0 {
				t.Errorf("no HELLO of the DID that the node printed, or no answer: %v", r)
			}
			hello, _, _ = strings.Cut(hello, "\n")
			harness.Row(t, "%s", hello)
		})
	}
	harness.Served(t, harness.GoPeer, n)
	harness.UnknownAgentError(t, harness.GoPeer, n, "0x41")
	harness.Refuses(t, n)
	// Last: it ends the node.
	harness.StopsWithGrace(t, n)
}

func TestRustClientReferenceLikeNode(t *testing.T) {
	rust := rustPeer(t)
	n := harness.StartNode(t, harness.GoPeer, "node")
	t.Run("handshake", func(t *testing.T) { rustHandshake(t, rust, n) })
	harness.Served(t, rust, n)
	harness.UnknownAgentFIN(t, rust, n)
	t.Run("cancelled in the middle", func(t *testing.T) { rustCancels(t, rust, n) })
}

func TestRustClientNodeOfMinor4(t *testing.T) {
	rust := rustPeer(t)
	n := harness.StartNode(t, harness.GoPeer, "node", "--minor", "4")
	t.Run("handshake", func(t *testing.T) { rustHandshake(t, rust, n) })
	harness.Served(t, rust, n)
	harness.UnknownAgentError(t, rust, n, aire.AgentNotFound.String())
}

func rustHandshake(t *testing.T, rust string, n *harness.Node) {
	r := harness.Call(t, rust, n, "echo/say", "x")
	if r.Exit != 0 {
		t.Error(r)
	}
	if !strings.Contains(n.Err(), " hello did:") {
		t.Errorf("the node accepted no HELLO: %s", n.Err())
	}
	if strings.Contains(n.Err(), "refused ") {
		t.Errorf("the node found a fault: %s", n.Err())
	}
	_, hello, _ := strings.Cut(n.Err(), " hello ")
	hello, _, _ = strings.Cut(hello, "\n")
	_, hello, _ = strings.Cut(hello, " ")
	harness.Row(t, "%s", hello)
}

// rustCancels runs the Rust client's two streams, of which it cancels operation
// 4 after eight tokens of 40. Under minor 3 a cancellation is a stream reset.
func rustCancels(t *testing.T, rust string, n *harness.Node) {
	r := harness.Finish(t, harness.Start(t, rust, "client", "--connect", n.URI, "--pin", n.Pin))
	if r.Exit != 0 {
		t.Error(r)
	}
	for _, end := range []string{`END +op 4 +8 tokens`, `END +op 8 +20 tokens, complete\b`} {
		if !regexp.MustCompile(end).MatchString(r.Out) {
			t.Errorf("no %q: %v", end, r)
		}
	}
	if !n.Await(5*time.Second, func() bool { return strings.Contains(n.Err(), "fail op 4 ") }) {
		t.Errorf("the node did not stop operation 4, its log: %s", n.Err())
	}
	harness.Row(t, "operation 4 stops after 8 tokens of 40, 8 completes")
}

func TestRustClientTamperedNode(t *testing.T) {
	rust := rustPeer(t)
	harness.TamperedNodes(t, func(t *testing.T, n *harness.Node, code aire.Code) {
		r := harness.Call(t, rust, n, "echo/say", "x")
		if r.Exit != 4 || !strings.Contains(r.Err, code.String()) || r.Has("op ") {
			t.Errorf("want exit code 4, %v in the log, and no operation: %v", code, r)
		}
		// GAP-5: the code also closes the connection.
		closed := "closed " + code.Hex() + " "
		if !n.Await(5*time.Second, func() bool { return strings.Contains(n.Err(), closed) }) {
			t.Errorf("the node was not told %q, its log: %s", closed, n.Err())
		}
		harness.Row(t, "exit code 4 and close with %v (%s)", code, code.Hex())
	})
}

// The two tests below are of the protocol's second half: budgets, resumption,
// channel binding.

func TestSecondHalfGoClientRustNode(t *testing.T) {
	n := harness.StartNode(t, rustPeer(t), "server")
	harness.SecondHalfServed(t, n)
}

func TestSecondHalfRustClientGoNode(t *testing.T) {
	rust := rustPeer(t)
	harness.SecondHalfAsked(t, rust)
	harness.WrongBindings(t, func(t *testing.T, n *harness.Node) {
		r := harness.Call(t, rust, n, "echo/say", "x")
		code := aire.BadSignature
		if r.Exit != 4 || !strings.Contains(r.Err, code.String()) || r.Has("op ") {
			t.Errorf("want exit code 4, %v in the log, and no operation: %v", code, r)
		}
		closed := "closed " + code.Hex() + " "
		if !n.Await(5*time.Second, func() bool { return strings.Contains(n.Err(), closed) }) {
			t.Errorf("the node was not told %q, its log: %s", closed, n.Err())
		}
		harness.Row(t, "exit code 4 and close with %v (%s)", code, code.Hex())
	})
}
