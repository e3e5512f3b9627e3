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
	return f
}

func node(ctx context.Context, logger *log.Logger, args []string) error {
	o := peer.NewOptions(logger)
	f := commonFlags("node", o)
	listen := f.String("listen", "127.0.0.1:0", "UDP address to listen on")
	f.Parse(args)
	if err := o.Validate(); err != nil {
		return err
	}
	n, err := peer.Listen(*listen, o)
	if err != nil {
		return err
	}
	fmt.Printf("listening aire://%s did %s pin %s\n", n.Addr(), o.DID(), n.Pin())
	return n.Serve(ctx)
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
	f.Parse(args)
	if err := o.Validate(); err != nil {
		return peer.ExitFailed, err
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
