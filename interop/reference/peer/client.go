package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"strings"
	"sync"
	"time"

	aire "github.com/aire-protocol/aire-go"
	"github.com/quic-go/quic-go"
)

const connectTimeout = 10 * time.Second

// client makes the calls that the flags name, and returns the exit code.
func client(args []string) (int, error) {
	f := flag.NewFlagSet("client", flag.ExitOnError)
	connect := f.String("connect", "", "HOST:PORT of the node, aire:// allowed")
	invoke := f.String("invoke", "", "AGENT/OP")
	arg := f.String("args", "", "argument of the operation")
	pin := f.String("pin", "", "hex SHA-256 of the SPKI of the node's key; without it any key will do")
	parallel := f.Int("parallel", 1, "operations at a time")
	linger := f.Duration("linger", 0, "stay connected this long after the operations, until the node closes")
	minor := f.Uint64("minor", aire.CurrentVersion.Minor, "minor version to advertise: the reference knows one")
	f.Parse(args)
	addr, _, _ := strings.Cut(strings.TrimPrefix(*connect, "aire://"), "/")
	agent, operation, ok := strings.Cut(*invoke, "/")
	if addr == "" || !ok || *parallel < 1 || *minor != aire.CurrentVersion.Minor {
		return exitFailed, errors.New("--connect HOST:PORT and --invoke AGENT/OP are needed, " +
			"--parallel is at least 1, --minor the reference's own")
	}
	cfg, err := config()
	if err != nil {
		return exitFailed, err
	}

	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	conn, err := aire.Dial(ctx, addr, pinned(*pin))
	if err != nil {
		return exitFailed, err
	}
	state, err := conn.Handshake(ctx, cfg)
	if err != nil {
		return ended(conn, false, err)
	}
	log.Printf("hello %s negotiated minor %d, %d capabilities",
		state.PeerNodeID, state.NegotiatedMinor, len(state.ActiveCapabilities))

	code, err := invokeAll(conn, *parallel, agent, operation, []byte(*arg))
	if err != nil {
		return ended(conn, false, err)
	}
	if *linger > 0 {
		select {
		case <-conn.Context().Done():
			closed, err := ended(conn, true, nil)
			return max(closed, code), err
		case <-time.After(*linger):
		}
	}
	return code, conn.Close()
}

// pinned trusts the one key that pin names; with an empty pin, any.
func pinned(pin string) *tls.Config {
	conf := aire.DevTLSConfig()
	conf.VerifyConnection = func(state tls.ConnectionState) error {
		if pin == "" {
			return nil
		}
		found, err := pinOf(state.PeerCertificates[0].Raw)
		if err == nil && !strings.EqualFold(found, pin) {
			err = errors.New("the certificate's key is not the pinned one")
		}
		return err
	}
	return conf
}

// ended prints how a connection ended. A close with code 0 is no failure to
// whoever waited for it.
func ended(conn *aire.Conn, awaited bool, err error) (int, error) {
	select {
	case <-conn.Context().Done():
	default:
		return exitFailed, errors.Join(err, conn.Close())
	}
	cause := context.Cause(conn.Context())
	var app *quic.ApplicationError
	if !errors.As(cause, &app) {
		fmt.Println("lost", cause)
		return exitFailed, err
	}
	if !app.Remote {
		return exitFailed, err
	}
	fmt.Printf("closed 0x%02x %s\n", uint64(app.ErrorCode), app.ErrorMessage)
	if awaited && app.ErrorCode == 0 {
		return exitDone, err
	}
	return exitClosed, err
}

// output keeps lines of parallel operations from mixing.
var output sync.Mutex

func line(format string, args ...any) {
	output.Lock()
	defer output.Unlock()
	fmt.Printf(format+"\n", args...)
}

func invokeAll(conn *aire.Conn, parallel int, agent, operation string, args []byte) (int, error) {
	var wait sync.WaitGroup
	codes, faults := make([]int, parallel), make([]error, parallel+1)
	for i := range parallel {
		op, err := conn.Invoke(conn.Context(), agent, operation, args)
		if err != nil {
			faults[parallel] = err
			break
		}
		wait.Add(1)
		go func() {
			defer wait.Done()
			codes[i], faults[i] = follow(op)
		}()
	}
	wait.Wait()
	code := exitDone
	for _, c := range codes {
		code = max(code, c)
	}
	return code, errors.Join(faults...)
}

// follow prints what comes in on an operation.
func follow(op *aire.Operation) (int, error) {
	if err := op.Close(); err != nil { // no more input
		return exitFailed, err
	}
	code := exitDone
	for {
		f, err := op.Recv()
		if errors.Is(err, io.EOF) {
			line("op %d end", op.OpID)
			return code, nil
		}
		if err != nil {
			return exitFailed, fmt.Errorf("op %d: %w", op.OpID, err)
		}
		switch f.Type {
		case aire.FrameStream:
			line("op %d stream %s", op.OpID, f.Payload)
		case aire.FrameError:
			what, detail, err := failure(f.Payload)
			if err != nil {
				return exitFailed, fmt.Errorf("op %d: %w", op.OpID, err)
			}
			line("op %d error 0x%02x %s", op.OpID, what, detail)
			code = exitError
		default:
			log.Printf("op %d skipped: type 0x%02x, %d bytes", op.OpID, byte(f.Type), len(f.Payload))
		}
	}
}

// failure reads an ERROR payload (GAP-5), for which the reference has no
// function: a code, and a detail with its length before it.
func failure(payload []byte) (uint64, string, error) {
	code, n, err := aire.ReadVarint(payload)
	if err != nil {
		return 0, "", fmt.Errorf("code of ERROR: %w", err)
	}
	payload = payload[n:]
	size, n, err := aire.ReadVarint(payload)
	if err != nil || size > uint64(len(payload)-n) {
		return 0, "", errors.New("detail of ERROR: cut short")
	}
	return code, string(payload[n:][:size]), nil
}
