package mpi

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

// prototype is a function's signature as wasm32 sees it.
type prototype struct {
	name   string
	result Kind
	params []param
}

// param is a parameter: its C name, for messages, and its type without const.
type param struct {
	name, ctype string
	kind        Kind
}

// parsePrototypes reads the table, by name. A line that does not parse is a programmer error and panics.
var parsePrototypes = sync.OnceValue(func() map[string]*prototype { //nolint:gochecknoglobals // an immutable lookup table
	all := map[string]*prototype{}
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

func parsePrototype(line string) (*prototype, error) {
	head, rest, ok := strings.Cut(strings.TrimSuffix(line, ";"), "(")
	list, tail, closed := strings.Cut(rest, ")")
	words := strings.Fields(strings.ReplaceAll(head, "*", " * "))
	if !ok || !closed || tail != "" || len(words) < 2 {
		return &prototype{}, fmt.Errorf("not a prototype")
	}
	p := &prototype{name: words[len(words)-1], result: I32}
	if words[0] == "double" {
		p.result = F64
	}
	if list = strings.TrimSpace(list); list == "void" || list == "" {
		return p, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		p.params = append(p.params, parseParam(strings.TrimSpace(part)))
	}
	return p, nil
}

// parseParam takes "const int recvcounts[]" apart. An ellipsis is the address of the variable arguments.
func parseParam(text string) param {
	if text == "..." {
		return param{name: "args", ctype: "void *", kind: I32}
	}
	array := strings.Contains(text, "[")
	if array {
		text, _, _ = strings.Cut(text, "[")
	}
	pointer := array || strings.Contains(text, "*")
	words := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(text, "*", " "), "const ", " "))
	p := param{name: words[len(words)-1], ctype: strings.Join(words[:len(words)-1], " "), kind: I32}
	switch {
	case pointer:
		p.ctype += " *"
	case p.ctype == "MPI_Count" || p.ctype == "MPI_Offset":
		p.kind = I64
	}
	return p
}
