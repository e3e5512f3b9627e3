package peer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"aire-interop/aire"
)

// answer serves one operation.
func (s *session) answer(stream *quic.Stream) {
	in := bufio.NewReader(stream)
	f, err := aire.ReadFrame(in)
	if err != nil {
		s.streamFault(stream, err)
		stream.CancelRead(0)
		stream.CancelWrite(0)
		return
	}
	id := uint64(stream.StreamID())
	if f.Type != aire.TypeInvoke || f.OpID != id {
		why := fmt.Sprintf("stream %d begins with type %#x of operation %d", id, byte(f.Type), f.OpID)
		s.Log.Print(why)
		stream.CancelRead(0)
		stream.CancelWrite(0)
		if !s.referenceLike() {
			s.fault(&aire.Error{Code: aire.ProtocolViolation, Why: why})
		}
		return
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	call, err := aire.DecodeInvoke(f.Payload)
	if err != nil {
		s.fail(stream, aire.MalformedFrame, "")
		return
	}
	s.Log.Printf("invoke op %d %s/%s, %d bytes", id, call.Agent, call.Operation, len(call.Args))
	var cancelled atomic.Bool
	go s.watchInitiator(stream, in, cancel, &cancelled)
	send := func(payload []byte) error {
		return writeFrame(stream, aire.TypeStream, payload)
	}
	switch {
	case call.Agent == "echo":
		err = send(call.Args)
	case call.Agent == "stream" && call.Operation == "tokens":
		err = tokens(ctx, string(call.Args), send)
	case call.Agent == "stream":
		err = fmt.Errorf("no operation %s", call.Operation)
	default:
		s.fail(stream, aire.AgentNotFound, call.Agent)
		return
	}
	switch {
	case cancelled.Load():
		s.fail(stream, aire.Cancelled, "")
	case err != nil:
		s.fail(stream, aire.Application, err.Error())
	default:
		stream.Close()
	}
}

// fail ends an operation. The reference is noted to send no frame for it, just
// FIN.
func (s *session) fail(stream *quic.Stream, code aire.Code, detail string) {
	s.Log.Printf("fail op %d %v %s", stream.StreamID(), code, detail)
	if !s.referenceLike() {
		writeFrame(stream, aire.TypeError, aire.Failure{Code: code, Detail: detail}.Append(nil))
	}
	stream.Close()
}

// watchInitiator reads what follows INVOKE: nothing but FIN, as a rule. CANCEL
// and a reset stop the work.
func (s *session) watchInitiator(stream *quic.Stream, in *bufio.Reader, cancel context.CancelFunc, cancelled *atomic.Bool) {
	for {
		f, err := aire.ReadFrame(in)
		if err == io.EOF {
			return
		}
		if err != nil {
			s.streamFault(stream, err)
			cancel()
			return
		}
		if f.Type == aire.TypeCancel {
			cancelled.Store(true)
			cancel()
		}
	}
}

// tokens reads "COUNT" or "COUNT MILLISECONDS".
func tokens(ctx context.Context, args string, send func([]byte) error) error {
	first, second, timed := strings.Cut(args, " ")
	count, err := strconv.ParseUint(first, 10, 32)
	if err != nil {
		return fmt.Errorf("args %q: want COUNT [MILLISECONDS]", args)
	}
	var gap uint64
	if timed {
		if gap, err = strconv.ParseUint(second, 10, 32); err != nil {
			return fmt.Errorf("args %q: want COUNT [MILLISECONDS]", args)
		}
	}
	for i := uint64(1); i <= count; i++ {
		if i > 1 && gap > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(gap) * time.Millisecond):
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := send(fmt.Appendf(nil, "token-%d", i)); err != nil {
			return err
		}
	}
	return nil
}

// writeFrame sends a frame of the operation whose stream this is (GAP-2).
func writeFrame(stream *quic.Stream, t aire.Type, payload []byte) error {
	f := aire.Frame{Type: t, OpID: uint64(stream.StreamID()), Payload: payload}
	_, err := stream.Write(f.Append(nil))
	return err
}
