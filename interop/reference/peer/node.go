package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	aire "github.com/aire-protocol/aire-go"
)

// node serves until SIGTERM or SIGINT.
func node(args []string) error {
	f := flag.NewFlagSet("node", flag.ExitOnError)
	listen := f.String("listen", "127.0.0.1:0", "UDP address to listen on")
	f.Parse(args)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	cfg, err := config()
	if err != nil {
		return err
	}
	tlsConf := aire.DevTLSConfig()
	pin, err := pinOf(tlsConf.Certificates[0].Certificate[0])
	if err != nil {
		return err
	}
	n := aire.NewNode(cfg)
	for id, agent := range map[string]aire.AgentFunc{"echo": echo, "stream": stream} {
		if err := n.RegisterAgent(id, logged(agent)); err != nil {
			return err
		}
	}
	if err := n.Listen(*listen, tlsConf); err != nil {
		return err
	}
	fmt.Printf("listening aire://%s did %s pin %s\n", n.Addr(), cfg.Signer.DID(), pin)
	<-ctx.Done()
	return n.Stop()
}

// logged tells what the reference's node does not: who calls, and what became
// of it.
func logged(agent aire.AgentFunc) aire.AgentFunc {
	return func(ctx context.Context, inv *aire.Invoke) error {
		log.Printf("hello %s (the caller, as the agent is told)", inv.PeerNodeID)
		log.Printf("invoke op %d %s/%s, %d bytes", inv.Op.OpID, inv.AgentID, inv.Operation, len(inv.Args))
		err := agent(ctx, inv)
		if err != nil {
			log.Printf("fail op %d %v", inv.Op.OpID, err)
		}
		return err
	}
}

func send(inv *aire.Invoke, payload []byte) error {
	return inv.Op.Send(aire.Frame{Type: aire.FrameStream, Payload: payload})
}

func echo(_ context.Context, inv *aire.Invoke) error {
	return send(inv, inv.Args)
}

// stream answers "COUNT" or "COUNT MILLISECONDS" with so many tokens.
func stream(ctx context.Context, inv *aire.Invoke) error {
	count, gap, _ := strings.Cut(string(inv.Args), " ")
	tokens, err := strconv.ParseUint(count, 10, 32)
	if err != nil || inv.Operation != "tokens" {
		return fmt.Errorf("no operation %s of %q", inv.Operation, inv.Args)
	}
	pause, err := time.ParseDuration("0" + gap + "ms")
	if err != nil {
		return err
	}
	for i := uint64(1); i <= tokens; i++ {
		if i > 1 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(pause):
			}
		}
		// The one way to learn of a cancellation is that this fails.
		if err := send(inv, fmt.Appendf(nil, "token-%d", i)); err != nil {
			return err
		}
	}
	return nil
}
