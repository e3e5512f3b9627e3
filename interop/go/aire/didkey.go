package aire

import (
	"crypto/ed25519"
	"errors"
	"math/big"
	"slices"
	"strings"
)

const (
	didKeyPrefix  = "did:key:"
	base58Letters = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
)

// multicodec prefix of an Ed25519 public key: the varint of 0xed (ID-2).
var ed25519Codec = []byte{0xed, 0x01}

// DIDKey is the did:key of an Ed25519 public key.
func DIDKey(pub ed25519.PublicKey) string {
	return didKeyPrefix + "z" + base58Encode(append(slices.Clone(ed25519Codec), pub...))
}

// DIDKeyMethod is the only verification method of a did:key (SIG-3).
func DIDKeyMethod(did string) string {
	return did + "#" + strings.TrimPrefix(did, didKeyPrefix)
}

// ParseDIDKey gives the key that a did:key holds.
func ParseDIDKey(did string) (ed25519.PublicKey, error) {
	encoded, ok := strings.CutPrefix(did, didKeyPrefix+"z")
	if !ok {
		return nil, errors.New("not a base58btc did:key")
	}
	raw, err := base58Decode(encoded)
	if err != nil {
		return nil, err
	}
	if len(raw) != 2+ed25519.PublicKeySize || !slices.Equal(raw[:2], ed25519Codec) {
		return nil, errors.New("not an Ed25519 key")
	}
	return ed25519.PublicKey(raw[2:]), nil
}

func base58Encode(b []byte) string {
	var out []byte
	n, base, digit := new(big.Int).SetBytes(b), big.NewInt(58), new(big.Int)
	for n.Sign() > 0 {
		n.DivMod(n, base, digit)
		out = append(out, base58Letters[digit.Int64()])
	}
	// A number has no leading zeros, so each zero byte gets its own letter.
	for i := 0; i < len(b) && b[i] == 0; i++ {
		out = append(out, base58Letters[0])
	}
	slices.Reverse(out)
	return string(out)
}

func base58Decode(s string) ([]byte, error) {
	// Far over any key: it bounds the work, which grows with the square.
	if len(s) > 256 {
		return nil, errors.New("base58 text too long")
	}
	n, base := new(big.Int), big.NewInt(58)
	for i := range len(s) {
		d := strings.IndexByte(base58Letters, s[i])
		if d < 0 {
			return nil, errors.New("not base58")
		}
		n.Add(n.Mul(n, base), big.NewInt(int64(d)))
	}
	zeros := 0
	for zeros < len(s) && s[zeros] == base58Letters[0] {
		zeros++
	}
	return append(make([]byte, zeros), n.Bytes()...), nil
}

// validDID checks W3C DID Core syntax (ID-1):
// "did:" method-name ":" *( *idchar ":" ) 1*idchar.
func validDID(s string) bool {
	rest, ok := strings.CutPrefix(s, "did:")
	if !ok {
		return false
	}
	method, id, ok := strings.Cut(rest, ":")
	if !ok || method == "" || id == "" || strings.HasSuffix(id, ":") {
		return false
	}
	for _, r := range method {
		if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9') {
			return false
		}
	}
	for i := 0; i < len(id); i++ {
		switch c := id[i]; {
		case isAlpha(c), isDigit(c), strings.IndexByte(".-_:", c) >= 0:
		case c == '%':
			if i+2 >= len(id) || !isHex(id[i+1]) || !isHex(id[i+2]) {
				return false
			}
			i += 2
		default:
			return false
		}
	}
	return true
}

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
