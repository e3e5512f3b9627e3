package aire

import (
	"encoding/binary"
	"unicode/utf8"
)

// cursor reads fields off the front of a payload. After the first field that
// does not fit, bad stays set and every further read gives a zero value, so
// that a decoder tests once, at its end.
type cursor struct {
	b   []byte
	pos int
	bad bool
}

func (c *cursor) take(n uint64) []byte {
	if c.bad || n > uint64(len(c.b)-c.pos) {
		c.bad = true
		return nil
	}
	start := c.pos
	c.pos += int(n)
	return c.b[start:c.pos]
}

func (c *cursor) left() int { return len(c.b) - c.pos }

func (c *cursor) rest() []byte { return c.take(uint64(c.left())) }

func (c *cursor) u8() byte {
	if p := c.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (c *cursor) i64() int64 {
	if p := c.take(8); p != nil {
		return int64(binary.BigEndian.Uint64(p))
	}
	return 0
}

// varint accepts longer forms than needed (WIRE-6).
func (c *cursor) varint() uint64 {
	first := c.u8()
	v := uint64(first & 0x3f)
	for _, b := range c.take(1<<(first>>6) - 1) {
		v = v<<8 | uint64(b)
	}
	if c.bad {
		return 0
	}
	return v
}

func (c *cursor) bytes() []byte { return c.take(c.varint()) }

// str is a string of WIRE-16: bytes that are not UTF-8 make it malformed.
func (c *cursor) str() string {
	p := c.bytes()
	if !utf8.Valid(p) {
		c.bad = true
		return ""
	}
	return string(p)
}

// done says whether everything was read, and read well.
func (c *cursor) done() bool { return !c.bad && c.left() == 0 }
