package peer

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"aire-interop/aire"
)

// step is something that the client does in the course of an operation.
type step struct {
	after  uint64        // when so many STREAM frames have come, RESUME or not
	report bool          // instead: when the responder reports that none is left
	delay  time.Duration // so much later
	verb   string
	args   []string
}

// verbs with what they take.
var verbs = map[string]string{
	"budget": "tokens=N deadline=DURATION",
	"cancel": "plain, signed, tampered or foreign",
	"frame":  "TYPE HEX",
	"lose":   "close or silence, then last=N token=HEX|empty|long as=other again",
	"again":  "like lose, for an operation that is over",
}

// ParsePlan reads steps with semicolons between them: "WHEN[+DELAY]:VERB ARGS",
// where WHEN is a number of STREAM frames, or "report", or "end".
func ParsePlan(text string) ([]step, error) {
	var plan []step
	for _, part := range strings.Split(text, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		when, what, ok := strings.Cut(strings.TrimSpace(part), ":")
		words := strings.Fields(what)
		if !ok || len(words) == 0 || verbs[words[0]] == "" {
			return nil, fmt.Errorf("--plan: %q is no WHEN:VERB", part)
		}
		p := step{verb: words[0], args: words[1:]}
		when, delay, delayed := strings.Cut(when, "+")
		var err error
		if delayed {
			if p.delay, err = time.ParseDuration(delay); err != nil {
				return nil, fmt.Errorf("--plan: %v", err)
			}
		}
		switch when {
		case "report":
			p.report = true
		case "end":
			if p.verb != "again" {
				return nil, fmt.Errorf("--plan: nothing but %q follows the end", "again")
			}
		default:
			if p.after, err = strconv.ParseUint(when, 10, 62); err != nil {
				return nil, fmt.Errorf("--plan: %v", err)
			}
		}
		plan = append(plan, p)
	}
	return plan, nil
}

// resumes are the knobs of a RESUME.
type resumes struct {
	silence bool // lose the connection without a word to the node
	last    *uint64
	token   []byte
	other   bool // under another identity
}

func (p step) resumes() (resumes, error) {
	var r resumes
	for _, arg := range p.args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "close":
		case "silence":
			r.silence = true
		case "last":
			n, err := strconv.ParseUint(value, 10, 62)
			if err != nil {
				return r, err
			}
			r.last = &n
		case "as":
			r.other = true
		case "token":
			switch value {
			case "empty":
				r.token = []byte{}
			case "long":
				r.token = make([]byte, 100_000)
			default:
				token, err := hex.DecodeString(value)
				if err != nil {
					return r, err
				}
				r.token = token
			}
		default:
			return r, fmt.Errorf("%s knows no %q", p.verb, arg)
		}
	}
	return r, nil
}

// budget is the BUDGET that a step sends.
func (p step) budget() (aire.Budget, error) {
	var b aire.Budget
	for _, arg := range p.args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "tokens":
			n, err := strconv.ParseUint(value, 10, 62)
			if err != nil {
				return b, err
			}
			b.Tokens = &n
		case "deadline":
			left, err := time.ParseDuration(value)
			if err != nil {
				return b, err
			}
			at := time.Now().Add(left).UnixMilli()
			b.DeadlineMS = &at
		default:
			return b, fmt.Errorf("budget knows no %q", arg)
		}
	}
	return b, nil
}

// frame is the frame that a step sends, for an operation.
func (p step) frame(id aire.Identity) (aire.Type, []byte, error) {
	switch p.verb {
	case "budget":
		b, err := p.budget()
		return aire.TypeBudget, b.Append(nil), err
	case "cancel":
		c := aire.Cancel{Reason: 0, Detail: "enough"}
		how := "plain"
		if len(p.args) == 1 {
			how = p.args[0]
		}
		switch how {
		case "plain":
			return aire.TypeCancel, c.Append(nil), nil
		case "foreign":
			id = freshIdentity()
		case "signed", "tampered":
		default:
			return 0, nil, fmt.Errorf("cancel knows no %q", how)
		}
		payload := id.SignCancel(c, aire.NewNonce(), time.Now())
		if how == "tampered" {
			payload[0] ^= 1 // another reason than the one that was signed
		}
		return aire.TypeCancel, payload, nil
	}
	if len(p.args) != 2 {
		return 0, nil, fmt.Errorf("frame takes TYPE HEX")
	}
	t, err := strconv.ParseUint(p.args[0], 0, 8)
	if err != nil {
		return 0, nil, err
	}
	payload, err := hex.DecodeString(p.args[1])
	return aire.Type(t), payload, err
}
