package peer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"aire-interop/aire"
)

const (
	// retainedFrames is how many STREAM frames can be sent again, and how many
	// a handler may be ahead of its stream.
	retainedFrames = 64
	// patience is how long work that is out of budget waits for a top-up (BUD-8).
	patience = 5 * time.Second
	// resumableFor is what RESUMABLE promises.
	resumableFor = 60 * time.Second
)

// Why work stops early.
var (
	errCancelled = errors.New("cancelled")
	errBudget    = errors.New("out of budget")
	errLate      = errors.New("past the deadline")
)

// work is an operation at its responder. It is not tied to a stream: a
// resumable one outlives the connection that it was begun on.
type work struct {
	owner     string // the initiator's DID (GAP-17)
	resumable bool
	ctx       context.Context
	stop      context.CancelCauseFunc

	mu      sync.Mutex
	changed *sync.Cond
	stream  *quic.Stream // the one attached to it, or nil
	words   []word       // frames that do not count (RES-4)
	first   uint64       // the number of frames[0]; STREAM frames count from 1
	frames  [][]byte
	sent    uint64 // the last number that the attached stream took
	ended   bool
	failure *aire.Failure // how it ended; nil for a bare FIN

	spent, limit uint64 // tokens: limit counts from the beginning of the work
	limited      bool
	deadline     *time.Timer
}

// word is a frame that is no STREAM, to be sent once.
type word struct {
	kind    aire.Type
	payload []byte
	behind  uint64 // the number of the STREAM frame that it follows
}

func newWork(owner string, resumable bool) *work {
	w := &work{owner: owner, resumable: resumable, first: 1}
	w.ctx, w.stop = context.WithCancelCause(context.Background())
	w.changed = sync.NewCond(&w.mu)
	context.AfterFunc(w.ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.changed.Broadcast()
	})
	return w
}

func (w *work) last() uint64 { return w.first + uint64(len(w.frames)) - 1 }

// send is what an agent calls for a STREAM frame: it charges a token (BUD-6),
// and waits where the attached stream is too far behind.
func (w *work) send(payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.charge(); err != nil {
		return err
	}
	for w.ctx.Err() == nil && w.stream != nil && w.last() >= w.sent+retainedFrames {
		w.changed.Wait()
	}
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	w.frames = append(w.frames, payload)
	if len(w.frames) > retainedFrames {
		w.frames = w.frames[1:]
		w.first++
	}
	w.changed.Broadcast()
	return nil
}

// charge takes a token from the budget, waiting for a top-up where none is left.
func (w *work) charge() error {
	var over bool
	if w.limited && w.spent >= w.limit {
		w.report()
		timer := time.AfterFunc(patience, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			over = true
			w.changed.Broadcast()
		})
		defer timer.Stop()
	}
	for w.limited && w.spent >= w.limit {
		if w.ctx.Err() != nil {
			break
		}
		if over {
			return errBudget
		}
		w.changed.Wait()
	}
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	w.spent++
	return nil
}

// report tells the initiator what was spent and what is left.
func (w *work) report() {
	spent, left := w.spent, uint64(0)
	if w.limit > w.spent {
		left = w.limit - w.spent
	}
	w.say(aire.TypeBudget, aire.Budget{Tokens: &left, TokensSpent: &spent}.Append(nil), w.last())
}

// say queues a frame that does not count. The lock is held.
func (w *work) say(t aire.Type, payload []byte, behind uint64) {
	w.words = append(w.words, word{t, payload, behind})
	w.changed.Broadcast()
}

// budget takes a snapshot: it says what remains from now on (BUD-5).
func (w *work) budget(b aire.Budget) {
	if b.IsReport() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limited = b.Tokens != nil
	if b.Tokens != nil {
		w.limit = w.spent + *b.Tokens
		if *b.Tokens == 0 {
			w.report()
		}
	}
	if w.deadline != nil {
		w.deadline.Stop()
		w.deadline = nil
	}
	if b.DeadlineMS != nil {
		left := time.Until(time.UnixMilli(*b.DeadlineMS))
		if left <= 0 {
			w.stop(errLate)
		} else {
			w.deadline = time.AfterFunc(left, func() { w.stop(errLate) })
		}
	}
	w.changed.Broadcast()
}

// end notes how the agent ended.
func (w *work) end(err error) {
	// What stopped the work counts, not what the agent made of it.
	if cause := context.Cause(w.ctx); cause != nil {
		err = cause
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	switch {
	case err == nil:
	case errors.Is(err, errCancelled):
		w.failure = &aire.Failure{Code: aire.Cancelled}
	case errors.Is(err, errBudget):
		w.failure = &aire.Failure{Code: aire.BudgetExceeded}
	case errors.Is(err, errLate):
		w.failure = &aire.Failure{Code: aire.DeadlineExceeded}
	default:
		var own *aire.Error
		if errors.As(err, &own) {
			w.failure = &aire.Failure{Code: own.Code, Detail: own.Why}
		} else {
			w.failure = &aire.Failure{Code: aire.Application, Detail: err.Error()}
		}
	}
	if w.deadline != nil {
		w.deadline.Stop()
	}
	w.changed.Broadcast()
}

// attach makes stream the one that the work is sent on, in place of any other.
// The end of the stream, other than by our FIN, ends the work (CAN-1), or
// leaves a resumable one without a stream.
func (w *work) attach(stream *quic.Stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stream = stream
	w.changed.Broadcast()
	context.AfterFunc(stream.Context(), func() { w.lost(stream) })
}

func (w *work) lost(stream *quic.Stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stream != stream || w.ended {
		return
	}
	var stopped *quic.StreamError
	if !w.resumable || errors.As(context.Cause(stream.Context()), &stopped) {
		w.stop(errCancelled)
		return
	}
	w.stream = nil
	w.changed.Broadcast()
	time.AfterFunc(resumableFor, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.stream == nil {
			w.stop(errCancelled)
		}
	})
}

// pump sends the STREAM frames from number next on, until the work has ended or
// stream is no longer the one attached to it. It says whether the work ended.
func (w *work) pump(stream *quic.Stream, next uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = next - 1
	for w.stream == stream {
		var t aire.Type
		var payload []byte
		switch {
		case len(w.words) > 0 && (next > w.words[0].behind || w.ctx.Err() != nil):
			t, payload = w.words[0].kind, w.words[0].payload
			w.words = w.words[1:]
		case next <= w.last() && w.ctx.Err() == nil:
			t, payload = aire.TypeStream, w.frames[next-w.first]
			next++
		case w.ended:
			return true
		default:
			w.changed.Wait()
			continue
		}
		w.mu.Unlock()
		// What becomes of a stream that takes nothing more is told to lost.
		writeFrame(stream, t, payload)
		w.mu.Lock()
		if t == aire.TypeStream {
			w.sent = next - 1
			w.changed.Broadcast()
		}
	}
	return false
}
