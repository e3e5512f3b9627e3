package aire

import "encoding/binary"

// Budget is the payload of BUDGET; a nil field sets no limit (BUD-3).
type Budget struct {
	Tokens     *uint64
	Cost       *uint64 // micro-units of Currency
	Currency   string  // empty: USD
	DeadlineMS *int64  // UTC

	// Fields of this project: what was spent so far. A BUDGET with either is a
	// report, which limits nobody; whoever does not know them skips them.
	TokensSpent *uint64
	CostSpent   *uint64
}

// IsReport tells a report from a limit.
func (p Budget) IsReport() bool { return p.TokensSpent != nil || p.CostSpent != nil }

const (
	budgetTokens   = 0x01
	budgetCost     = 0x02
	budgetCurrency = 0x03
	budgetDeadline = 0x04

	budgetTokensSpent = 0x81
	budgetCostSpent   = 0x82
)

// Append writes the fields in the order of their identifiers (BUD-1).
func (p Budget) Append(b []byte) []byte {
	var body []byte
	count := uint64(0)
	field := func(id byte, value []byte) {
		count++
		body = append(AppendVarint(append(body, id), uint64(len(value))), value...)
	}
	if p.Tokens != nil {
		field(budgetTokens, AppendVarint(nil, *p.Tokens))
	}
	if p.Cost != nil {
		field(budgetCost, AppendVarint(nil, *p.Cost))
	}
	if p.Currency != "" {
		field(budgetCurrency, []byte(p.Currency))
	}
	if p.DeadlineMS != nil {
		field(budgetDeadline, binary.BigEndian.AppendUint64(nil, uint64(*p.DeadlineMS)))
	}
	if p.TokensSpent != nil {
		field(budgetTokensSpent, AppendVarint(nil, *p.TokensSpent))
	}
	if p.CostSpent != nil {
		field(budgetCostSpent, AppendVarint(nil, *p.CostSpent))
	}
	return append(AppendVarint(b, count), body...)
}

func DecodeBudget(b []byte) (Budget, error) {
	var p Budget
	c := cursor{b: b}
	count := c.varint()
	if count == 0 {
		c.bad = true
	}
	var seen [256]bool
	for i := uint64(0); i < count && !c.bad; i++ {
		id := c.u8()
		value := cursor{b: c.bytes()}
		if seen[id] {
			c.bad = true
			break
		}
		seen[id] = true
		switch id {
		case budgetTokens:
			v := value.varint()
			p.Tokens = &v
		case budgetCost:
			v := value.varint()
			p.Cost = &v
		case budgetCurrency:
			p.Currency = string(value.take(3))
			c.bad = c.bad || !letters(p.Currency)
		case budgetDeadline:
			v := value.i64()
			p.DeadlineMS = &v
		case budgetTokensSpent:
			v := value.varint()
			p.TokensSpent = &v
		case budgetCostSpent:
			v := value.varint()
			p.CostSpent = &v
		default:
			value.rest()
		}
		c.bad = c.bad || !value.done()
	}
	return p, check(&c, "BUDGET")
}

func letters(s string) bool {
	for _, c := range []byte(s) {
		if c |= 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}
