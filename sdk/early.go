package sdk

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// wasm-ld does not look at the type by which a function is called where that call has an archive's member loaded that it knows already: it takes the call as it is, and the module is
// none. So functions of archives that are called by other types than they have are asked for before anything else, by the types that they have, and every other call is looked at then.

// linkedTypes are the types of functions as the files of a link have them, by name.
type linkedTypes struct {
	called, archived map[string]map[signature]bool // archived: defined by members of archives
	given            map[string]bool               // defined by objects, which are in the link in any case
	archives         bool                          // there are some
}

// typesOf reads the files of a link.
func typesOf(files []string) linkedTypes {
	out := linkedTypes{called: make(map[string]map[signature]bool), archived: make(map[string]map[signature]bool), given: make(map[string]bool)}
	note := func(to map[string]map[signature]bool, f functionSymbol) {
		if to[f.name] == nil {
			to[f.name] = make(map[signature]bool)
		}
		to[f.name][f.signature] = true
	}
	for _, f := range linkFiles(files) {
		content := readFile(f.path)
		alone := bytes.HasPrefix(content, []byte(wasmMagic))
		out.archives = out.archives || !alone && len(content) > 0
		_ = eachObject(f.path, content, func(object []byte) error { // there is none but f's, and that has none
			for _, s := range functionSymbols(object) {
				switch {
				case !s.defined:
					note(out.called, s)
				case alone:
					out.given[s.name] = true
				default:
					note(out.archived, s)
				}
			}
			return nil
		})
	}
	return out
}

// early are the functions of a linked program that archives define, and that any object calls by another type.
func (l linkedTypes) early(p *program) map[string]signature {
	out := make(map[string]signature)
	for _, name := range p.names {
		for own := range l.archived[name] {
			others := len(l.called[name])
			if l.called[name][own] {
				others--
			}
			if others > 0 && !l.given[name] && !strings.Contains(own.params+own.results, vectorType) {
				out[name] = own
			}
		}
	}
	return out
}

// writeEarly writes the C file that asks for functions. Nobody calls it.
func writeEarly(path string, functions map[string]signature) error {
	var b bytes.Buffer
	var calls strings.Builder
	for i, name := range slices.Sorted(maps.Keys(functions)) {
		s := functions[name]
		result, params := "void", []string{}
		if s.results != "" {
			result = numberTypes[s.results[0]]
		}
		for _, t := range []byte(s.params) {
			params = append(params, numberTypes[t])
		}
		list := strings.Join(params, ", ")
		if list == "" {
			list = "void"
		}
		fmt.Fprintf(&b, "%s f%d(%s) __asm__(%q);\n", result, i, list, name)
		fmt.Fprintf(&calls, "  f%d(%s);\n", i, strings.TrimSuffix(strings.Repeat("0, ", len(params)), ", "))
	}
	fmt.Fprintf(&b, "__attribute__((visibility(\"hidden\"))) void godwit_early(void) {\n%s}\n", calls.String())
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("scratch directory: %w", err)
	}
	return nil
}

// vectorType is that of vectors, which C has only where they are asked for.
const vectorType = "\x7b"

// numberTypes are C's.
var numberTypes = map[byte]string{0x7f: "int", 0x7e: "long long", 0x7d: "float", 0x7c: "double"} //nolint:gochecknoglobals // an immutable lookup table
