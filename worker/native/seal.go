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
const MaxSealedBytes = maxObjectFile + sealBytes + 2 + maxNameBytes

// maxObjectFile bounds an object, in bytes: a longer one could not be loaded.
const maxObjectFile = 256 << 20

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

// Unseal checks a sealed object, and returns its name, and the object: a part of sealed. Errors are ErrSeal.
func Unseal(key, sealed []byte) (Name, []byte, error) {
	if len(sealed) < sealBytes+2 {
		return Name{}, nil, fmt.Errorf("%w: it is cut short", ErrSeal)
	}
	if !hmac.Equal(sealed[:sealBytes], sealOf(key, sealed[sealBytes:])) {
		return Name{}, nil, fmt.Errorf("%w: it is damaged, or was not made in this cluster", ErrSeal)
	}
	length := int(binary.BigEndian.Uint16(sealed[sealBytes:]))
	rest := sealed[sealBytes+2:]
	if length > len(rest) {
		return Name{}, nil, fmt.Errorf("%w: it is cut short", ErrSeal)
	}
	n, err := parseName(string(rest[:length]))
	return n, rest[length:], err
}

// NameOf is what a file of a sealed object says that it is: who believes it unseals it first.
func NameOf(path string) (Name, error) {
	f, err := os.Open(path)
	if err != nil {
		return Name{}, fmt.Errorf("look at code: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	head := make([]byte, sealBytes+2+maxNameBytes)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return Name{}, fmt.Errorf("look at code: %w", err)
	}
	head = head[:n]
	if n < sealBytes+2 {
		return Name{}, fmt.Errorf("%w: it is cut short", ErrSeal)
	}
	length := int(binary.BigEndian.Uint16(head[sealBytes:]))
	if length > n-sealBytes-2 {
		return Name{}, fmt.Errorf("%w: it is cut short", ErrSeal)
	}
	return parseName(string(head[sealBytes+2 : sealBytes+2+length]))
}
