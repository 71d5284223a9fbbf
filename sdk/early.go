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
// none. So functions that had members loaded, and that are called by other types than they have, are asked for before anything else, by the types that they have: every other call is
// looked at then. Which archives there are, linkFiles knows; types that C does not have are left alone.

// linkedTypes are functions of which the files of a link have several types.
type linkedTypes struct {
	mixed    map[string]bool
	archived map[string][]signature // of these: as members of archives define them, in the order of the link
	defined  map[string]bool        // of all: by the user's files
}

// typesOf reads the files of a link.
func typesOf(files []string) linkedTypes {
	out := linkedTypes{mixed: make(map[string]bool), archived: make(map[string][]signature), defined: make(map[string]bool)}
	list := linkFiles(linkerWords(files))
	first := make(map[string]signature)
	eachFunction(list, func(f functionSymbol, _ bool) {
		if s, there := first[f.name]; there && s != f.signature {
			out.mixed[f.name] = true
		} else if !there {
			first[f.name] = f.signature
		}
		if f.defined {
			out.defined[f.name] = true
		}
	})
	if len(out.mixed) == 0 {
		return out
	}
	eachFunction(list, func(f functionSymbol, member bool) {
		if out.mixed[f.name] && f.defined && member {
			out.archived[f.name] = append(out.archived[f.name], f.signature)
		}
	})
	return out
}

// eachFunction goes through the functions that the files of a link define and call; member says that the object is an archive's.
func eachFunction(list []linkFile, do func(f functionSymbol, member bool)) {
	for _, f := range list {
		content := readFile(f.path)
		member := !bytes.HasPrefix(content, []byte(wasmMagic))
		_ = eachObject(f.path, content, func(object []byte) error { // there is none but this one's, and that has none
			for _, s := range functionSymbols(object) {
				do(s, member)
			}
			return nil
		})
	}
}

// linkerWords are the words of a link, and what they give the linker itself is apart.
func linkerWords(words []string) []string {
	var out []string
	for _, w := range words {
		if given, ok := strings.CutPrefix(w, "-Wl,"); ok {
			out = append(out, strings.Split(given, ",")...)
		} else if w != "-Xlinker" {
			out = append(out, w)
		}
	}
	return out
}

// findEarly notes what the next link is to ask for, by what the last one says of the members that it has loaded, and says whether there is anything new.
func (a *adaptation) findEarly(p *program) (more bool) {
	if len(a.types.archived) == 0 {
		return false
	}
	has := make(map[string][]signature)
	for function, name := range p.names {
		if a.types.archived[name] != nil && function < uint64(len(p.typeOf)) {
			has[name] = append(has[name], p.signatureOf(function))
		}
	}
	for line := range strings.Lines(string(readFile(a.extracted))) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t") // who referred, what was loaded, and the symbol
		name := fields[len(fields)-1]
		for _, own := range a.types.archived[name] {
			if _, there := a.early[name]; !there && slices.Contains(has[name], own) && own.inC() {
				a.early[name], more = own, true
			}
		}
	}
	return more
}

// inC says whether C has the types.
func (s signature) inC() bool {
	for _, t := range []byte(s.params + s.results) {
		if numberTypes[t] == "" {
			return false
		}
	}
	return len(s.results) <= 1
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

// numberTypes are C's.
var numberTypes = map[byte]string{0x7f: "int", 0x7e: "long long", 0x7d: "float", 0x7c: "double"} //nolint:gochecknoglobals // an immutable lookup table
