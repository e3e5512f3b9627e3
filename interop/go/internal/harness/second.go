package harness

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aire-interop/aire"
)

// Checks of what the second half of the protocol adds: budgets, resumption,
// channel binding, signed CANCEL, delegation.

// SecondHalfCaps make a Go node or client take part in all of it.
var SecondHalfCaps = []string{"--minor", "4", "--caps", "resumable,binding,delegation"}

// story is what a client printed of its operations, in order, a word or two
// for each line.
func story(r Result) (told []string) {
	for line := range strings.Lines(r.Out) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 4 && f[0] == "op" && f[2] == "stream":
			told = append(told, f[3])
		case len(f) >= 4 && f[0] == "op" && f[2] == "error":
			told = append(told, "error "+f[3])
		case len(f) == 3 && f[0] == "op" && f[2] == "end":
			told = append(told, "end")
		case len(f) == 5 && f[0] == "resume":
			told = append(told, "resume "+f[4])
		case len(f) == 7 && f[0] == "report":
			told = append(told, "report "+f[6])
		}
	}
	return told
}

// without leaves out what begins with a prefix.
func without(told []string, prefix string) []string {
	return slices.DeleteFunc(told, func(s string) bool { return strings.HasPrefix(s, prefix) })
}

// count says how many tokens the story begins with, which must be in order.
func count(told []string) int {
	for i, s := range told {
		if s != fmt.Sprintf("token-%d", i+1) {
			return i
		}
	}
	return len(told)
}

// told builds a story: an int pair is a range of tokens.
func told(parts ...any) (s []string) {
	for _, p := range parts {
		switch p := p.(type) {
		case [2]int:
			for i := p[0]; i <= p[1]; i++ {
				s = append(s, fmt.Sprintf("token-%d", i))
			}
		case aire.Code:
			s = append(s, "error "+p.Hex(), "end")
		default:
			s = append(s, fmt.Sprint(p))
		}
	}
	return s
}

func wantStory(t *testing.T, r Result, exit int, want []string) {
	t.Helper()
	if got := without(story(r), "report"); !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	if r.Has("closed ") {
		t.Error("the node closed a connection")
	}
	wantExit(t, r, exit)
}

// callSecond runs the Go client with everything on.
func callSecond(t *testing.T, n *Node, invoke, args, plan string, more ...string) Result {
	t.Helper()
	more = append(append(slices.Clone(SecondHalfCaps), "--plan", plan), more...)
	return Call(t, GoPeer, n, invoke, args, more...)
}

// SecondHalfServed checks a node with a Go client.
func SecondHalfServed(t *testing.T, n *Node) {
	t.Run("budgets", func(t *testing.T) { budgetsKept(t, n) })
	t.Run("signed cancel", func(t *testing.T) { signedCancels(t, n) })
	t.Run("resumption", func(t *testing.T) { resumed(t, n) })
	t.Run("resumption refused", func(t *testing.T) { resumesRefused(t, n) })
	t.Run("channel binding", func(t *testing.T) { bindingsChecked(t, n) })
	t.Run("path before INVOKE", func(t *testing.T) {
		r := callSecond(t, n, "echo/say", "x", "", "--path", "did:web:root.example/planner")
		wantStory(t, r, 0, []string{"x", "end"})
		Row(t, "served as without")
	})
}

// spentAtFirst reads how far a budget of three went. BUDGET follows INVOKE, so
// a node may have sent a token before it knows of the budget, which counts from
// its arrival (BUD-5).
func spentAtFirst(t *testing.T, got []string) int {
	t.Helper()
	n := count(got)
	if n < 3 || n > 4 {
		t.Errorf("%d tokens on a budget of 3: %v", n, got)
	} else if len(got) <= n || got[n] != fmt.Sprintf("report %d", n) {
		t.Errorf("no report of %d spent tokens: %v", n, got)
	}
	return n
}

func budgetsKept(t *testing.T, n *Node) {
	parallel(t, "stops", func(t *testing.T) {
		r := callSecond(t, n, "stream/tokens", "10 20", "0:budget tokens=3")
		spent := spentAtFirst(t, story(r))
		wantStory(t, r, 3, told([2]int{1, spent}, aire.BudgetExceeded))
		Row(t, "BUDGET_EXCEEDED after %d tokens", spent)
	})
	parallel(t, "topped up in time", func(t *testing.T) {
		r := callSecond(t, n, "stream/tokens", "10 20",
			"0:budget tokens=3; report+300ms:budget tokens=2; report+300ms:budget tokens=50")
		got := story(r)
		spent := spentAtFirst(t, got)
		// The second snapshot finds the node at rest: it is exact.
		want := told([2]int{1, spent}, fmt.Sprintf("report %d", spent), [2]int{spent + 1, spent + 2},
			fmt.Sprintf("report %d", spent+2), [2]int{spent + 3, 10}, "end")
		if !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
		wantExit(t, r, 0)
		Row(t, "%d tokens, 2 more, and the rest", spent)
	})
	parallel(t, "lowered to nothing", func(t *testing.T) {
		r := callSecond(t, n, "stream/tokens", "40 50", "0:budget tokens=50; 4:budget tokens=0")
		spent := count(without(story(r), "report"))
		if spent < 4 || spent > 10 {
			t.Errorf("%d tokens", spent)
		}
		wantStory(t, r, 3, told([2]int{1, spent}, aire.BudgetExceeded))
		Row(t, "BUDGET_EXCEEDED after %d tokens", spent)
	})
	parallel(t, "deadline", func(t *testing.T) {
		start := time.Now()
		r := callSecond(t, n, "stream/tokens", "200 50", "", "--deadline", "500ms")
		spent := count(story(r))
		if spent < 1 || spent > 30 || time.Since(start) > 8*time.Second {
			t.Errorf("%d tokens in %v", spent, time.Since(start))
		}
		wantStory(t, r, 3, told([2]int{1, spent}, aire.DeadlineExceeded))
		Row(t, "DEADLINE_EXCEEDED after %d tokens", spent)
	})
	parallel(t, "deadline already over", func(t *testing.T) {
		r := callSecond(t, n, "stream/tokens", "50 100", "0:budget deadline=-1s")
		spent := count(story(r))
		if spent > 1 {
			t.Errorf("%d tokens", spent)
		}
		wantStory(t, r, 3, told([2]int{1, spent}, aire.DeadlineExceeded))
		Row(t, "DEADLINE_EXCEEDED at once")
	})
	for name, frame := range map[string]string{
		"duplicate field": "6 02010105010106", "zero entries": "6 00",
		"token count of nine bytes": "6 010109c000000000000005ff", "two-letter currency": "6 0103025553",
		"CANCEL that is not UTF-8": "5 000180",
	} {
		parallel(t, name, func(t *testing.T) {
			r := callSecond(t, n, "stream/tokens", "50 50", "2:frame "+frame)
			seen := count(story(r))
			if seen > 20 {
				t.Errorf("%d tokens", seen)
			}
			wantStory(t, r, 3, told([2]int{1, seen}, aire.MalformedFrame))
			Row(t, "MALFORMED_FRAME for the operation alone")
		})
	}
}

func parallel(t *testing.T, name string, check func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		check(t)
	})
}

func signedCancels(t *testing.T, n *Node) {
	for how, code := range map[string]aire.Code{
		"plain": aire.Cancelled, "signed": aire.Cancelled,
		"tampered": aire.BadSignature, "foreign": aire.KeyMismatch,
	} {
		parallel(t, how, func(t *testing.T) {
			r := callSecond(t, n, "stream/tokens", "100 50", "3:cancel "+how)
			seen := count(story(r))
			if seen < 3 || seen > 30 {
				t.Errorf("%d tokens", seen)
			}
			wantStory(t, r, 3, told([2]int{1, seen}, code))
			Row(t, "%v for the operation alone", code)
		})
	}
}

func resumed(t *testing.T, n *Node) {
	whole := told([2]int{1, 3}, "resume 4", [2]int{4, 12}, "end")
	for _, c := range []struct {
		name, args, plan string
		want             []string
	}{
		{"after a close", "12 30", "3:lose close", whole},
		{"after silence", "12 30", "3:lose silence", whole},
		{"twice over", "12 30", "3:lose close; 6:lose silence",
			told([2]int{1, 3}, "resume 4", [2]int{4, 6}, "resume 7", [2]int{7, 12}, "end")},
		{"from the beginning", "12 30", "3:lose close last=0",
			told([2]int{1, 3}, "resume 1", [2]int{1, 12}, "end")},
		{"when it has ended", "3 5", "end:again", told([2]int{1, 3}, "end", "resume 4", "end")},
		{"with a new budget", "10 30", "0:budget tokens=3; 3:lose close; 3+200ms:budget tokens=50",
			told([2]int{1, 3}, "resume 4", [2]int{4, 10}, "end")},
	} {
		parallel(t, c.name, func(t *testing.T) {
			r := callSecond(t, n, "stream/tokens", c.args, c.plan)
			wantStory(t, r, 0, c.want)
			Row(t, "every frame, in order, once")
		})
	}
	parallel(t, "only with the token it was given", func(t *testing.T) {
		r := callSecond(t, n, "stream/tokens", "12 30", "3:lose close; end:again")
		wantStory(t, r, 3, append(whole, told("resume 13", aire.ResumeInvalid)...))
		Row(t, "a spent token is RESUME_INVALID")
	})
}

func resumesRefused(t *testing.T, n *Node) {
	for _, c := range []struct{ name, how, next string }{
		{"another identity", "as=other", "4"},
		{"from the future", "last=1000", "1001"},
		{"far in the future", "last=4611686018427387903", "4611686018427387904"},
		{"unknown token", "token=" + strings.Repeat("00", 32), "4"},
		{"empty token", "token=empty", "4"},
		{"token of 100000 bytes", "token=long", "4"},
	} {
		parallel(t, c.name, func(t *testing.T) {
			r := callSecond(t, n, "stream/tokens", "12 30", "3:lose close "+c.how)
			code := aire.ResumeInvalid
			if strings.HasSuffix(c.how, "long") && slices.Contains(story(r), "error "+aire.FrameTooLarge.Hex()) {
				code = aire.FrameTooLarge // over 65,536 bytes: nobody has to read it (WIRE-14)
			}
			wantStory(t, r, 3, told([2]int{1, 3}, "resume "+c.next, code))
			Row(t, "%v for the stream alone", code)
		})
	}
	parallel(t, "not active", func(t *testing.T) {
		r := Call(t, GoPeer, n, "echo/say", "x", "--minor", "4", "--caps", "binding",
			"--plan", "end:again close token=00ff")
		code := aire.ProtocolViolation.Hex()
		if ops := r.Op("0"); len(ops) != 1 || !strings.HasPrefix(ops[0].Text+" ", code+" ") {
			t.Errorf("no ERROR %s on the control stream, but %v", code, ops)
		}
		if !r.Has("closed " + code + " ") {
			t.Errorf("not closed with %s", code)
		}
		wantExit(t, r, 1)
		Row(t, "ERROR and close with PROTOCOL_VIOLATION")
	})
}

func bindingsChecked(t *testing.T, n *Node) {
	parallel(t, "both sides", func(t *testing.T) {
		r := callSecond(t, n, "echo/say", "x", "")
		if !strings.Contains(r.Err, "bound "+n.DID+" ") {
			t.Error("the node's binding was not seen, or not good")
		}
		wantStory(t, r, 0, []string{"x", "end"})
		Row(t, "each proves its key on this connection")
	})
	parallel(t, "only the node", func(t *testing.T) {
		r := Call(t, GoPeer, n, "echo/say", "x", "--minor", "4")
		if strings.Contains(r.Err, "bound ") {
			t.Error("a binding that nobody asked for")
		}
		wantStory(t, r, 0, []string{"x", "end"})
		Row(t, "served as without")
	})
	for _, how := range []string{"signature", "exporter", "signer"} {
		parallel(t, "wrong "+how, func(t *testing.T) {
			r := callSecond(t, n, "echo/say", "x", "", "--tamper-binding", how)
			code := aire.BadSignature.Hex()
			if ops := r.Op("0"); len(ops) != 1 || !strings.HasPrefix(ops[0].Text+" ", code+" ") {
				t.Errorf("no ERROR %s on the control stream, but %v", code, ops)
			}
			if !r.Has("closed " + code + " ") {
				t.Errorf("not closed with %s", code)
			}
			if len(r.Op("4")) > 0 {
				t.Errorf("operation 4 was served: %v", r.Op("4"))
			}
			wantExit(t, r, 4)
			Row(t, "ERROR and close with BAD_SIGNATURE")
		})
	}
}

// SecondHalfAsked checks a client with Go nodes. The client takes the flags
// --resume, --budget, --top-up and --deadline; more switches its second half on.
func SecondHalfAsked(t *testing.T, client string, more ...string) {
	call := func(t *testing.T, n *Node, args string, flags ...string) Result {
		return Call(t, client, n, "stream/tokens", args, append(slices.Clone(more), flags...)...)
	}
	n := StartNode(t, GoPeer, "node", SecondHalfCaps...)
	Served(t, client, n, more...)
	t.Run("bound", func(t *testing.T) {
		if !n.Await(startTimeout, func() bool { return strings.Contains(n.Err(), " bound did:key:") }) {
			t.Errorf("the node saw no good binding: %s", n.Err())
		}
		Row(t, "the node knows the client's key to be on this connection")
	})
	t.Run("delegated", func(t *testing.T) {
		r := Call(t, client, n, "delegate/say", "x", more...)
		want(t, r, "4", Line{Kind: "stream", Text: "x"}, Line{Kind: "end"})
		wantExit(t, r, 0)
		Row(t, "DELEGATE informs, the answer comes all the same")
	})
	t.Run("spending", func(t *testing.T) {
		parallel(t, "budget", func(t *testing.T) {
			r := call(t, n, "10 50", "--budget", "3")
			ends(t, r, 3, 4, aire.BudgetExceeded)
			Row(t, "BUDGET_EXCEEDED shown")
		})
		parallel(t, "top-up", func(t *testing.T) {
			r := call(t, n, "10 50", "--budget", "3", "--top-up", "50")
			want(t, r, "4", tokens(10)...)
			wantExit(t, r, 0)
			Row(t, "all ten tokens")
		})
		parallel(t, "deadline", func(t *testing.T) {
			r := call(t, n, "200 50", "--deadline", "500ms")
			// Which end notices first is a race: a client may cancel.
			ends(t, r, 1, 30, aire.DeadlineExceeded, aire.Cancelled)
			Row(t, "DEADLINE_EXCEEDED shown")
		})
	})
	t.Run("resumes", func(t *testing.T) {
		n := StartNode(t, GoPeer, "node", append(slices.Clone(SecondHalfCaps), "--drop-after", "4")...)
		r := call(t, n, "12 50", "--resume")
		want(t, r, "4", tokens(12)...)
		wantExit(t, r, 0)
		if !strings.Contains(n.Err(), "dropping the connection") || !strings.Contains(n.Err(), " resume op 4 ") {
			t.Errorf("nothing was lost, or nothing resumed: %s", n.Err())
		}
		Row(t, "every token, in order, once")
	})
}

// ends checks an operation that was cut short after some tokens.
func ends(t *testing.T, r Result, least, most int, codes ...aire.Code) {
	t.Helper()
	lines := r.Op("4")
	n := 0
	for n < len(lines) && lines[n] == (Line{"4", "stream", fmt.Sprintf("token-%d", n+1)}) {
		n++
	}
	if n < least || n > most {
		t.Errorf("%d tokens, want %d to %d", n, least, most)
	}
	shown := n < len(lines) && lines[n].Kind == "error" && slices.ContainsFunc(codes, func(c aire.Code) bool {
		word, _, _ := strings.Cut(lines[n].Text, " ")
		return word == c.Hex() || word == c.String()
	})
	if !shown {
		t.Errorf("no ERROR of %v behind the tokens: %v", codes, lines[n:])
	}
	wantExit(t, r, 3)
}

// WrongBindings runs check against a Go node for each fault of its binding.
func WrongBindings(t *testing.T, check func(t *testing.T, n *Node)) {
	for _, how := range []string{"signature", "exporter", "signer"} {
		t.Run("wrong "+how, func(t *testing.T) {
			check(t, StartNode(t, GoPeer, "node", append(slices.Clone(SecondHalfCaps), "--tamper-binding", how)...))
		})
	}
}
