package sdk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ianlancetaylor/demangle"
)

// wasm-ld looks at the type by which a function is called only where it knows the function and sees a call: one that has an archive's member loaded is taken as it is, and the module is none, or one that
// takes other values; a call under a try is one of another function. And where it puts a stub in a function's place that is its address, too. So calls of functions by other types than they have
// are made calls of functions in between, before the link, in copies of the objects that call: each stands in a member of its own of an archive before all others, so that what is loaded, and in which order,
// stays as it was. Left to wasm-ld and adapt.go are functions that have several types, and what the libraries call.

// redirection is a function that a file calls by a type that it does not have.
type redirection struct {
	call

	defined signature
	definer string // the user's name of the file
	library bool   // it is the C library's, or the glue's
	name    string // of what is called instead
	adapted bool   // it calls the function, and does not trap
}

// call is what a file calls a function by.
type call struct {
	symbol string
	called signature
	caller string // the user's name of the file
	weak   bool   // no file is loaded for it
}

// redirects are those of a link.
type redirects struct {
	files []linkFile
	names []string // of the files, for the user
	types linkedTypes
	list  []*redirection
	found map[call]*redirection
	count map[string]int // of each name
	dir   string         // for files

	libraries linkedLibraries // which are not the user's, be they among the words
}

// read reads the files that words name, which names are the user's for.
func (r *redirects) read(words, names []string) {
	r.files, r.names = linkFiles(words), names
	for i := range r.files {
		if r.libraries.of(r.files[i].path) != "" {
			r.files[i].path = ""
		}
	}
	r.types = typesOf(r.files, names, wrappedSymbols(words))
}

// redirect rewrites the calls in copies of the files, which are in the words that it returns.
func (r *redirects) redirect() ([]string, error) {
	r.types.compare()
	r.found, r.count = make(map[call]*redirection), make(map[string]int)
	var out []string
	for i, f := range r.files {
		copied, err := r.rewrite(f.path, r.names[i], redirectedFile(r.dir, i))
		if err != nil {
			return nil, fmt.Errorf("scratch directory: %w", err)
		}
		if copied == "" {
			out = append(out, f.words...)
		} else {
			out = append(out, copied)
		}
	}
	if r.types.hidden {
		return objectsFirst(out), nil
	}
	return out, nil
}

// redirectedFile is the copy in dir of the i-th file of a link, without what says what it is.
func redirectedFile(dir string, i int) string {
	return filepath.Join(dir, fmt.Sprintf("redirected-%d", i))
}

// rewrite writes a copy of a file whose calls go elsewhere, and returns its path; none: nothing changes.
func (r *redirects) rewrite(path, name, target string) (string, error) {
	if len(r.types.single) == 0 {
		return "", nil
	}
	return changedCopy(path, target, func(member string, content []byte) []byte { return r.object(content, memberOf(name, member)) })
}

// object returns an object with its calls redirected; nil: it has none.
func (r *redirects) object(object []byte, caller string) []byte {
	o := readObject(object)
	var list []recalled
	at := make(map[string]int) // in list
	for _, s := range o.functions {
		name := s.calls(o.functions)
		meant := r.types.meant(name)
		own, ok := r.types.single[meant]
		if !ok || s.renamed && !s.defined {
			continue
		}
		weak := slices.ContainsFunc(o.functions, func(f functionSymbol) bool { return f.name == name && !f.defined && f.weak })
		for _, as := range s.called {
			if as == own.signature && s.signature == as && !s.defined && meant == name {
				continue
			}
			instead := r.of(call{meant, as, caller, weak}, own).name
			i, there := at[instead]
			if !there { // the compiler has a stub for each type of C
				i = len(list)
				at[instead], list = i, append(list, recalled{signature: as, instead: instead})
			}
			list[i].calls = append(list[i].calls, calledAs{s.symbol, as})
		}
	}
	if len(list) == 0 {
		return nil
	}
	return o.recalled(list)
}

// of is the redirection of a file's calls of a function by a type.
func (r *redirects) of(c call, own definition) *redirection {
	d := r.found[c]
	if d == nil {
		d = &redirection{call: c, defined: own.signature, definer: own.file, library: own.library}
		_, d.adapted = adapter(c.called, d.defined, 0)
		if d.library && lacksList(c.called, d.defined, c.symbol) {
			d.adapted = false
		}
		prefix := stubPrefix
		if d.adapted {
			prefix = adapterPrefix
		}
		d.name = prefix + ":" + demangle.Filter(c.symbol)
		if r.count[d.name]++; r.count[d.name] > 1 {
			d.name = prefix + fmt.Sprint(r.count[d.name]) + strings.TrimPrefix(d.name, prefix)
		}
		r.found[c] = d
		r.list = append(r.list, d)
	}
	return d
}

// firstBetween is a number that none of adapt's stubs has.
const firstBetween = 1 << 24

// object is the function in between, for the linker: it calls the function with what that takes, or traps with its number. Its parts are those of WebAssembly's tool conventions, Linking.md.
func (d *redirection) object(number int) []byte {
	const hidden = 4
	imports := []byte{0}
	body, symbols := trapping(firstBetween+uint64(number)), []byte{1, kindFunction, hidden, 0}
	if d.adapted {
		body, _ = adapter(d.called, d.defined, 0)
		imports = append(appendName(appendName([]byte{1}, "env"), d.symbol), kindFunction, 1)
		symbols = []byte{2, kindFunction, flagUndefined, 0, kindFunction, hidden, 1}
		if d.weak {
			symbols[2] |= bindingWeak
		}
	}
	code, symbols := appendName([]byte{1}, string(body)), appendName(symbols, d.name)
	out := []byte(wasmMagic)
	section := func(id byte, content []byte) { out = appendName(append(out, id), string(content)) }
	section(typeSection, d.defined.append(d.called.append([]byte{2})))
	section(importSection, imports)
	section(functionSection, []byte{1, 0})
	section(codeSection, code)
	section(customSection, appendName(append(appendName(nil, linkingSection), linkingVersion, symbolSubsection), string(symbols)))
	if call := appendCall(nil, 0); d.adapted {
		at := bytes.Index(code, call) + 1
		section(customSection, append(binary.AppendUvarint(append(appendName(nil, codeRelocations), 3, 1, relocCall), uint64(at)), 0))
	}
	return out
}

// mismatch is what there is to tell of it.
func (d *redirection) mismatch() *mismatch {
	m := &mismatch{symbol: d.symbol, name: demangle.Filter(d.symbol), called: d.called.String(), defined: d.defined.String(), caller: d.caller, definer: d.definer, adapted: d.adapted, library: d.library, between: true}
	m.open = m.mayBeOpen(d.called, d.defined)
	return m
}

// linked are those that a linked module has.
func (r *redirects) linked(module []byte) []*mismatch {
	if len(r.list) == 0 {
		return nil
	}
	p, err := readProgram(module)
	if err != nil {
		return nil // whoever reads it next says what is wrong
	}
	there := make(map[string]bool)
	for _, name := range p.names {
		there[name] = true
	}
	var out []*mismatch
	for _, d := range r.list {
		if there[d.name] && d.called != d.defined {
			out = append(out, d.mismatch())
		}
	}
	return out
}

// archive writes the archive that the functions in between are in, and returns its path; none: there are none.
func (r *redirects) archive() ([]string, error) {
	if len(r.list) == 0 {
		return nil, nil
	}
	var files []member
	for i, d := range r.list {
		files = append(files, member{data: d.object(i)})
	}
	path := filepath.Join(r.dir, "between.a")
	if err := writeArchive(path, files); err != nil {
		return nil, fmt.Errorf("scratch directory: %w", err)
	}
	return []string{path}, nil
}
