// Package peer is a small AIRE node and client over quic-go, for tests.
//
// It has two manners. At minor 2 and below it behaves as the reference is
// noted to behave: no ERROR frames, application code 0 and a text when it closes
// on a fault, no reading of the control stream after the handshake. Above
// minor 2 it does what the specification says, which lets the checks of this
// peer be tested against itself.
package peer
