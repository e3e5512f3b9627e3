package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"aire-interop/aire"
)

const (
	controlStream    = quic.StreamID(0)
	handshakeTimeout = 10 * time.Second
	// closeDelay is how long an ERROR or GOODBYE gets to arrive before the
	// close: a QUIC stack may drop what it has not yet handed over.
	closeDelay = 200 * time.Millisecond
)

// ControlFrame is told what comes in on the control stream after HELLO.
type ControlFrame func(aire.Frame)

// session is a connection with its control stream.
type session struct {
	*Options
	conn  *quic.Conn
	ctrl  *quic.Stream
	in    *bufio.Reader
	count *countingReader

	peer   string          // the peer's DID, once its HELLO was good
	active map[string]bool // the capabilities that both advertised (CAP-5)

	transport *quic.Transport // of a client's connection
	lost      atomic.Bool     // given up on purpose

	writing sync.Mutex
	failing sync.Once
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func newSession(o *Options, conn *quic.Conn, ctrl *quic.Stream) *session {
	count := &countingReader{r: ctrl}
	return &session{Options: o, conn: conn, ctrl: ctrl, count: count, in: bufio.NewReader(count)}
}

// handshake sends HELLO and checks the peer's. Frames that come in place of a
// HELLO go to seen.
func (s *session) handshake(hello []byte, seen ControlFrame) error {
	if s.DoubleHello {
		hello = append(hello, s.hello()...)
	}
	if err := s.write(hello); err != nil {
		return err
	}
	s.ctrl.SetReadDeadline(time.Now().Add(handshakeTimeout))
	f, err := aire.ReadFrame(s.in)
	if err != nil {
		return s.fault(err)
	}
	s.ctrl.SetReadDeadline(time.Time{})
	if f.Type == aire.TypeError && f.OpID == 0 {
		// The close that follows has a code, which a fault here would hide.
		seen(f)
		return errors.New("ERROR came before HELLO")
	}
	if f.Type != aire.TypeHello || f.OpID != 0 {
		return s.fault(&aire.Error{Code: aire.ProtocolViolation, Why: "the first frame is no HELLO"})
	}
	h, err := s.verifier.Check(f.Payload, s.local())
	if err != nil {
		return s.fault(err)
	}
	s.Log.Printf("hello %s minor %d, negotiated %d, %d capabilities, %d bytes after the block",
		h.NodeID, h.Minor, min(h.Minor, s.Minor), len(h.Caps), h.Extra)
	s.peer, s.active = h.NodeID, map[string]bool{}
	for _, c := range h.Caps {
		// RESUMABLE and RESUME are of minor version 4 (GAP-13).
		known := c.Name != capResumable || min(h.Minor, s.Minor) >= 4
		if known && slices.Contains(s.Caps, c.Name) {
			s.active[c.Name] = true
		}
	}
	if s.active[capBinding] {
		if err := s.bind(seen); err != nil {
			return err
		}
	}
	if s.HelloType2 {
		return s.write(aire.Frame{Type: aire.TypeReserved2}.Append(nil))
	}
	return nil
}

// watchControl reads the control stream until it ends.
func (s *session) watchControl(seen ControlFrame) {
	for {
		f, err := aire.ReadFrame(s.in)
		if err != nil {
			s.fault(err)
			return
		}
		seen(f)
		if err := controlFault(f); err != nil {
			s.fault(err)
			return
		}
	}
}

// controlFault allows ERROR, GOODBYE and types of later versions (GAP-14,
// GAP-15).
func controlFault(f aire.Frame) error {
	known := f.Type <= aire.TypeResume
	if f.Type == aire.TypeError || f.Type == aire.TypeGoodbye {
		known = f.OpID != 0
	}
	if known {
		return &aire.Error{Code: aire.ProtocolViolation, Why: fmt.Sprintf("type %#x on the control stream", byte(f.Type))}
	}
	return nil
}

// fault ends the connection when err is the peer's fault, in this peer's
// manner. It returns err.
func (s *session) fault(err error) error {
	var e *aire.Error
	if !errors.As(err, &e) {
		return err
	}
	s.failing.Do(func() {
		s.Log.Printf("refused %v", e)
		if s.referenceLike() {
			s.conn.CloseWithError(0, e.Error())
			return
		}
		payload := aire.Failure{Code: e.Code}.Append(nil)
		s.write(aire.Frame{Type: aire.TypeError, Payload: payload}.Append(nil))
		s.closeAfterDelay(quic.ApplicationErrorCode(e.Code), e.Code.String())
	})
	return err
}

// sendGoodbye announces the end (GAP-8); the reference is not noted to.
func (s *session) sendGoodbye() {
	if !s.referenceLike() {
		s.write(aire.Frame{Type: aire.TypeGoodbye}.Append(nil))
	}
}

// leave closes an idle connection for no fault.
func (s *session) leave() {
	if s.referenceLike() {
		s.conn.CloseWithError(0, "")
		return
	}
	s.closeAfterDelay(0, "goodbye")
}

// streamFault is fault for what came on an operation's stream: a frame over the
// limit costs only that operation (GAP-19).
func (s *session) streamFault(stream *quic.Stream, err error) error {
	var e *aire.Error
	if errors.As(err, &e) && e.Code == aire.FrameTooLarge {
		stream.CancelRead(quic.StreamErrorCode(e.Code))
		return err
	}
	return s.fault(err)
}

// lose gives up the connection, with or without a word.
func (s *session) lose(silence bool) {
	s.lost.Store(true)
	if silence {
		s.transport.Close()
	} else {
		s.conn.CloseWithError(0, "lost")
	}
}

func (s *session) closeAfterDelay(code quic.ApplicationErrorCode, text string) {
	select {
	case <-s.conn.Context().Done():
	case <-time.After(closeDelay):
	}
	s.conn.CloseWithError(code, text)
}

// write puts whole frames on the control stream.
func (s *session) write(b []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, err := s.ctrl.Write(b)
	return err
}

// Closed says how a connection ended, once it did.
type Closed struct {
	ByPeer bool
	Code   uint64
	Reason string
	Err    error // when it was no application's doing: a timeout, say
}

func (c Closed) String() string {
	if c.Err != nil {
		return "lost " + c.Err.Error()
	}
	return fmt.Sprintf("closed 0x%02x %s", c.Code, c.Reason)
}

func closedFrom(err error) Closed {
	var app *quic.ApplicationError
	if errors.As(err, &app) {
		return Closed{ByPeer: app.Remote, Code: uint64(app.ErrorCode), Reason: app.ErrorMessage}
	}
	return Closed{Err: err}
}

func (s *session) closed() Closed { return closedFrom(context.Cause(s.conn.Context())) }
