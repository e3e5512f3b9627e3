package peer

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"aire-interop/aire"
)

func options(minor uint64) *Options {
	o := NewOptions(log.New(io.Discard, "", 0))
	o.Minor = minor
	return o
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// dial connects to a new node and completes the handshake.
func dial(t *testing.T, minor uint64) *session {
	t.Helper()
	ctx := deadline(t)
	n, err := Listen("127.0.0.1:0", options(minor))
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { ended <- n.Serve(serving) }()
	t.Cleanup(func() { stop(); <-ended })
	conn, err := quic.DialAddr(ctx, n.Addr().String(), clientTLS(n.Pin()), quicConfig(nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseWithError(0, "") })
	ctrl, err := conn.OpenStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(options(minor), conn, ctrl)
	if err := s.handshake(s.hello(), nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends b on a new operation stream, with FIN, and returns what comes back.
func ask(t *testing.T, s *session, b []byte) ([]byte, error) {
	t.Helper()
	stream, err := s.conn.OpenStreamSync(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	stream.Write(b)
	stream.Close()
	stream.SetReadDeadline(time.Now().Add(5 * time.Second))
	return io.ReadAll(stream)
}

func invoke(op uint64) []byte {
	payload := aire.Invoke{Agent: "echo", Operation: "say", Args: []byte("x")}.Append(nil)
	return aire.Frame{Type: aire.TypeInvoke, OpID: op, Payload: payload}.Append(nil)
}

func TestANodeTakesOnlyTheStreamIDForOperationID(t *testing.T) {
	s := dial(t, 2)
	if got, err := ask(t, s, invoke(5)); err == nil {
		t.Errorf("operation 5 on stream 4 gave %x", got)
	}
	want := aire.Frame{Type: aire.TypeStream, OpID: 8, Payload: []byte("x")}.Append(nil)
	if got, err := ask(t, s, invoke(8)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("operation 8 after it gave %x, %v", got, err)
	}
}

func TestANodeOfMinor4ClosesOnFaultsOfAStream(t *testing.T) {
	whole := invoke(4)
	for name, c := range map[string]struct {
		sent []byte
		want aire.Code
	}{
		"another operation's ID": {invoke(8), aire.ProtocolViolation},
		"no INVOKE":              {aire.Frame{Type: aire.TypeStream, OpID: 4}.Append(nil), aire.ProtocolViolation},
		"FIN inside a frame":     {whole[:len(whole)-1], aire.MalformedFrame},
	} {
		s := dial(t, 4)
		got := make(chan aire.Frame, 1)
		// Read while ask waits: the close drops what is unread.
		go func() {
			f, _ := aire.ReadFrame(s.in)
			got <- f
		}()
		ask(t, s, c.sent)
		if f := <-got; f.Type != aire.TypeError || f.OpID != 0 {
			t.Errorf("%s: %+v on the control stream", name, f)
		}
		<-s.conn.Context().Done()
		if got := s.closed(); !got.ByPeer || got.Code != uint64(c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAnOversizedFrameCostsOnlyItsOperation(t *testing.T) {
	s := dial(t, 4)
	huge := aire.AppendVarint([]byte{byte(aire.TypeInvoke), 0, 4}, aire.MaxPayload+1)
	if got, err := ask(t, s, huge); err == nil {
		t.Errorf("gave %x", got)
	}
	if _, err := ask(t, s, invoke(8)); err != nil {
		t.Error(err)
	}
}

func TestAClientReportsAnswersOfAnotherOperation(t *testing.T) {
	ctx := deadline(t)
	cert, pin, err := devCertificate()
	if err != nil {
		t.Fatal(err)
	}
	l, err := quic.ListenAddr("127.0.0.1:0", serverTLS(cert), quicConfig(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept(ctx)
		if err != nil {
			return
		}
		ctrl, _ := conn.AcceptStream(ctx)
		s := newSession(options(2), conn, ctrl)
		s.handshake(s.hello(), nil)
		stream, _ := conn.AcceptStream(ctx)
		aire.ReadFrame(bufio.NewReader(stream))
		stream.Write(aire.Frame{Type: aire.TypeStream, OpID: 8, Payload: []byte("x")}.Append(nil))
		stream.Close()
	}()
	var out, logged strings.Builder
	o := options(2)
	o.Log = log.New(&logged, "", 0)
	code := Run(ctx, o, Call{Addr: l.Addr().String(), Pin: pin, Agent: "echo", Parallel: 1}, &out)
	if code != ExitFailed || strings.Contains(out.String(), "stream") {
		t.Errorf("exit code %d, output %q, log %q", code, out.String(), logged.String())
	}
}
