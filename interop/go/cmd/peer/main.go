// Command peer is an AIRE node or client for interoperability tests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"aire-interop/aire"
	"aire-interop/peer"
)

const usage = `usage:
  peer node   --listen HOST:PORT [options]
  peer client --connect HOST:PORT --invoke AGENT/OP --args STR [options]
"peer node -h" and "peer client -h" list the options.`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	logger := log.New(os.Stderr, "", log.Lmicroseconds)
	switch os.Args[1] {
	case "node":
		if err := node(ctx, logger, os.Args[2:]); err != nil {
			logger.Fatal(err)
		}
	case "client":
		code, err := client(ctx, logger, os.Args[2:])
		if err != nil {
			logger.Print(err)
		}
		os.Exit(code)
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
}

func commonFlags(name string, o *peer.Options) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ExitOnError)
	f.Uint64Var(&o.Minor, "minor", o.Minor, "minor version to advertise; up to 2 behaves like the reference")
	f.StringVar(&o.Tamper, "tamper", o.Tamper, "fault in this peer's HELLO: "+strings.Join(peer.Tampers, ", "))
	f.BoolVar(&o.DoubleHello, "double-hello", false, "send HELLO twice")
	f.BoolVar(&o.HelloType2, "hello-type2", false, "send a frame of type 0x02 after the handshake")
	f.Func("caps", "capabilities to advertise, with commas: resumable, binding, delegation", o.SetCaps)
	f.StringVar(&o.TamperBinding, "tamper-binding", o.TamperBinding,
		"fault in this peer's channel binding: "+strings.Join(peer.BindingTampers, ", "))
	return f
}

func node(ctx context.Context, logger *log.Logger, args []string) error {
	o := peer.NewOptions(logger)
	f := commonFlags("node", o)
	listen := f.String("listen", "127.0.0.1:0", "UDP address to listen on")
	f.Uint64Var(&o.DropAfter, "drop-after", 0, "close the connection once, when an operation has sent so many STREAM frames")
	ask := f.String("ask", "", "AGENT/OP to invoke at each client that connects")
	askArgs := f.String("ask-args", "", "its argument")
	f.Parse(args)
	if err := o.Validate(); err != nil {
		return err
	}
	o.Ask.Agent, o.Ask.Operation, _ = strings.Cut(*ask, "/")
	o.Ask.Args, o.Ask.Hex, o.Out = []byte(*askArgs), true, os.Stdout
	n, err := peer.Listen(*listen, o)
	if err != nil {
		return err
	}
	fmt.Printf("listening aire://%s did %s pin %s\n", n.Addr(), o.DID(), n.Pin())
	return n.Serve(ctx)
}

// shortPlan says in a plan what the short flags ask for.
func shortPlan(budget, topUp uint64, deadline time.Duration) string {
	var fields, plan string
	if budget > 0 {
		fields += fmt.Sprintf(" tokens=%d", budget)
	}
	if deadline != 0 {
		fields += fmt.Sprintf(" deadline=%v", deadline)
	}
	if fields != "" {
		plan = "0:budget" + fields + ";"
	}
	if topUp > 0 {
		plan += fmt.Sprintf("report:budget tokens=%d;", topUp)
	}
	return plan
}

func client(ctx context.Context, logger *log.Logger, args []string) (int, error) {
	o := peer.NewOptions(logger)
	f := commonFlags("client", o)
	var call peer.Call
	connect := f.String("connect", "", "HOST:PORT of the node, aire:// allowed")
	invoke := f.String("invoke", "", "AGENT/OP")
	arg := f.String("args", "", "argument of the operation")
	f.StringVar(&call.Pin, "pin", "", "hex SHA-256 of the SPKI of the node's key; without it any key will do")
	f.IntVar(&call.Parallel, "parallel", 1, "operations at a time")
	f.DurationVar(&call.Linger, "linger", 0, "stay connected this long after the operations, until the node closes")
	f.BoolVar(&call.ReplayHello, "replay-hello", false, "send the same HELLO on two connections")
	f.BoolVar(&call.Resume, "resume", false, "resume operations whose connection is lost")
	budget := f.Uint64("budget", 0, "tokens that each operation may spend; 0 for no limit")
	topUp := f.Uint64("top-up", 0, "further tokens, once, when the node reports that none is left")
	deadline := f.Duration("deadline", 0, "how long each operation may take; 0 for no limit")
	path := f.String("path", "", "DID/AGENT that the operations are delegated by")
	plan := f.String("plan", "", "what else to do in the course of each operation: see the README")
	f.Parse(args)
	if err := o.Validate(); err != nil {
		return peer.ExitFailed, err
	}
	steps, err := peer.ParsePlan(shortPlan(*budget, *topUp, *deadline) + *plan)
	if err != nil {
		return peer.ExitFailed, err
	}
	call.Plan = steps
	if did, agent, ok := strings.Cut(*path, "/"); ok {
		call.Path = aire.Path{{DID: did, Agent: agent}}
	}
	call.Addr, _, _ = strings.Cut(strings.TrimPrefix(*connect, "aire://"), "/")
	var ok bool
	call.Agent, call.Operation, ok = strings.Cut(*invoke, "/")
	if call.Addr == "" || !ok || call.Parallel < 1 {
		return peer.ExitFailed, errors.New("--connect HOST:PORT and --invoke AGENT/OP are needed, --parallel is at least 1")
	}
	call.Args = []byte(*arg)
	return peer.Run(ctx, o, call, os.Stdout), nil
}
