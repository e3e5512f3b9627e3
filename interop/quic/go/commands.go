package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/quic-go/quic-go"
)

// failed is the code that a stream is reset with when its command is none, or fails.
const failed = 1

// obey carries out the command in line, whose data is input, and ends the answer.
func obey(conn *quic.Conn, stream *quic.Stream, input io.Reader, line string) error {
	verb, argument, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	var number uint32
	switch verb {
	case "source", "open", "reset", "close":
		if _, err := fmt.Sscan(argument, &number); err != nil {
			return err
		}
	}
	var err error
	switch verb {
	case "echo":
		_, err = io.Copy(stream, input)
	case "sink":
		var count int64
		if count, err = io.Copy(io.Discard, input); err == nil {
			_, err = fmt.Fprint(stream, count)
		}
	case "source":
		_, err = io.Copy(stream, io.LimitReader(&pattern{}, int64(number)))
	case "open":
		if err = open(conn, int(number)); err == nil {
			_, err = io.WriteString(stream, "done")
		}
	case "reset":
		reset(stream, quic.StreamErrorCode(number))
		return nil
	case "keyupdate":
		// It begins its first by itself, when 100 packets have gone one way.
		_, err = io.WriteString(stream, "unsupported")
	case "peer":
		_, err = fmt.Fprint(stream, conn.RemoteAddr())
	case "close":
		return conn.CloseWithError(quic.ApplicationErrorCode(number), "as told")
	case "resumed":
		said := "no"
		if conn.ConnectionState().TLS.DidResume {
			said = "yes"
		}
		_, err = io.WriteString(stream, said)
	default:
		return fmt.Errorf("no such command: %q", line)
	}
	if err = errors.Join(err, stream.Close()); err != nil {
		return err
	}
	// Whatever the client still sends is read, so that its stream ends well.
	_, err = io.Copy(io.Discard, input)
	return err
}

func reset(stream *quic.Stream, code quic.StreamErrorCode) {
	stream.CancelWrite(code)
	stream.CancelRead(code)
}

// open opens streams to the client, and returns when it has answered on all of them.
func open(conn *quic.Conn, count int) error {
	answers := make(chan error, count)
	for number := range count {
		stream, err := conn.OpenStreamSync(conn.Context())
		if err != nil {
			return err
		}
		go func() { answers <- greet(stream, number) }()
	}
	var all error
	for range count {
		all = errors.Join(all, <-answers)
	}
	return all
}

func greet(stream *quic.Stream, number int) error {
	if _, err := fmt.Fprintf(stream, "hello %d\n", number); err != nil {
		return err
	}
	if err := stream.Close(); err != nil {
		return err
	}
	answer, err := io.ReadAll(stream)
	if err != nil {
		return err
	}
	log.Printf("stream %d answered %s", stream.StreamID(), strings.TrimRight(string(answer), "\n"))
	return nil
}

// pattern is read without end.
type pattern struct{ offset int }

func (p *pattern) Read(buffer []byte) (int, error) {
	for i := range buffer {
		buffer[i] = byte((p.offset+i)*31 + 7)
	}
	p.offset += len(buffer)
	return len(buffer), nil
}
