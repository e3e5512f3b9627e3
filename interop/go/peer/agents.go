package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/quic-go/quic-go"

	"aire-interop/aire"
)

// answer serves one operation.
func (s *session) answer(stream *quic.Stream) {
	in := bufio.NewReader(stream)
	f, err := s.firstFrame(stream, in)
	if err != nil {
		stream.CancelRead(0)
		stream.CancelWrite(0)
		if s.Log.Print(err); errorCode(err) != aire.ProtocolViolation || !s.referenceLike() {
			s.streamFault(stream, err)
		}
		return
	}
	if f.Type == aire.TypeResume {
		s.resume(stream, in, f)
		return
	}
	id := stream.StreamID()
	call, err := aire.DecodeInvoke(f.Payload)
	if err != nil {
		s.fail(stream, aire.MalformedFrame, "")
		return
	}
	s.Log.Printf("invoke op %d %s/%s, %d bytes", id, call.Agent, call.Operation, len(call.Args))
	w := newWork(s.peer, s.active[capResumable])
	// What came with INVOKE counts before the work begins: its budget, say.
	for in.Buffered() > 0 {
		if !s.fromInitiator(stream, in, w) {
			break
		}
	}
	if w.resumable {
		s.store.issue(w)
	}
	w.attach(stream)
	go s.watchInitiator(stream, in, w)
	go func() { w.end(s.serve(w, call)) }()
	s.deliver(w, stream, 1)
}

// firstFrame reads up to the frame that opens an operation; vendors' and later
// versions' may come before it (GAP-14).
func (s *session) firstFrame(stream *quic.Stream, in *bufio.Reader) (aire.Frame, error) {
	id := uint64(stream.StreamID())
	for {
		f, err := aire.ReadFrame(in)
		if err != nil {
			return f, err
		}
		opens := f.Type == aire.TypeInvoke || f.Type == aire.TypeResume && s.active[capResumable]
		if f.OpID != id || f.Type <= aire.TypeResume && !opens {
			why := fmt.Sprintf("stream %d begins with type %#x of operation %d", id, byte(f.Type), f.OpID)
			return f, &aire.Error{Code: aire.ProtocolViolation, Why: why}
		}
		if opens {
			return f, nil
		}
		if f.Type == aire.TypePath && s.active[capDelegation] {
			path, err := aire.DecodePath(f.Payload)
			s.Log.Printf("path op %d %v %v", id, path, err)
		}
	}
}

// serve runs the agent that was called.
func (s *session) serve(w *work, call aire.Invoke) error {
	switch {
	case call.Agent == "echo":
		return w.send(call.Args)
	case call.Agent == "stream" && call.Operation == "tokens":
		return tokens(w.ctx, string(call.Args), w.send)
	case call.Agent == "stream":
		return fmt.Errorf("no operation %s", call.Operation)
	case call.Agent == "delegate":
		// It only says so, and does the work itself.
		d := aire.Delegate{Target: "aire://elsewhere.example/echo", TargetDID: "did:web:elsewhere.example", SubOp: 8}
		w.mu.Lock()
		w.say(aire.TypeDelegate, d.Append(nil), 0)
		w.mu.Unlock()
		return w.send(call.Args)
	}
	return &aire.Error{Code: aire.AgentNotFound, Why: call.Agent}
}

// deliver sends the work's frames and its end on stream.
func (s *session) deliver(w *work, stream *quic.Stream, next uint64) {
	if s.DropAfter > 0 {
		go s.dropAfter(w)
	}
	if !w.pump(stream, next) {
		return
	}
	w.mu.Lock()
	failure := w.failure
	w.mu.Unlock()
	if failure != nil {
		s.fail(stream, failure.Code, failure.Detail)
	} else {
		stream.Close()
	}
}

// dropAfter closes the connection when enough was sent on it, once per process.
func (s *session) dropAfter(w *work) {
	w.mu.Lock()
	for w.sent < s.DropAfter && !w.ended {
		w.changed.Wait()
	}
	drop := !w.ended && s.dropped.CompareAndSwap(false, true)
	w.mu.Unlock()
	if drop {
		s.Log.Print("dropping the connection")
		s.closeAfterDelay(0, "")
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

// watchInitiator reads what follows INVOKE or RESUME: CANCEL, BUDGET, FIN.
func (s *session) watchInitiator(stream *quic.Stream, in *bufio.Reader, w *work) {
	for s.fromInitiator(stream, in, w) {
	}
}

// fromInitiator takes one frame, and says whether to go on reading.
func (s *session) fromInitiator(stream *quic.Stream, in *bufio.Reader, w *work) bool {
	f, err := aire.ReadFrame(in)
	if err == io.EOF {
		return false
	}
	var reset *quic.StreamError
	if errors.As(err, &reset) {
		w.stop(errCancelled)
	}
	if err != nil {
		// The end of a connection is the business of what is attached to it.
		if s.streamFault(stream, err); errorCode(err) != 0 {
			w.stop(err)
		}
		return false
	}
	if err := laterFault(f, uint64(stream.StreamID())); err != nil {
		s.streamFault(stream, err)
		w.stop(err)
		return false
	}
	switch f.Type {
	case aire.TypeCancel:
		_, signed, err := aire.DecodeSignedCancel(f.Payload)
		if err == nil && signed != nil {
			err = s.verifier.CheckSigned(s.peer, *signed)
		}
		if err == nil {
			err = errCancelled
		}
		w.stop(onlyCode(err))
	case aire.TypeBudget:
		b, err := aire.DecodeBudget(f.Payload)
		if err != nil {
			w.stop(onlyCode(err))
			return true
		}
		w.budget(b)
	}
	return true
}

// laterFault finds what must not follow the frame that opened operation id: a
// frame of another (GAP-2), or one that belongs elsewhere.
func laterFault(f aire.Frame, id uint64) error {
	switch f.Type {
	case aire.TypeHello, aire.TypeReserved2, aire.TypeGoodbye,
		aire.TypeInvoke, aire.TypeResume, aire.TypeDelegate, aire.TypeResumable:
	default:
		if f.OpID == id {
			return nil
		}
	}
	why := fmt.Sprintf("type %#x of operation %d on stream %d", byte(f.Type), f.OpID, id)
	return &aire.Error{Code: aire.ProtocolViolation, Why: why}
}

func errorCode(err error) aire.Code {
	var e *aire.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// onlyCode is err without what the peer need not know (SIG-14).
func onlyCode(err error) error {
	if code := errorCode(err); code != 0 {
		return &aire.Error{Code: code}
	}
	return err
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
