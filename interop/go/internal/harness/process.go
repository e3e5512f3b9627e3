// Package harness runs nodes and clients as processes, and holds the checks
// that tests make on what they print.
package harness

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout  = 10 * time.Second
	clientTimeout = 40 * time.Second
	stopTimeout   = 15 * time.Second
)

// GoPeer is the path of cmd/peer, once Main has built it, or of the program
// that AIRE_GO_PEER puts in its place.
var GoPeer string

// Main builds cmd/peer, unless AIRE_GO_PEER names another program, and runs a
// package's tests.
func Main(m *testing.M) {
	if GoPeer = os.Getenv("AIRE_GO_PEER"); GoPeer != "" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "aire-interop")
	if err != nil {
		panic(err)
	}
	GoPeer = filepath.Join(dir, "peer")
	build := exec.Command("go", "build", "-o", GoPeer, "aire-interop/cmd/peer")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cmd/peer does not build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// Process is a running program.
type Process struct {
	cmd  *exec.Cmd
	out  log
	err  log
	done chan struct{}
}

// log collects one output, and can be read while it grows.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Start runs a program that is killed at the end of the test at the latest.
func Start(t *testing.T, bin string, args ...string) *Process {
	t.Helper()
	p := &Process{cmd: exec.Command(bin, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", bin, err)
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

func (p *Process) Out() string { return p.out.String() }
func (p *Process) Err() string { return p.err.String() }

// Await polls until ok, the end of the process, or a timeout.
func (p *Process) Await(timeout time.Duration, ok func() bool) bool {
	for end := time.Now().Add(timeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return true
		}
		select {
		case <-p.done:
			return ok()
		default:
		}
	}
	return ok()
}

// Exit waits for the process and returns its exit code, or -1.
func (p *Process) Exit(timeout time.Duration) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return -1, errors.New("still running after " + timeout.String())
	}
}

// Node is a running node of either implementation.
type Node struct {
	*Process
	URI, DID, Pin string
}

var listening = regexp.MustCompile(`^listening (aire://127\.0\.0\.1:\d+) did (did:key:z\w+) pin ([0-9a-f]{64})$`)

// StartNode runs a node and reads the first line that it prints.
func StartNode(t *testing.T, bin, command string, args ...string) *Node {
	t.Helper()
	p := Start(t, bin, append([]string{command, "--listen", "127.0.0.1:0"}, args...)...)
	p.Await(startTimeout, func() bool { return strings.Contains(p.Out(), "\n") })
	line, _, _ := strings.Cut(p.Out(), "\n")
	m := listening.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("the first line of %s %s is %q, stderr %s", bin, command, line, p.Err())
	}
	return &Node{Process: p, URI: m[1], DID: m[2], Pin: m[3]}
}

// Terminate sends SIGTERM and returns the exit code.
func (n *Node) Terminate(t *testing.T) int {
	t.Helper()
	n.cmd.Process.Signal(syscall.SIGTERM)
	code, err := n.Exit(stopTimeout)
	if err != nil {
		t.Errorf("the node after SIGTERM: %v", err)
	}
	return code
}

// Line is a line "op ID KIND TEXT" that a client printed.
type Line struct{ ID, Kind, Text string }

// Result is what a client did.
type Result struct {
	Exit     int
	Ops      []Line
	Out, Err string
}

// StartClient runs a client of either implementation against a node.
func StartClient(t *testing.T, bin string, n *Node, invoke, args string, more ...string) *Process {
	t.Helper()
	return Start(t, bin, append([]string{"client", "--connect", n.URI, "--pin", n.Pin,
		"--invoke", invoke, "--args", args}, more...)...)
}

// Call is StartClient, to the client's end.
func Call(t *testing.T, bin string, n *Node, invoke, args string, more ...string) Result {
	t.Helper()
	return Finish(t, StartClient(t, bin, n, invoke, args, more...))
}

// Finish waits for a client's end.
func Finish(t *testing.T, p *Process) Result {
	t.Helper()
	code, err := p.Exit(clientTimeout)
	if err != nil {
		t.Errorf("client: %v", err)
	}
	r := Result{Exit: code, Out: p.Out(), Err: p.Err()}
	lines := bufio.NewScanner(strings.NewReader(r.Out))
	lines.Buffer(nil, 1<<22)
	for lines.Scan() {
		f := append(strings.SplitN(lines.Text(), " ", 4), "", "", "")
		if f[0] == "op" {
			r.Ops = append(r.Ops, Line{f[1], f[2], f[3]})
		}
	}
	return r
}

// Op is the lines of one operation, in order.
func (r Result) Op(id string) (lines []Line) {
	for _, l := range r.Ops {
		if l.ID == id {
			lines = append(lines, l)
		}
	}
	return lines
}

// Has says whether a whole line of the output begins with prefix.
func (r Result) Has(prefix string) bool {
	return strings.HasPrefix(r.Out, prefix) || strings.Contains(r.Out, "\n"+prefix)
}

// String is for a failed test: long lines are cut.
func (r Result) String() string {
	var b strings.Builder
	for _, s := range []string{r.Out, r.Err} {
		for l := range strings.Lines(s) {
			if len(l) > 300 {
				l = l[:300] + "...\n"
			}
			b.WriteString("  | " + l)
		}
	}
	return fmt.Sprintf("exit code %d, output and log:\n%s", r.Exit, b.String())
}
