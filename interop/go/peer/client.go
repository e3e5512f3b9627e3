package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"aire-interop/aire"
)

// Call says what the client does.
type Call struct {
	Addr, Pin        string
	Agent, Operation string
	Args             []byte
	Parallel         int
	// Linger keeps the connection when the operations are over, to see what
	// the node does with it.
	Linger time.Duration
	// ReplayHello makes the calls on a first connection, unprinted, and then
	// sends the very same HELLO on a second.
	ReplayHello bool
}

// Exit codes of Run.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitError  = 3 // an ERROR frame came
	ExitClosed = 4 // the peer closed the connection
)

// run is the state of one Run.
type run struct {
	*Options
	call Call
	out  io.Writer

	mu       sync.Mutex
	gotError bool
	failed   bool
	leaving  bool // what the peer does from here on is an answer to our leaving
}

// Run makes the calls, prints what comes back on out, and returns the exit code.
func Run(ctx context.Context, o *Options, call Call, out io.Writer) int {
	r := &run{Options: o, call: call, out: out}
	hello := o.hello()
	if call.ReplayHello {
		// Completed operations prove that the node has checked this HELLO.
		r.out = io.Discard
		if code := r.connect(ctx, hello, false); code != ExitDone {
			return code
		}
		r.out, r.leaving = out, false
	}
	return r.connect(ctx, hello, o.Misbehaves() || call.ReplayHello)
}

// line prints one line. Lines of parallel operations must not mix.
func (r *run) line(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, format+"\n", args...)
}

func (r *run) fail(format string, args ...any) {
	r.Log.Printf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

// connect makes the calls on a new connection. With refused, the node has a
// reason to close it, so this end gives it the time.
func (r *run) connect(ctx context.Context, hello []byte, refused bool) int {
	arrived := new(arrival)
	conn, err := quic.DialAddr(ctx, r.call.Addr, clientTLS(r.call.Pin), quicConfig(arrived))
	if err != nil {
		return r.ended(closedFrom(err))
	}
	ctrl, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return r.ended(closedFrom(err))
	}
	s := newSession(r.Options, conn, ctrl)
	var control sync.WaitGroup
	err = s.handshake(hello, r.controlFrame)
	if err == nil {
		// The reference would not read on. This end does, in both manners: it
		// is here to see what the node says.
		control.Add(1)
		go func() {
			defer control.Done()
			s.watchControl(r.controlFrame)
		}()
		r.invokeAll(s)
	} else {
		r.fail("handshake: %v", err)
	}
	wait := r.call.Linger
	if refused {
		wait = max(wait, handshakeTimeout)
	}
	if wait > 0 {
		select {
		case <-conn.Context().Done():
		case <-time.After(wait):
		}
	}
	select {
	case <-conn.Context().Done():
	default:
		r.leaving = true
		s.sendGoodbye()
		s.leave()
	}
	<-conn.Context().Done()
	control.Wait()
	if unread := arrived.end.Load() - s.count.n; unread > 0 {
		r.Log.Printf("control stream: %d unread bytes of %d, dropped at the close", unread, arrived.end.Load())
	}
	return r.ended(s.closed())
}

// ended reports how the connection ended and picks the exit code.
func (r *run) ended(c Closed) int {
	if c.ByPeer && c.Code == 0 && r.leaving {
		c.ByPeer = false
	}
	if c.ByPeer || c.Err != nil {
		r.line("%v", c)
	}
	switch {
	case c.Err != nil:
		return ExitFailed
	case c.ByPeer && (c.Code != 0 || r.call.Linger == 0 || r.failed):
		return ExitClosed
	case r.failed:
		return ExitFailed
	case r.gotError:
		return ExitError
	}
	return ExitDone
}

func (r *run) controlFrame(f aire.Frame) {
	switch f.Type {
	case aire.TypeError:
		r.errorFrame(f)
	case aire.TypeGoodbye:
		r.line("goodbye")
	default:
		r.Log.Printf("control %s", describe(f))
	}
}

func (r *run) errorFrame(f aire.Frame) {
	p, err := aire.DecodeFailure(f.Payload)
	if err != nil {
		r.fail("ERROR of operation %d: %v", f.OpID, err)
		return
	}
	r.line("op %d error %s %s", f.OpID, p.Code.Hex(), p.Detail)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gotError = true
}

func (r *run) invokeAll(s *session) {
	var ops sync.WaitGroup
	for range r.call.Parallel {
		stream, err := s.conn.OpenStreamSync(s.conn.Context())
		if err != nil {
			r.fail("open: %v", err)
			break
		}
		ops.Add(1)
		go func() {
			defer ops.Done()
			if err := r.invoke(s, stream); err != nil {
				r.fail("op %d: %v", stream.StreamID(), err)
			}
		}()
	}
	ops.Wait()
}

func (r *run) invoke(s *session, stream *quic.Stream) error {
	id := uint64(stream.StreamID())
	call := aire.Invoke{Agent: r.call.Agent, Operation: r.call.Operation, Args: r.call.Args}
	if err := writeFrame(stream, aire.TypeInvoke, call.Append(nil)); err != nil {
		return err
	}
	// No more input, as the reference does: it is no cancellation (GAP-4).
	stream.Close()
	in := bufio.NewReader(stream)
	for {
		f, err := aire.ReadFrame(in)
		if errors.Is(err, io.EOF) {
			r.line("op %d end", id)
			return nil
		}
		if err != nil {
			return s.streamFault(stream, err)
		}
		if f.OpID != id {
			stream.CancelRead(0)
			return fmt.Errorf("a frame of operation %d on its stream", f.OpID)
		}
		switch f.Type {
		case aire.TypeStream:
			r.line("op %d stream %s", id, f.Payload)
		case aire.TypeError:
			r.errorFrame(f)
		default:
			r.Log.Printf("op %d skipped: %s", id, describe(f))
		}
	}
}
