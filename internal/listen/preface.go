package listen

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	// magic begins every preface. No HTTP method or HTTP/2 preface begins with a lower-case g.
	magic = "godwit/"
	// MaxPreface bounds a preface line in bytes, its newline included.
	MaxPreface = 512
	// PrefaceTimeout is how long a new connection may take until its first bytes tell its protocol, and again until a
	// server with a full accept queue takes it.
	PrefaceTimeout = 5 * time.Second
)

var (
	// ErrPreface is returned when a preface is malformed, too long, or cannot be built from the given arguments.
	ErrPreface = errors.New("bad protocol preface")
	errPlain   = errors.New("no preface")
)

// readPreface reads from r up to the preface's newline and no further. It returns errPlain, and the bytes it took, when the
// first bytes are not a preface.
func readPreface(r io.Reader) (proto string, args []string, taken []byte, err error) {
	line := make([]byte, 0, 128)
	one := make([]byte, 1)
	for len(line) < MaxPreface {
		if _, err := io.ReadFull(r, one); err != nil {
			return "", nil, line, fmt.Errorf("read preface: %w", err)
		}
		line = append(line, one[0])
		if n := len(line); n <= len(magic) {
			if line[n-1] != magic[n-1] {
				return "", nil, line, errPlain
			}
			continue
		}
		if one[0] == '\n' {
			proto, args, err = parsePreface(string(line[len(magic) : len(line)-1]))
			return proto, args, line, err
		}
	}
	return "", nil, line, fmt.Errorf("%w: no newline in the first %d bytes", ErrPreface, MaxPreface)
}

func parsePreface(body string) (string, []string, error) {
	words := strings.Split(body, " ")
	for _, w := range words {
		if !validWord(w) {
			return "", nil, fmt.Errorf("%w: %q", ErrPreface, body)
		}
	}
	return words[0], words[1:], nil
}

// formatPreface is the inverse of parsePreface, with magic and newline.
func formatPreface(proto string, args []string) ([]byte, error) {
	line := magic + proto
	for _, a := range args {
		line += " " + a
	}
	if _, _, err := parsePreface(line[len(magic):]); err != nil {
		return nil, err
	}
	if len(strings.Fields(line)) != 1+len(args) {
		return nil, fmt.Errorf("%w: an argument of %q holds a space", ErrPreface, line)
	}
	if len(line)+1 > MaxPreface {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrPreface, len(line)+1, MaxPreface)
	}
	return []byte(line + "\n"), nil
}

// validWord says whether w is one or more printable ASCII characters without space.
func validWord(w string) bool {
	for i := range len(w) {
		if w[i] <= ' ' || w[i] > '~' {
			return false
		}
	}
	return w != ""
}
