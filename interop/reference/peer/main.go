// Command peer is an AIRE node or client on the published Go reference, for
// interoperability tests.
package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"log"
	"os"

	aire "github.com/aire-protocol/aire-go"
)

const usage = `usage:
  peer node   --listen HOST:PORT
  peer client --connect HOST:PORT --invoke AGENT/OP --args STR [options]
"peer node -h" and "peer client -h" list the options.`

// Exit codes of the client.
const (
	exitDone   = 0
	exitFailed = 1
	exitError  = 3 // an ERROR frame came
	exitClosed = 4 // the peer closed the connection
)

func main() {
	log.SetFlags(log.Lmicroseconds)
	var command string
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	switch command {
	case "node":
		if err := node(os.Args[2:]); err != nil {
			log.Fatal(err)
		}
	case "client":
		code, err := client(os.Args[2:])
		if err != nil {
			log.Print(err)
		}
		os.Exit(code)
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
}

// config is a fresh identity, with one replay cache for all connections: the
// reference makes a new cache for each connection when it is given none.
func config() (aire.NodeConfig, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return aire.NodeConfig{}, err
	}
	return aire.NodeConfig{Signer: aire.NewEd25519DIDKeySigner(key), Verifier: aire.NewVerifier()}, nil
}

// pinOf is the hex SHA-256 of a DER certificate's SPKI.
func pinOf(der []byte) (string, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:]), nil
}
