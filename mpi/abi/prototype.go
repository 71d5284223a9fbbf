package abi

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
)

// Kind is the wasm type of a parameter or result.
type Kind uint8

// The wasm types that MPI functions use.
const (
	I32 Kind = iota + 1
	I64
	F64
)

// prototypes holds the C prototype of every function of the standard, a line each: the one source of
// signatures, for the host functions here and for the declarations in mpi.h.
//
//go:embed prototypes.txt
var prototypes string

// Prototype is a function's signature as wasm32 sees it.
type Prototype struct {
	name   string
	Result Kind
	Params []Param
}

// Param is a parameter: its C name, for messages, and its type without const.
type Param struct {
	Name, CType string
	Kind        Kind
}

// Prototypes reads the table, by name. A line that does not parse is a programmer error and panics.
var Prototypes = sync.OnceValue(func() map[string]*Prototype { //nolint:gochecknoglobals // an immutable lookup table
	all := map[string]*Prototype{}
	for line := range strings.Lines(prototypes) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		p, err := parsePrototype(line)
		if err != nil || all[p.name] != nil {
			panic(fmt.Sprintf("mpi: bad or repeated prototype %q: %v", line, err))
		}
		all[p.name] = p
	}
	return all
})

func parsePrototype(line string) (*Prototype, error) {
	head, rest, ok := strings.Cut(strings.TrimSuffix(line, ";"), "(")
	list, tail, closed := strings.Cut(rest, ")")
	words := strings.Fields(strings.ReplaceAll(head, "*", " * "))
	if !ok || !closed || tail != "" || len(words) < 2 {
		return &Prototype{}, fmt.Errorf("not a prototype")
	}
	p := &Prototype{name: words[len(words)-1], Result: I32}
	if words[0] == "double" {
		p.Result = F64
	}
	if list = strings.TrimSpace(list); list == "void" || list == "" {
		return p, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		p.Params = append(p.Params, parseParam(strings.TrimSpace(part)))
	}
	return p, nil
}

// parseParam takes "const int recvcounts[]" apart. An ellipsis is the address of the variable arguments.
func parseParam(text string) Param {
	if text == "..." {
		return Param{Name: "args", CType: "void *", Kind: I32}
	}
	array := strings.Contains(text, "[")
	if array {
		text, _, _ = strings.Cut(text, "[")
	}
	pointer := array || strings.Contains(text, "*")
	words := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(text, "*", " "), "const ", " "))
	p := Param{Name: words[len(words)-1], CType: strings.Join(words[:len(words)-1], " "), Kind: I32}
	switch {
	case pointer:
		p.CType += " *"
	case p.CType == "MPI_Count" || p.CType == "MPI_Offset":
		p.Kind = I64
	}
	return p
}
