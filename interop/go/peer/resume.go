package peer

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"aire-interop/aire"
)

// store finds resumable work by its token.
type store struct {
	mu     sync.Mutex
	issued map[string]issued
}

// issued is a token with its work. It stays when its time is over, so that
// RESUME_EXPIRED can be told from RESUME_INVALID.
type issued struct {
	work  *work
	until time.Time
}

// issue makes a token for w, which its initiator is told (RES-2, RES-9).
func (s *store) issue(w *work) {
	token := make([]byte, 32)
	rand.Read(token)
	s.mu.Lock()
	s.issued[string(token)] = issued{w, time.Now().Add(resumableFor)}
	s.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	r := aire.Resumable{TTLSecs: uint64(resumableFor / time.Second), Token: token, LastSeq: w.last()}
	w.say(aire.TypeResumable, r.Append(nil), 0)
}

// claim spends a token, or gives the code that refuses it (RES-5, RES-10).
func (s *store) claim(r aire.Resume, did string) (*work, aire.Code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.issued[string(r.Token)]
	if !ok || found.work.owner != did {
		return nil, aire.ResumeInvalid
	}
	if time.Now().After(found.until) {
		return nil, aire.ResumeExpired
	}
	w := found.work
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.LastRecv > w.last() {
		return nil, aire.ResumeInvalid
	}
	if r.LastRecv+1 < w.first {
		return nil, aire.ResumeUnavailable
	}
	delete(s.issued, string(r.Token))
	return w, 0
}

// resume answers a RESUME, the first frame of stream.
func (s *session) resume(stream *quic.Stream, in *bufio.Reader, f aire.Frame) {
	r, err := aire.DecodeResume(f.Payload)
	if err != nil {
		s.fail(stream, aire.MalformedFrame, "")
		return
	}
	w, code := s.store.claim(r, s.peer)
	if code != 0 {
		s.fail(stream, code, "")
		return
	}
	s.Log.Printf("resume op %d from %d, token %s", stream.StreamID(), r.LastRecv+1, hex.EncodeToString(r.Token[:4]))
	s.store.issue(w)
	w.attach(stream)
	go s.watchInitiator(stream, in, w)
	s.deliver(w, stream, r.LastRecv+1)
}
