package peer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/quic-go/quic-go"

	"aire-interop/aire"
)

// resumeAttempts is how often a client resumes an operation whose connection
// it did not lose on purpose.
const resumeAttempts = 3

// operation is one of the client's, over as many streams as it takes.
type operation struct {
	*run
	s        *session
	stream   *quic.Stream
	plan     []step
	received uint64 // STREAM frames (RES-4)
	token    []byte
	used     []byte // the token of the last RESUME
	finished bool   // no more input
	attempts int
}

// incoming is a frame, or why there is none.
type incoming struct {
	frame aire.Frame
	err   error
}

func (r *run) invoke(s *session, stream *quic.Stream) error {
	o := &operation{run: r, s: s, stream: stream, plan: r.call.Plan}
	id := uint64(stream.StreamID())
	call := aire.Invoke{Agent: r.call.Agent, Operation: r.call.Operation, Args: r.call.Args}
	var first []byte
	if s.active[capDelegation] && len(r.call.Path) > 0 {
		first = aire.Frame{Type: aire.TypePath, OpID: id, Payload: r.call.Path.Append(nil)}.Append(first)
	}
	first = aire.Frame{Type: aire.TypeInvoke, OpID: id, Payload: call.Append(nil)}.Append(first)
	// In one piece with what is to be known before the work begins.
	for len(o.plan) > 0 && o.plan[0].now() {
		t, payload, err := o.plan[0].frame(r.identity)
		if err != nil {
			return err
		}
		first = aire.Frame{Type: t, OpID: id, Payload: payload}.Append(first)
		o.plan = o.plan[1:]
	}
	if _, err := stream.Write(first); err != nil {
		return err
	}
	return o.follow()
}

// now says whether a step is to go out with INVOKE.
func (p step) now() bool {
	frame := p.verb == "budget" || p.verb == "cancel" || p.verb == "frame"
	return frame && !p.report && p.after == 0 && p.delay == 0
}

// follow reads the operation's answer to its end, and does what the plan says.
func (o *operation) follow() error {
	for {
		err := o.listen()
		var lose *lost
		switch {
		case err == nil:
			return o.afterEnd()
		case errors.As(err, &lose):
			if err = o.reconnect(lose.resumes); err != nil {
				return err
			}
		case o.call.Resume && o.token != nil && o.attempts < resumeAttempts && connectionLost(err):
			o.attempts++
			o.Log.Printf("lost: %v", err)
			if err = o.reconnect(resumes{}); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// connectionLost says whether it was not just the stream that ended.
func connectionLost(err error) bool {
	var closed *quic.ApplicationError
	var broken *quic.TransportError
	var silent *quic.IdleTimeoutError
	var forgotten *quic.StatelessResetError
	return errors.As(err, &closed) || errors.As(err, &broken) ||
		errors.As(err, &silent) || errors.As(err, &forgotten)
}

// lost is a connection that the plan gave up.
type lost struct{ resumes }

func (l *lost) Error() string { return "the connection was given up" }

// listen reads one stream.
func (o *operation) listen() error {
	frames := make(chan incoming)
	gone := make(chan struct{})
	defer close(gone)
	go func() {
		in := bufio.NewReader(o.stream)
		for {
			f, err := aire.ReadFrame(in)
			select {
			case frames <- incoming{f, err}:
			case <-gone:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	var due <-chan time.Time
	reported := false
	for {
		// The next step, once it is its turn.
		for due == nil && len(o.plan) > 0 && o.plan[0].verb != "again" {
			p := o.plan[0]
			if p.report && !reported || !p.report && o.received < p.after {
				break
			}
			reported = reported && !p.report
			if p.delay > 0 {
				due = time.After(p.delay)
				break
			}
			if err := o.do(p); err != nil {
				return err
			}
		}
		// No more input, as the reference does: it is no cancellation (GAP-4).
		if (len(o.plan) == 0 || o.plan[0].verb == "again") && !o.finished {
			o.finished = true
			o.stream.Close()
		}
		select {
		case <-due:
			due = nil
			if err := o.do(o.plan[0]); err != nil {
				return err
			}
		case in := <-frames:
			if errors.Is(in.err, io.EOF) {
				o.stream.Close()
				o.line("op %d end", o.stream.StreamID())
				return nil
			}
			if in.err != nil {
				return o.s.streamFault(o.stream, in.err)
			}
			report, err := o.take(in.frame)
			if err != nil {
				return err
			}
			reported = reported || report
		}
	}
}

// do carries out the first step of the plan.
func (o *operation) do(p step) error {
	o.plan = o.plan[1:]
	if p.verb == "lose" {
		r, err := p.resumes()
		if err != nil {
			return err
		}
		return &lost{r}
	}
	t, payload, err := p.frame(o.identity)
	if err != nil {
		return err
	}
	return writeFrame(o.stream, t, payload)
}

// take prints a frame, and says whether it reports an empty budget.
func (o *operation) take(f aire.Frame) (report bool, err error) {
	id := uint64(o.stream.StreamID())
	if f.OpID != id {
		o.stream.CancelRead(0)
		return false, fmt.Errorf("a frame of operation %d on its stream", f.OpID)
	}
	switch f.Type {
	case aire.TypeStream:
		o.received++
		format := "op %d stream %s"
		if o.call.Hex {
			format = "op %d stream %x"
		}
		o.line(format, id, f.Payload)
	case aire.TypeError:
		o.errorFrame(f)
	case aire.TypeResumable:
		r, err := aire.DecodeResumable(f.Payload)
		if err != nil || !o.s.active[capResumable] {
			return false, o.s.fault(&aire.Error{Code: aire.ProtocolViolation, Why: "RESUMABLE is malformed, or not active"})
		}
		o.token = r.Token
		o.line("resumable op %d ttl %d token %d bytes last %d", id, r.TTLSecs, len(r.Token), r.LastSeq)
	case aire.TypeBudget:
		b, err := aire.DecodeBudget(f.Payload)
		if err != nil {
			return false, err
		}
		o.line("report op %d tokens %s spent %s", id, number(b.Tokens), number(b.TokensSpent))
		return b.Tokens != nil && *b.Tokens == 0, nil
	case aire.TypeDelegate:
		d, err := aire.DecodeDelegate(f.Payload)
		if err != nil {
			return false, err
		}
		o.line("delegate op %d %s %s %d", id, d.Target, d.TargetDID, d.SubOp)
	default:
		o.Log.Printf("op %d skipped: %s", id, describe(f))
	}
	return false, nil
}

func number(n *uint64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// reconnect goes on with the operation on a new connection.
func (o *operation) reconnect(r resumes) error {
	o.s.lose(r.silence)
	opts := o.Options
	if r.other {
		other := *opts
		other.identity = freshIdentity()
		opts = &other
	}
	token, last := o.token, o.received
	if r.token != nil {
		token = r.token
	}
	if r.last != nil {
		last = *r.last
	}
	if token == nil {
		return errors.New("there is no token to resume with")
	}
	s, err := o.open(opts)
	if err != nil {
		return err
	}
	stream, err := s.conn.OpenStreamSync(s.conn.Context())
	if err != nil {
		return err
	}
	o.line("resume op %d from %d", stream.StreamID(), last+1)
	o.s, o.stream, o.used, o.token, o.finished = s, stream, token, nil, false
	o.received = last
	err = writeFrame(stream, aire.TypeResume, aire.Resume{Token: token, LastRecv: last}.Append(nil))
	var stopped *quic.StreamError
	if errors.As(err, &stopped) {
		return nil // it was refused unread: what for comes on the same stream
	}
	return err
}

// afterEnd does what the plan has for an operation that is over: it resumes it
// once more, each time as it says.
func (o *operation) afterEnd() error {
	if len(o.plan) == 0 || o.plan[0].verb != "again" {
		return nil
	}
	p := o.plan[0]
	o.plan = o.plan[1:]
	r, err := p.resumes()
	if err != nil {
		return err
	}
	if r.token == nil && o.used != nil {
		r.token = o.used
	}
	if err := o.reconnect(r); err != nil {
		return err
	}
	return o.follow()
}
