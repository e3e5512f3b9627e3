package aire

// Payloads of frames other than HELLO. A decoder's error is always an *Error
// with MalformedFrame.

// Invoke is the payload of INVOKE (GAP-3).
type Invoke struct {
	Agent, Operation string
	Args             []byte
}

func (p Invoke) Append(b []byte) []byte {
	return append(AppendString(AppendString(b, p.Agent), p.Operation), p.Args...)
}

func DecodeInvoke(b []byte) (Invoke, error) {
	c := cursor{b: b}
	p := Invoke{Agent: c.str(), Operation: c.str(), Args: c.rest()}
	return p, check(&c, "INVOKE")
}

// Failure is the payload of ERROR (GAP-5).
type Failure struct {
	Code   Code
	Detail string
	Data   []byte
}

func (p Failure) Append(b []byte) []byte {
	return append(AppendString(AppendVarint(b, uint64(p.Code)), p.Detail), p.Data...)
}

func DecodeFailure(b []byte) (Failure, error) {
	c := cursor{b: b}
	p := Failure{Code: Code(c.varint()), Detail: c.str(), Data: c.rest()}
	return p, check(&c, "ERROR")
}

// Cancel is the payload of CANCEL (CAN-2).
type Cancel struct {
	Reason uint64
	Detail string
}

func (p Cancel) Append(b []byte) []byte {
	return AppendString(AppendVarint(b, p.Reason), p.Detail)
}

func DecodeCancel(b []byte) (Cancel, error) {
	if len(b) == 0 {
		return Cancel{}, nil
	}
	c := cursor{b: b}
	p := Cancel{Reason: c.varint(), Detail: c.str()}
	return p, check(&c, "CANCEL")
}

// Delegate is the payload of DELEGATE (GAP-7).
type Delegate struct {
	Target, TargetDID string
	SubOp             uint64
}

func (p Delegate) Append(b []byte) []byte {
	return AppendVarint(AppendString(AppendString(b, p.Target), p.TargetDID), p.SubOp)
}

func DecodeDelegate(b []byte) (Delegate, error) {
	c := cursor{b: b}
	p := Delegate{Target: c.str(), TargetDID: c.str(), SubOp: c.varint()}
	return p, check(&c, "DELEGATE")
}

// Hop is a node and its agent that a delegated operation came through.
type Hop struct{ DID, Agent string }

// Path lists the hops, the root first and the sender last.
type Path []Hop

// MaxHops is the most that a Path may have.
const MaxHops = 16

func (p Path) Append(b []byte) []byte {
	b = AppendVarint(b, uint64(len(p)))
	for _, h := range p {
		b = AppendString(AppendString(b, h.DID), h.Agent)
	}
	return b
}

func DecodePath(b []byte) (Path, error) {
	c := cursor{b: b}
	n := c.varint()
	if n > MaxHops {
		return nil, fault(MalformedFrame, "a path of %d hops", n)
	}
	var p Path
	for i := uint64(0); i < n && !c.bad; i++ {
		p = append(p, Hop{DID: c.str(), Agent: c.str()})
	}
	return p, check(&c, "path")
}

// Resumable is the payload of RESUMABLE (RES-2).
type Resumable struct {
	TTLSecs uint64
	Token   []byte
	LastSeq uint64
}

func (p Resumable) Append(b []byte) []byte {
	b = AppendString(AppendVarint(b, p.TTLSecs), string(p.Token))
	return AppendVarint(b, p.LastSeq)
}

func DecodeResumable(b []byte) (Resumable, error) {
	c := cursor{b: b}
	p := Resumable{TTLSecs: c.varint(), Token: c.bytes(), LastSeq: c.varint()}
	return p, check(&c, "RESUMABLE")
}

// Resume is the payload of RESUME (RES-3).
type Resume struct {
	Token    []byte
	LastRecv uint64
}

func (p Resume) Append(b []byte) []byte {
	return AppendVarint(AppendString(b, string(p.Token)), p.LastRecv)
}

func DecodeResume(b []byte) (Resume, error) {
	c := cursor{b: b}
	p := Resume{Token: c.bytes(), LastRecv: c.varint()}
	return p, check(&c, "RESUME")
}

// check leaves bytes after the last known field alone: a later minor may
// append some.
func check(c *cursor, what string) error {
	if c.bad {
		return fault(MalformedFrame, "%s payload", what)
	}
	return nil
}
