package main

import (
	"os/exec"
	"strings"
	"testing"

	"aire-interop/aire"
	"aire-interop/internal/harness"
)

// These tests run the peer against itself: a check that cannot pass here, or
// that passes whatever the node does, is of no use against another
// implementation.

func TestMain(m *testing.M) { harness.Main(m) }

func TestReferenceLikeNode(t *testing.T) {
	n := harness.StartNode(t, harness.GoPeer, "node")
	harness.Served(t, harness.GoPeer, n)
	harness.UnknownAgentFIN(t, harness.GoPeer, n)
	harness.RefusesLikeReference(t, n)
	harness.StopsWithGrace(t, n)
}

func TestNodeOfMinor4(t *testing.T) {
	n := harness.StartNode(t, harness.GoPeer, "node", "--minor", "4")
	harness.Served(t, harness.GoPeer, n)
	harness.UnknownAgentError(t, harness.GoPeer, n, "0x41")
	harness.Refuses(t, n)
	harness.StopsWithGrace(t, n)
}

func TestPeerSecondHalf(t *testing.T) {
	n := harness.StartNode(t, harness.GoPeer, "node", harness.SecondHalfCaps...)
	harness.SecondHalfServed(t, n)
	harness.SecondHalfAsked(t, harness.GoPeer, harness.SecondHalfCaps...)
	harness.WrongBindings(t, func(t *testing.T, n *harness.Node) {
		r := harness.Call(t, harness.GoPeer, n, "echo/say", "x", harness.SecondHalfCaps...)
		if r.Exit != 1 || len(r.Op("4")) > 0 || !strings.Contains(r.Err, "refused BAD_SIGNATURE") {
			t.Error(r)
		}
		harness.Row(t, "refuses with BAD_SIGNATURE")
	})
	harness.StopsWithGrace(t, n)
}

func TestAWindowThatHasMovedOnIsToldApart(t *testing.T) {
	n := harness.StartNode(t, harness.GoPeer, "node", harness.SecondHalfCaps...)
	for plan, code := range map[string]aire.Code{
		"80:lose close last=0": aire.ResumeUnavailable, "80:lose close last=2000": aire.ResumeInvalid,
	} {
		more := append([]string{"--plan", plan}, harness.SecondHalfCaps...)
		r := harness.Call(t, harness.GoPeer, n, "stream/tokens", "200 3", more...)
		if ops := r.Op("4"); r.Exit != 3 || len(ops) != 82 || ops[80].Text != code.Hex()+" " {
			t.Error(r)
		}
	}
}

func TestADelegationIsShown(t *testing.T) {
	n := harness.StartNode(t, harness.GoPeer, "node", harness.SecondHalfCaps...)
	more := append([]string{"--path", "did:web:root.example/planner"}, harness.SecondHalfCaps...)
	r := harness.Call(t, harness.GoPeer, n, "delegate/say", "x", more...)
	if !r.Has("delegate op 4 aire://elsewhere.example/echo did:web:elsewhere.example 8\n") {
		t.Error(r)
	}
	if !strings.Contains(n.Err(), "path op 4 [{did:web:root.example planner}] <nil>") {
		t.Errorf("the node read no path: %s", n.Err())
	}
}

func TestClientRefusesTamperedNodes(t *testing.T) {
	for _, minor := range []string{"2", "4"} {
		t.Run("minor "+minor, func(t *testing.T) {
			harness.TamperedNodes(t, func(t *testing.T, n *harness.Node, code aire.Code) {
				r := harness.Call(t, harness.GoPeer, n, "echo/say", "x", "--minor", minor)
				if r.Exit != 1 || len(r.Ops) > 0 || !strings.Contains(r.Err, "refused "+code.String()) {
					t.Error(r)
				}
				harness.Row(t, "refuses with %v", code)
			})
		})
	}
}

func TestClientRefusesAnotherKeyThanThePinnedOne(t *testing.T) {
	n := harness.StartNode(t, harness.GoPeer, "node")
	n.Pin = strings.Repeat("0", 64)
	if r := harness.Call(t, harness.GoPeer, n, "echo/say", "x"); r.Exit != 1 || len(r.Ops) > 0 {
		t.Error(r)
	}
}

func TestBadArgumentsOfAnOperation(t *testing.T) {
	n := harness.StartNode(t, harness.GoPeer, "node", "--minor", "4")
	for _, invoke := range []string{"stream/tokens", "stream/other"} {
		r := harness.Call(t, harness.GoPeer, n, invoke, "many")
		if ops := r.Op("4"); r.Exit != 3 || len(ops) != 2 || !strings.HasPrefix(ops[0].Text, "0x43 ") {
			t.Error(r)
		}
	}
}

func TestBadFlagsAreRefused(t *testing.T) {
	for _, args := range []string{
		"node --tamper everything", "node --minor 1 --tamper nonce",
		"client --connect 127.0.0.1:1 --invoke echo", "client --invoke echo/say",
		"client --connect 127.0.0.1:1 --invoke echo/say --parallel 0", "other", "",
		"node --minor 4 --caps everything", "node --caps binding",
		"node --minor 4 --tamper-binding signature",
		"client --connect 127.0.0.1:1 --invoke echo/say --plan soon:cancel",
		"client --connect 127.0.0.1:1 --invoke echo/say --plan 1:sing",
		"client --connect 127.0.0.1:1 --invoke echo/say --plan end:cancel",
	} {
		if err := exec.Command(harness.GoPeer, strings.Fields(args)...).Run(); err == nil {
			t.Errorf("accepted: %s", args)
		}
	}
}
