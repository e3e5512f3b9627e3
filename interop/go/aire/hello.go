package aire

// Capability is one entry of a HELLO (HS-5).
type Capability struct {
	Name     string
	Version  uint64
	Required bool
}

// Hello is the payload of HELLO. Block is nil in an unsigned one.
type Hello struct {
	Major, Minor uint64
	NodeID       string
	Caps         []Capability
	Block        *Block
}

// AppendInner appends what comes before the signature block (HS-4).
func (h Hello) AppendInner(b []byte) []byte {
	b = AppendVarint(b, h.Major)
	b = AppendVarint(b, h.Minor)
	b = AppendString(b, h.NodeID)
	b = AppendVarint(b, uint64(len(h.Caps)))
	for _, c := range h.Caps {
		b = AppendVarint(AppendString(b, c.Name), c.Version)
		if c.Required {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return b
}

// Append appends the payload.
func (h Hello) Append(b []byte) []byte {
	b = h.AppendInner(b)
	if h.Block != nil {
		b = h.Block.Append(b)
	}
	return b
}

// ParsedHello is a HELLO as received, with the exact bytes that its signature
// is about: encoding it again could change them (WIRE-6).
type ParsedHello struct {
	Hello
	signed []byte
	Extra  int // bytes after the block: ignored, and counted (GAP-10)
}

// ParseHello decodes the payload of a HELLO. Its error is an *Error with
// MalformedFrame.
func ParseHello(payload []byte) (ParsedHello, error) {
	var h ParsedHello
	c := cursor{b: payload}
	h.Major = c.varint()
	h.Minor = c.varint()
	h.NodeID = c.str()
	names := map[string]bool{}
	for i, n := uint64(0), c.varint(); i < n && !c.bad; i++ {
		e := Capability{Name: c.str(), Version: c.varint()}
		required := c.u8()
		if required > 1 || names[e.Name] {
			return h, fault(MalformedFrame, "capability entry")
		}
		e.Required = required == 1
		names[e.Name] = true
		h.Caps = append(h.Caps, e)
	}
	if !c.bad && c.left() > 0 {
		inner := payload[:c.pos]
		block, head := parseBlock(&c)
		h.Block = &block
		h.signed = signedBytes(TypeHello, inner, head)
		h.Extra = c.left()
	}
	return h, check(&c, "HELLO")
}
