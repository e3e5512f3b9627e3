// Package aire encodes, decodes, signs and checks AIRE frames. It knows bytes
// only: no sockets and no goroutines.
//
// It is written from the specification, as a second opinion on it: identifiers
// in comments (WIRE-4, GAP-9) name the requirement that a piece of code serves.
package aire
