package aire

import (
	"sync"
	"time"
)

// Bounds of the replay cache: past them new HELLOs are refused (SIG-11).
const (
	maxNoncesPerDID = 1024
	maxDIDs         = 4096
)

type seenNonce struct {
	nonce [16]byte
	until time.Time
}

// ReplayCache remembers the nonces of accepted HELLOs, by DID.
type ReplayCache struct {
	mu    sync.Mutex
	byDID map[string][]seenNonce
}

func NewReplayCache() *ReplayCache {
	return &ReplayCache{byDID: map[string][]seenNonce{}}
}

// Add remembers a nonce, and returns false when it is known or when there is
// no room for it. The HELLO was made at the time at.
func (r *ReplayCache) Add(did string, nonce [16]byte, now, at time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := expire(r.byDID[did], now)
	for _, s := range list {
		if s.nonce == nonce {
			return false
		}
	}
	if _, known := r.byDID[did]; !known && len(r.byDID) >= maxDIDs {
		r.sweep(now)
		if len(r.byDID) >= maxDIDs {
			return false
		}
	}
	if len(list) >= maxNoncesPerDID {
		return false
	}
	// A HELLO stamped ahead of our clock stays fresh for longer than Window
	// from now: forgetting it after Window would let it in again.
	from := now
	if at.After(now) {
		from = at
	}
	r.byDID[did] = append(list, seenNonce{nonce, from.Add(Window)})
	return true
}

func (r *ReplayCache) sweep(now time.Time) {
	for did, list := range r.byDID {
		if list = expire(list, now); len(list) == 0 {
			delete(r.byDID, did)
		} else {
			r.byDID[did] = list
		}
	}
}

func expire(list []seenNonce, now time.Time) []seenNonce {
	kept := list[:0]
	for _, s := range list {
		if !now.After(s.until) {
			kept = append(kept, s)
		}
	}
	return kept
}
