package peer

import (
	"context"
	"fmt"
	"io"
	"net"
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
	// Plan is done in the course of each operation.
	Plan []step
	// Resume goes on with an operation whose connection is lost.
	Resume bool
	// Path is said before INVOKE, where delegation is active.
	Path aire.Path
	// Hex prints payloads in hexadecimal.
	Hex bool
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
	opened   []*session
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
	s, err := r.dial(ctx, r.Options, arrived)
	if err != nil {
		return r.ended(closedFrom(err))
	}
	conn := s.conn
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
	r.closeOpened()
	if unread := arrived.end.Load() - s.count.n; unread > 0 {
		r.Log.Printf("control stream: %d unread bytes of %d, dropped at the close", unread, arrived.end.Load())
	}
	if s.lost.Load() {
		return r.ended(Closed{})
	}
	return r.ended(s.closed())
}

// dial makes a connection on a UDP socket of its own, which can fall silent.
func (r *run) dial(ctx context.Context, o *Options, arrived *arrival) (*session, error) {
	addr, err := net.ResolveUDPAddr("udp", r.call.Addr)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, err
	}
	transport := &quic.Transport{Conn: socket}
	conn, err := transport.Dial(ctx, addr, clientTLS(r.call.Pin), quicConfig(arrived))
	if err != nil {
		socket.Close()
		return nil, err
	}
	context.AfterFunc(conn.Context(), func() {
		// A close that was just queued still has to leave.
		time.AfterFunc(closeDelay, func() { transport.Close(); socket.Close() })
	})
	ctrl, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	s := newSession(o, conn, ctrl)
	s.transport = transport
	return s, nil
}

// open makes a further connection, to resume on.
func (r *run) open(o *Options) (*session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	s, err := r.dial(ctx, o, nil)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.opened = append(r.opened, s)
	r.mu.Unlock()
	if err := s.handshake(o.hello(), r.controlFrame); err != nil {
		return nil, err
	}
	go s.watchControl(r.controlFrame)
	return s, nil
}

// closeOpened leaves the further connections, and reports what the peer closed.
func (r *run) closeOpened() {
	for _, s := range r.opened {
		if r.failed {
			// The node may be about to close it, and say why.
			select {
			case <-s.conn.Context().Done():
			case <-time.After(10 * closeDelay):
			}
		}
		if s.conn.Context().Err() == nil {
			s.leave()
		} else if c := s.closed(); c.ByPeer && c.Code != 0 {
			r.line("%v", c)
			r.failed = true
		}
	}
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
