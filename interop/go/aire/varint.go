package aire

import "fmt"

// MaxVarint is the largest value that a varint holds (WIRE-4).
const MaxVarint = 1<<62 - 1

// AppendVarint appends v in its shortest form (WIRE-5). A v over MaxVarint is
// a mistake of the caller, so it panics.
func AppendVarint(b []byte, v uint64) []byte {
	switch {
	case v < 1<<6:
		return append(b, byte(v))
	case v < 1<<14:
		return append(b, byte(v>>8)|0x40, byte(v))
	case v < 1<<30:
		return append(b, byte(v>>24)|0x80, byte(v>>16), byte(v>>8), byte(v))
	case v <= MaxVarint:
		return append(b, byte(v>>56)|0xc0, byte(v>>48), byte(v>>40), byte(v>>32),
			byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	panic(fmt.Sprintf("aire: %d does not fit a varint", v))
}

// AppendString appends s as a length and its bytes (WIRE-16).
func AppendString(b []byte, s string) []byte {
	return append(AppendVarint(b, uint64(len(s))), s...)
}
