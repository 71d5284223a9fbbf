package native

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// Recipe says how code is made. Objects that are made of one module by two recipes are not the same, but do the same.
type Recipe struct {
	Translator int    // Version of the translator
	Flags      string // a hash of the compiler's
	Level      string // of the processor, as -march has it
	O          string // optimisation: Quick or Best
	Compiler   string // what it calls itself
}

// How a compiler optimises.
const (
	Quick = "-O1" // for guests to begin in
	Best  = "-O3"
)

// Name says what an object is.
type Name struct {
	Module string // hex SHA-256 of the module
	Recipe
}

// String is the name as it is sealed.
func (n Name) String() string {
	return fmt.Sprintf("%s %d %s %s %s %s", n.Module, n.Translator, n.Flags, n.Level, n.O, n.Compiler)
}

// parseName reads what String writes.
func parseName(text string) (Name, error) {
	words := strings.SplitN(text, " ", 6)
	if len(words) < 6 {
		return Name{}, fmt.Errorf("%w: its name is %.80q", ErrSeal, text)
	}
	translator, err := strconv.Atoi(words[1])
	if err != nil {
		return Name{}, fmt.Errorf("%w: its name is %.80q", ErrSeal, text)
	}
	return Name{Module: words[0], Recipe: Recipe{Translator: translator, Flags: words[2], Level: words[3], O: words[4], Compiler: words[5]}}, nil
}

// File is how the object's file is called: objects of other names have others.
func (n Name) File() string {
	sum := sha256.Sum256([]byte(n.String()))
	return fmt.Sprintf("%s%x%s", filePrefix, sum[:16], fileSuffix)
}

// IsFile says whether a file is called as objects are.
func IsFile(name string) bool {
	return strings.HasPrefix(name, filePrefix) && strings.HasSuffix(name, fileSuffix)
}

const (
	filePrefix = "native-"
	fileSuffix = ".so"
)

// ErrSeal is returned for a file that is not what it says that it is: it is damaged, or somebody without the key has made it.
var ErrSeal = errors.New("the seal of the code is broken")

// A sealed object is its seal, the length of its name in two bytes, its name, and then the object.
const (
	sealBytes    = sha256.Size
	maxNameBytes = 1 << 10
)

// MaxSealedBytes bounds a sealed object.
const MaxSealedBytes = MaxObjectBytes + sealBytes + 2 + maxNameBytes

// MaxObjectBytes bounds an object: a longer one could not be loaded.
const MaxObjectBytes = 256 << 20

// Seal makes a file of an object, which nobody can make, or change, who has not the key.
func Seal(key []byte, n Name, object []byte) []byte {
	name := n.String()
	name = name[:min(len(name), maxNameBytes)]
	out := make([]byte, sealBytes, sealBytes+2+len(name)+len(object))
	out = binary.BigEndian.AppendUint16(out, uint16(len(name))) //nolint:gosec // at most maxNameBytes
	out = append(append(out, name...), object...)
	copy(out, sealOf(key, out[sealBytes:]))
	return out
}

func sealOf(key, rest []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(rest)
	return h.Sum(nil)
}

// Sealed is a sealed object that was checked.
type Sealed struct {
	Name
	From int64             // where the object begins
	Sum  [sha256.Size]byte // the object's
}

// Check reads a sealed object, and checks it. It keeps no more of it than its name. Errors are ErrSeal, or r's.
func Check(key []byte, r io.Reader) (Sealed, error) {
	head, name, err := readHead(r)
	if err != nil {
		return Sealed{}, err
	}
	seal, sum := hmac.New(sha256.New, key), sha256.New()
	seal.Write(head[sealBytes:])
	n, err := io.Copy(io.MultiWriter(seal, sum), io.LimitReader(r, MaxObjectBytes+1))
	switch {
	case err != nil:
		return Sealed{}, fmt.Errorf("check code: %w", err)
	case n > MaxObjectBytes:
		return Sealed{}, fmt.Errorf("%w: it is longer than any", ErrSeal)
	case !hmac.Equal(head[:sealBytes], seal.Sum(nil)):
		return Sealed{}, fmt.Errorf("%w: it is damaged, or was not made in this cluster", ErrSeal)
	}
	return Sealed{Name: name, From: int64(len(head)), Sum: [sha256.Size]byte(sum.Sum(nil))}, nil
}

// readHead reads what is before the object.
func readHead(r io.Reader) (head []byte, n Name, err error) {
	head = make([]byte, sealBytes+2, sealBytes+2+maxNameBytes)
	if _, err = io.ReadFull(r, head); err == nil {
		length := int(binary.BigEndian.Uint16(head[sealBytes:]))
		if length > maxNameBytes {
			return nil, Name{}, fmt.Errorf("%w: its name has %d bytes", ErrSeal, length)
		}
		head = head[:len(head)+length]
		_, err = io.ReadFull(r, head[sealBytes+2:])
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, Name{}, fmt.Errorf("%w: it is cut short", ErrSeal)
	case err != nil:
		return nil, Name{}, fmt.Errorf("look at code: %w", err)
	}
	n, err = parseName(string(head[sealBytes+2:]))
	return head, n, err
}

// NameOf is what a file of a sealed object says that it is: who believes it checks it first.
func NameOf(path string) (Name, error) {
	f, err := os.Open(path)
	if err != nil {
		return Name{}, fmt.Errorf("look at code: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	_, n, err := readHead(f)
	return n, err
}

// Proof shows a host that is asked for code that who asks has the key. No seal is one.
func Proof(key []byte, host string, n Name) []byte {
	return sealOf(key, fmt.Appendf(nil, "host %s is asked for %s", host, n))
}
