package sdk

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// definition is a function of the user's.
type definition struct {
	signature

	file    string // the user's name of it
	library bool   // it is the C library's, or the glue's
	rank    int    // of two of a name the higher is linked
	several bool   // there are others with other types, and which is linked is not known
}

// Ranks of definitions.
const (
	ofArchive = iota // linked if it is asked for
	ofWeak
	ofStrong // linked, and no other
)

// linkedTypes are the types of functions as the files of a link have them.
type linkedTypes struct {
	function map[string]definition // of the user's
	sizes    map[string]uint64     // of data of the user's, in bytes
	internal map[string]bool       // functions that only their own files see, and call by several types
	called   map[string]map[signature]bool
	library  map[string]definition // of the libraries, which the user calls and does not have
	single   map[string]definition // of all those that have one type, and that others call by another
	wraps    map[string]bool       // symbols of which the user's calls go elsewhere
	named    bool                  // the user asks for the program's name
	hidden   bool                  // an archive has a function, or data, before the file whose it is
}

// programNames are data of the C library with the name that the program was called by.
var programNames = strings.Fields("program_invocation_name program_invocation_short_name __progname __progname_full") //nolint:gochecknoglobals // an immutable list

// typesOf reads the files of a link. names are the user's for them, in their order; wrapped are the symbols of which calls go elsewhere.
func typesOf(list []linkFile, names []string, wrapped map[string]bool) linkedTypes {
	out := linkedTypes{function: make(map[string]definition), sizes: make(map[string]uint64), internal: make(map[string]bool), wraps: wrapped, called: make(map[string]map[signature]bool), library: make(map[string]definition)}
	archived := make(map[string]bool) // data that archives have
	for i, f := range list {
		eachOf(f.path, func(member string, content []byte) {
			functions := readObject(content).functions
			out.addStubs(functions)
			for s := range symbolsOf(content) {
				out.named = out.named || s.kind == kindData && slices.Contains(programNames, s.name)
				if s.kind == kindData && s.offered() {
					out.sizes[s.name] = s.size()
					archived[s.name] = archived[s.name] || member != ""
					out.hidden = out.hidden || member == "" && archived[s.name] && s.flags&flagBindingMask != bindingWeak
				}
			}
			for _, s := range functions {
				if name := s.calls(functions); name != "" {
					if out.called[name] == nil {
						out.called[name] = make(map[signature]bool)
					}
					for _, as := range append(s.called, s.signature) {
						out.called[name][as] = true
					}
				} else if !s.local && s.defined {
					out.define(s.name, definition{signature: s.signature, file: memberOf(names[i], member), rank: s.rank(member)})
				}
			}
		})
	}
	return out
}

// addLibrary notes functions of a file of the libraries that the user calls. name is what the user is told of it.
func (l *linkedTypes) addLibrary(path, name string) {
	theirs := func(symbol string) bool {
		_, there := l.library[symbol]
		return len(l.called[symbol]) > 0 && !there && !l.defines(symbol) && !l.wraps[symbol]
	}
	eachOf(path, func(member string, content []byte) {
		for s := range symbolsOf(content) {
			if s.kind != kindFunction || !s.offered() || !theirs(s.name) {
				continue
			}
			for _, f := range readObject(content).functions {
				if f.defined && !f.local && theirs(f.name) {
					l.library[f.name] = definition{signature: f.signature, file: memberOf(name, member), library: true}
				}
			}
			return
		}
	})
}

// compare finds the functions that are called by other types than they have.
func (l *linkedTypes) compare() {
	l.single = l.callable()
	if name := l.meant(plainMain); name != plainMain && len(l.called[plainMain]) > 0 {
		l.called[name] = map[signature]bool{{}: true} // in any case by another name
	}
	maps.DeleteFunc(l.single, func(name string, own definition) bool {
		return own.several || len(l.called[name]) == 0 || len(l.called[name]) == 1 && l.called[name][own.signature]
	})
}

// rank is that of a function that is defined in a member of an archive, or in none.
func (s functionSymbol) rank(member string) int {
	switch {
	case member != "":
		return ofArchive
	case s.weak:
		return ofWeak
	}
	return ofStrong
}

// define notes a function.
func (l *linkedTypes) define(name string, d definition) {
	old, there := l.function[name]
	if !there {
		l.function[name] = d
		return
	}
	l.hidden = l.hidden || d.rank == ofStrong && old.rank == ofArchive
	if d.rank > old.rank {
		old, d = d, old
	}
	old.several = old.rank != ofStrong && (old.several || old.signature != d.signature)
	l.function[name] = old
}

// callable are the functions by the names that they are called by, of which some mean others: the linker's --wrap.
func (l linkedTypes) callable() map[string]definition {
	out := maps.Clone(l.function)
	maps.Copy(out, l.library)
	for name := range l.wraps {
		delete(out, name)
		for by, of := range map[string]string{name: wrapPrefix + name, realPrefix + name: name} {
			if d, ok := l.function[of]; ok {
				out[by] = d
			}
		}
	}
	return out
}

// has says whether the user has a function of this name.
func (l linkedTypes) has(name string) bool {
	_, ok := l.function[name]
	return ok
}

// defines says whether the user has a function of this name, or data.
func (l linkedTypes) defines(name string) bool {
	_, data := l.sizes[name]
	return data || l.has(name)
}

// calls is the function of others that code of the object calls by this symbol, empty if it calls none: the symbol is its own, or the compiler's for a further type.
func (s functionSymbol) calls(functions []functionSymbol) string {
	if len(s.called) == 0 {
		return ""
	}
	if !s.defined {
		return s.name
	}
	name, ok := calledBySeveral(s.name)
	if ok && slices.ContainsFunc(functions, func(f functionSymbol) bool { return f.name == name && !f.defined }) {
		return name
	}
	return ""
}

// memberOf is what a file is called that may be an archive's.
func memberOf(file, member string) string {
	if member == "" {
		return file
	}
	return fmt.Sprintf("%s(%s)", file, member)
}

// addStubs notes the compiler's stubs in an object that are of its own functions.
func (l linkedTypes) addStubs(functions []functionSymbol) {
	for _, s := range functions {
		name, ok := calledBySeveral(s.name)
		if ok && !slices.ContainsFunc(functions, func(f functionSymbol) bool { return f.name == name && !f.defined }) {
			l.internal[name] = true
		}
	}
}

// eachOf gives each object of a file; member is its name in an archive, empty for one that is alone.
func eachOf(path string, do func(member string, content []byte)) {
	content := readFile(path)
	if bytes.HasPrefix(content, []byte(wasmMagic)) {
		do("", content)
		return
	}
	files, _, _ := members(path, content)
	for _, m := range files {
		do(m.name, m.data)
	}
}
