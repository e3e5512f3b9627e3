package peer

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"aire-interop/aire"
)

// drain is how long a stopping node waits for operations that still run.
const drain = 3 * time.Second

// Node answers the agents of this package.
type Node struct {
	*Options
	listener *quic.Listener
	pin      string

	mu       sync.Mutex
	sessions map[*session]struct{}
	stopping bool
	ops      sync.WaitGroup
	serving  sync.WaitGroup
}

// Listen opens a node on a UDP address.
func Listen(addr string, o *Options) (*Node, error) {
	cert, pin, err := devCertificate()
	if err != nil {
		return nil, err
	}
	l, err := quic.ListenAddr(addr, serverTLS(cert), quicConfig(nil))
	if err != nil {
		return nil, err
	}
	return &Node{Options: o, listener: l, pin: pin, sessions: map[*session]struct{}{}}, nil
}

func (n *Node) Addr() net.Addr { return n.listener.Addr() }
func (n *Node) Pin() string    { return n.pin }

// Serve answers until ctx ends, then stops with grace.
func (n *Node) Serve(ctx context.Context) error {
	for {
		conn, err := n.listener.Accept(ctx)
		if ctx.Err() != nil {
			n.stop()
			return nil
		}
		if err != nil {
			return err
		}
		n.serving.Add(1)
		go func() {
			defer n.serving.Done()
			n.serve(conn)
		}()
	}
}

func (n *Node) stop() {
	n.mu.Lock()
	n.stopping = true
	for s := range n.sessions {
		s.sendGoodbye()
	}
	n.mu.Unlock()
	idle := make(chan struct{})
	go func() { n.ops.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-time.After(drain):
	}
	n.mu.Lock()
	for s := range n.sessions {
		go s.leave()
	}
	n.mu.Unlock()
	n.serving.Wait()
	n.listener.Close()
}

func (n *Node) serve(conn *quic.Conn) {
	ctx, cancel := context.WithTimeout(conn.Context(), handshakeTimeout)
	ctrl, err := conn.AcceptStream(ctx)
	cancel()
	if err != nil {
		n.Log.Printf("no control stream: %v", err)
		conn.CloseWithError(0, "no control stream")
		return
	}
	s := newSession(n.Options, conn, ctrl)
	n.track(s, true)
	defer n.track(s, false)
	var control sync.WaitGroup
	seen := func(f aire.Frame) { n.Log.Printf("control %s", describe(f)) }
	if err := s.handshake(n.hello(), seen); err != nil {
		n.Log.Printf("handshake: %v", err)
		s.conn.CloseWithError(0, "handshake: "+err.Error())
	} else {
		if !n.referenceLike() {
			control.Add(1)
			go func() {
				defer control.Done()
				s.watchControl(seen)
			}()
		}
		if n.Ask.Agent != "" {
			go n.ask(s)
		}
		for {
			stream, err := conn.AcceptStream(conn.Context())
			if err != nil {
				break
			}
			n.begin(s, stream)
		}
	}
	<-conn.Context().Done()
	control.Wait()
	if c := s.closed(); c.ByPeer || c.Err != nil {
		n.Log.Print(c)
	}
}

// begin answers an operation, unless the node is stopping.
func (n *Node) begin(s *session, stream *quic.Stream) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopping {
		stream.CancelRead(0)
		stream.CancelWrite(0)
		return
	}
	n.ops.Add(1)
	go func() {
		defer n.ops.Done()
		s.answer(stream)
	}()
}

// ask opens an operation at a client that serves agents, as devices do.
func (n *Node) ask(s *session) {
	r := &run{Options: n.Options, call: n.Ask, out: n.Out}
	stream, err := s.conn.OpenStreamSync(s.conn.Context())
	if err == nil {
		err = r.invoke(s, stream)
	}
	if err != nil {
		r.line("ask: %v", err)
	}
}

func (n *Node) track(s *session, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if on {
		n.sessions[s] = struct{}{}
	} else {
		delete(n.sessions, s)
	}
}

func describe(f aire.Frame) string {
	switch f.Type {
	case aire.TypeError:
		p, err := aire.DecodeFailure(f.Payload)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("error %s %s", p.Code.Hex(), p.Detail)
	case aire.TypeGoodbye:
		return "goodbye"
	}
	return fmt.Sprintf("type 0x%02x op %d, %d bytes", byte(f.Type), f.OpID, len(f.Payload))
}
