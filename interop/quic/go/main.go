// Command quic-peer-go is the test protocol's server on quic-go.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	alpn             = "aire-quic-test/0"
	streamWindow     = 64 * 1024
	connectionWindow = 256 * 1024
)

type options struct {
	cert, key, listen string
	retry, p256       bool
	maxStreams        int64
	idle              time.Duration
}

func main() {
	log.SetFlags(0)
	if err := run(parse()); err != nil {
		log.Fatal(err)
	}
}

func parse() options {
	var o options
	flag.StringVar(&o.cert, "cert", "", "PEM file with the certificate chain, the server's own first")
	flag.StringVar(&o.key, "key", "", "PEM file with the private key")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "UDP address to listen on")
	flag.BoolVar(&o.retry, "retry", false, "validate every client's address with a Retry first")
	flag.BoolVar(&o.p256, "p256", false, "accept key shares of P-256 only")
	flag.BoolFunc("chacha", "not to be had", func(string) error {
		return errors.New("Go lets nobody choose the suites of TLS 1.3")
	})
	flag.Int64Var(&o.maxStreams, "max-streams", 100, "how many bidirectional streams the client may have open")
	idle := flag.Int("idle-ms", 30000, "the idle timeout in milliseconds")
	flag.Parse()
	o.idle = time.Duration(*idle) * time.Millisecond
	return o
}

func run(o options) error {
	certificate, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return err
	}
	tlsConfig := &tls.Config{
		Certificates: []tls.Certificate{certificate},
		NextProtos:   []string{alpn},
		MinVersion:   tls.VersionTLS13,
	}
	if o.p256 {
		tlsConfig.CurvePreferences = []tls.CurveID{tls.CurveP256}
	}
	config := &quic.Config{
		MaxIdleTimeout:                 o.idle,
		MaxIncomingStreams:             o.maxStreams,
		MaxIncomingUniStreams:          -1,
		InitialStreamReceiveWindow:     streamWindow,
		InitialConnectionReceiveWindow: connectionWindow,
	}
	address, err := net.ResolveUDPAddr("udp", o.listen)
	if err != nil {
		return err
	}
	socket, err := net.ListenUDP("udp", address)
	if err != nil {
		return err
	}
	transport := &quic.Transport{
		Conn:                socket,
		VerifySourceAddress: func(net.Addr) bool { return o.retry },
	}
	listener, err := transport.Listen(tlsConfig, config)
	if err != nil {
		return err
	}
	go exitWithStdin()
	fmt.Println("listening", socket.LocalAddr().(*net.UDPAddr).Port)
	for {
		conn, err := listener.Accept(context.Background())
		if err != nil {
			return err
		}
		go serve(conn)
	}
}

// exitWithStdin ends the process with its standard input: a server never outlives its test.
func exitWithStdin() {
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func serve(conn *quic.Conn) {
	address := conn.RemoteAddr()
	for {
		stream, err := conn.AcceptStream(conn.Context())
		if err != nil {
			log.Printf("connection of %v over: %v", address, context.Cause(conn.Context()))
			return
		}
		go func() {
			if err := answer(conn, stream); err != nil {
				log.Printf("stream %d: %v", stream.StreamID(), err)
				reset(stream, failed)
			}
		}()
	}
}

// answer does what the first line of a stream says.
func answer(conn *quic.Conn, stream *quic.Stream) error {
	input := bufio.NewReader(stream)
	line, err := input.ReadString('\n')
	if err != nil {
		return err
	}
	return obey(conn, stream, input, line)
}
