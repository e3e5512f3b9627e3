package harness

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"aire-interop/aire"
)

// Row prints one line of the result table.
func Row(t *testing.T, format string, args ...any) {
	t.Helper()
	result := "ok  "
	if t.Failed() {
		result = "FAIL"
	}
	t.Logf("%s  %-58s %s", result, t.Name(), fmt.Sprintf(format, args...))
}

func want(t *testing.T, r Result, id string, lines ...Line) {
	t.Helper()
	for i := range lines {
		lines[i].ID = id
	}
	if got := r.Op(id); !reflect.DeepEqual(got, lines) {
		t.Errorf("operation %s gave %.300v", id, got)
	}
}

func wantExit(t *testing.T, r Result, code int) {
	t.Helper()
	if r.Exit != code {
		t.Errorf("exit code %d, want %d", r.Exit, code)
	}
	if t.Failed() {
		t.Log(r)
	}
}

func tokens(n int) (lines []Line) {
	for i := range n {
		lines = append(lines, Line{Kind: "stream", Text: fmt.Sprintf("token-%d", i+1)})
	}
	return append(lines, Line{Kind: "end"})
}

// Served checks that a client of one implementation is served by a node of the
// other. More flags go to every call.
func Served(t *testing.T, client string, n *Node, more ...string) {
	call := func(t *testing.T, invoke, args string, flags ...string) Result {
		return Call(t, client, n, invoke, args, append(slices.Clone(more), flags...)...)
	}
	t.Run("echo", func(t *testing.T) {
		r := call(t, "echo/say", "hello there")
		want(t, r, "4", Line{Kind: "stream", Text: "hello there"}, Line{Kind: "end"})
		wantExit(t, r, 0)
		Row(t, "operation 4, one STREAM, FIN")
	})
	t.Run("empty argument", func(t *testing.T) {
		r := call(t, "echo/say", "")
		want(t, r, "4", Line{Kind: "stream"}, Line{Kind: "end"})
		wantExit(t, r, 0)
		Row(t, "one empty STREAM, FIN")
	})
	t.Run("streamed answer", func(t *testing.T) {
		r := call(t, "stream/tokens", "5 10")
		want(t, r, "4", tokens(5)...)
		wantExit(t, r, 0)
		Row(t, "token-1 to token-5 in order, FIN")
	})
	t.Run("parallel operations", func(t *testing.T) {
		r := call(t, "stream/tokens", "8 5", "--parallel", "4")
		for _, id := range []string{"4", "8", "12", "16"} {
			want(t, r, id, tokens(8)...)
		}
		wantExit(t, r, 0)
		Row(t, "operations 4, 8, 12, 16, each whole and in order")
	})
	for _, c := range []struct {
		name string
		size int
	}{
		// WIRE-12: agent, operation and their lengths take ten bytes.
		{"INVOKE payload of 65536 bytes", 65536 - 10},
		{"argument of 65536 bytes", 65536},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := strings.Repeat("0123456789abcdef", c.size/16+1)[:c.size]
			r := call(t, "echo/echo", args)
			want(t, r, "4", Line{Kind: "stream", Text: args}, Line{Kind: "end"})
			wantExit(t, r, 0)
			Row(t, "echo of %d bytes", c.size)
		})
	}
}

// UnknownAgentError checks that a node that says so answers an unknown agent
// with ERROR. The client prints the code as shown.
func UnknownAgentError(t *testing.T, client string, n *Node, shown string) {
	t.Run("unknown agent", func(t *testing.T) {
		r := Call(t, client, n, "nobody/say", "x")
		ops := r.Op("4")
		if len(ops) == 0 || ops[0].Kind != "error" || !strings.HasPrefix(ops[0].Text+" ", shown+" ") {
			t.Errorf("operation 4 gave %v", ops)
		}
		wantExit(t, r, 3)
		Row(t, "ERROR AGENT_NOT_FOUND (0x41)")
	})
}

// UnknownAgentFIN checks that a client takes a bare FIN for a complete answer,
// which is how the reference ends such an operation (GAP-4).
func UnknownAgentFIN(t *testing.T, client string, n *Node) {
	t.Run("unknown agent", func(t *testing.T) {
		r := Call(t, client, n, "nobody/say", "x")
		want(t, r, "4", Line{Kind: "end"})
		wantExit(t, r, 0)
		Row(t, "FIN without a frame is a clean end")
	})
}

// refusals is what a Go client can do wrong, and the code for it.
var refusals = []struct {
	name string
	code aire.Code
	args []string
}{
	{"tampered signature", aire.BadSignature, []string{"--tamper", "signature"}},
	{"tampered nonce", aire.BadSignature, []string{"--tamper", "nonce"}},
	{"tampered NodeID", aire.KeyMismatch, []string{"--tamper", "nodeid"}},
	{"stale timestamp", aire.StaleTimestamp, []string{"--tamper", "timestamp"}},
	{"replayed HELLO", aire.ReplayedNonce, []string{"--replay-hello"}},
	{"unsigned HELLO of minor 1", aire.BadSignature, []string{"--minor", "1"}},
	{"second HELLO", aire.ProtocolViolation, []string{"--double-hello"}},
	{"frame of type 0x02", aire.ProtocolViolation, []string{"--hello-type2"}},
}

// Refuses checks that a node tells a faulty Go client why, and closes with the
// same code (GAP-5).
func Refuses(t *testing.T, n *Node) {
	for _, c := range refusals {
		t.Run("refuses "+c.name, func(t *testing.T) {
			r := Call(t, GoPeer, n, "echo/say", "x", c.args...)
			code := c.code.Hex()
			if !strings.Contains(r.Err, "hello "+n.DID) {
				t.Error("the node's own HELLO was not read first (HS-2)")
			}
			ops := r.Op("0")
			if len(ops) != 1 || ops[0].Kind != "error" || !strings.HasPrefix(ops[0].Text+" ", code+" ") {
				t.Errorf("no ERROR %s on the control stream, but %v", code, ops)
				if strings.Contains(r.Err, " unread bytes ") {
					t.Error("the log counts bytes that came too late to be read: quic-go drops them " +
						"when CONNECTION_CLOSE comes, so the node should close a moment later")
				}
			}
			if !r.Has("closed " + code + " ") {
				t.Errorf("the connection was not closed with code %s", code)
			}
			// A fault in HELLO itself lets no operation through (HS-9).
			if c.code != aire.ProtocolViolation && len(r.Op("4")) > 0 {
				t.Errorf("operation 4 was served: %v", r.Op("4"))
			}
			wantExit(t, r, 4)
			Row(t, "ERROR and close with %v (%s)", c.code, code)
		})
	}
}

// RefusesLikeReference checks the reference's way: code 0 and a text.
func RefusesLikeReference(t *testing.T, n *Node) {
	for _, c := range refusals {
		if c.code == aire.ProtocolViolation {
			continue // it never looks at the control stream again
		}
		t.Run("refuses "+c.name, func(t *testing.T) {
			r := Call(t, GoPeer, n, "echo/say", "x", c.args...)
			if !r.Has("closed 0x00 " + c.code.String()) {
				t.Error("not closed with code 0 and the reason")
			}
			if len(r.Ops) > 0 {
				t.Errorf("frames came: %v", r.Ops)
			}
			wantExit(t, r, 4)
			Row(t, "closes with code 0, text %v", c.code)
		})
	}
}

// TamperedNodes runs check against a Go node for each fault of its HELLO.
func TamperedNodes(t *testing.T, check func(t *testing.T, n *Node, code aire.Code)) {
	for _, c := range []struct {
		tamper string
		code   aire.Code
	}{
		{"signature", aire.BadSignature},
		{"nonce", aire.BadSignature},
		{"nodeid", aire.KeyMismatch},
		{"timestamp", aire.StaleTimestamp},
	} {
		t.Run("tampered "+c.tamper, func(t *testing.T) {
			check(t, StartNode(t, GoPeer, "node", "--tamper", c.tamper), c.code)
		})
	}
}

// StopsWithGrace checks that SIGTERM reaches an idle client as GOODBYE or as a
// close with code 0, and that the node then ends well.
func StopsWithGrace(t *testing.T, n *Node) {
	t.Run("graceful stop", func(t *testing.T) {
		client := StartClient(t, GoPeer, n, "echo/say", "x", "--linger", "20s")
		if !client.Await(startTimeout, func() bool { return strings.Contains(client.Out(), "op 4 end\n") }) {
			t.Errorf("the operation did not end: %s", client.Err())
		}
		start := time.Now()
		if code := n.Terminate(t); code != 0 {
			t.Errorf("the node's exit code is %d; its log: %s", code, n.Err())
		}
		took := time.Since(start).Round(time.Millisecond)
		r := Finish(t, client)
		goodbye, clean := r.Has("goodbye\n"), r.Has("closed 0x00 ")
		if !goodbye && !clean {
			t.Error("neither GOODBYE nor a close with code 0")
		}
		wantExit(t, r, 0)
		Row(t, "GOODBYE %v, close with code 0 %v, after %v", goodbye, clean, took)
	})
}
