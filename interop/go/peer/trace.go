package peer

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlog"
	"github.com/quic-go/quic-go/qlogwriter"
)

// arrival counts the bytes of the control stream that reached this end, read
// or not. quic-go drops what is buffered as soon as CONNECTION_CLOSE is
// processed, so without this count an ERROR frame that was overtaken by the
// close looks like one that was never sent.
type arrival struct{ end atomic.Int64 }

func (a *arrival) AddProducer() qlogwriter.Recorder { return a }
func (a *arrival) SupportsSchemas(s string) bool    { return s == qlog.EventSchema }
func (a *arrival) Close() error                     { return nil }

func (a *arrival) RecordEvent(e qlogwriter.Event) {
	received, ok := e.(qlog.PacketReceived)
	if !ok {
		return
	}
	for _, f := range received.Frames {
		s, ok := f.Frame.(*qlog.StreamFrame)
		if !ok || s.StreamID != controlStream {
			continue
		}
		if end := s.Offset + s.Length; end > a.end.Load() {
			a.end.Store(end)
		}
	}
}

func quicConfig(a *arrival) *quic.Config {
	c := &quic.Config{
		HandshakeIdleTimeout: 5 * time.Second,
		MaxIdleTimeout:       30 * time.Second,
		KeepAlivePeriod:      10 * time.Second,
		MaxIncomingStreams:   256,
	}
	if a != nil {
		c.Tracer = func(context.Context, bool, quic.ConnectionID) qlogwriter.Trace { return a }
	}
	return c
}
