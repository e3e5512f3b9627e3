package aire

import (
	"bufio"
	"errors"
	"io"
)

// Type is a frame type.
type Type byte

const (
	TypeHello     Type = 0x01
	TypeReserved2 Type = 0x02 // a protocol violation when received (TYPE-1)
	TypeInvoke    Type = 0x03
	TypeStream    Type = 0x04
	TypeCancel    Type = 0x05
	TypeBudget    Type = 0x06
	TypeDelegate  Type = 0x07
	TypeError     Type = 0x08
	TypeGoodbye   Type = 0x09
	TypeResumable Type = 0x0a
	TypeResume    Type = 0x0b

	// Vendor frames of this project.
	TypeBinding Type = 0x80 // GAP-21, on the control stream
	TypePath    Type = 0x81 // before INVOKE
)

// MaxPayload is what a sender stays under and what this peer accepts
// (WIRE-13); every receiver accepts 65,536 (WIRE-12).
const MaxPayload = 1 << 20

// Frame is one frame (WIRE-1).
type Frame struct {
	Type    Type
	Flags   byte
	OpID    uint64
	Payload []byte
}

// Append appends the frame's bytes.
func (f Frame) Append(b []byte) []byte {
	b = append(b, byte(f.Type), f.Flags)
	b = AppendVarint(b, f.OpID)
	b = AppendVarint(b, uint64(len(f.Payload)))
	return append(b, f.Payload...)
}

// ReadFrame reads one frame. It returns io.EOF when the stream ends between
// frames, an *Error with MalformedFrame when it ends inside one (WIRE-8), and
// an *Error with FrameTooLarge for a payload over MaxPayload.
func ReadFrame(r *bufio.Reader) (Frame, error) {
	var f Frame
	first, err := r.ReadByte()
	if err != nil {
		return f, err
	}
	flags, err := r.ReadByte()
	if err != nil {
		return f, inside(err)
	}
	f.Type, f.Flags = Type(first), flags
	if f.OpID, err = readVarint(r); err != nil {
		return f, inside(err)
	}
	size, err := readVarint(r)
	if err != nil {
		return f, inside(err)
	}
	if size > MaxPayload {
		return f, fault(FrameTooLarge, "payload of %d bytes", size)
	}
	f.Payload = make([]byte, size)
	if _, err = io.ReadFull(r, f.Payload); err != nil {
		return f, inside(err)
	}
	return f, nil
}

func readVarint(r *bufio.Reader) (uint64, error) {
	first, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	v := uint64(first & 0x3f)
	for range 1<<(first>>6) - 1 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		v = v<<8 | uint64(b)
	}
	return v, nil
}

func inside(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault(MalformedFrame, "the stream ended inside a frame")
	}
	return err
}
