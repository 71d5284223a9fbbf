package trust

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
)

// Token is a secret that says who somebody is. What is written of it is one word without spaces: GW1-PIN-ID-SECRET.
type Token struct {
	Pin string // the authority's (Authority.Pin): whom to say the secret to
	ID  string // by which the cluster knows it, and people name it: no secret

	secret string
}

const (
	tokenMark  = "gw1"
	idBytes    = 5  // eight letters
	secretSize = 16 // bytes: nobody guesses it, so a plain hash is as good as a slow one
)

// ErrToken is returned for a word that is no token.
var ErrToken = errors.New("no token: one is GW1- and three words behind that, with - between, as the command that made it has printed it")

// NewToken makes a token of the cluster whose authority has this pin.
func NewToken(pin string) Token {
	b := make([]byte, idBytes+secretSize)
	_, _ = rand.Read(b) // it never fails
	return Token{Pin: pin, ID: lower(b[:idBytes]), secret: lower(b[idBytes:])}
}

// ParseToken reads a token as Secret writes it, in letters of either case, with spaces around it. The error does not repeat it.
func ParseToken(word string) (Token, error) {
	parts := strings.Split(strings.ToLower(strings.TrimSpace(word)), "-")
	if len(parts) != 4 || parts[0] != tokenMark {
		return Token{}, ErrToken
	}
	for i, size := range []int{pinSize, idBytes, secretSize} {
		b, err := encoding.DecodeString(strings.ToUpper(parts[i+1]))
		if err != nil || len(b) != size {
			return Token{}, fmt.Errorf("%w (its word %d is not whole)", ErrToken, i+2)
		}
	}
	return Token{Pin: parts[1], ID: parts[2], secret: parts[3]}, nil
}

// Secret is the token as whoever has it needs it: nothing else may print it.
func (t Token) Secret() string {
	return strings.ToUpper(tokenMark) + "-" + t.Pin + "-" + t.ID + "-" + t.secret
}

// String is what may be printed and logged of a token.
func (t Token) String() string { return "token " + t.ID }

// GoString is String: a token in a struct that is printed stays a secret.
func (t Token) GoString() string { return t.String() }

// Hash is what the cluster keeps of a token: it knows the token by that, and cannot say it.
func (t Token) Hash() []byte {
	sum := sha256.Sum256([]byte(tokenMark + "-" + t.ID + "-" + t.secret))
	return sum[:]
}

// Is says whether t is the token of which hash was kept. It takes as long whatever is wrong.
func (t Token) Is(hash []byte) bool { return subtle.ConstantTimeCompare(t.Hash(), hash) == 1 }
