package sdk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A program may define functions and data whose names the C library has, too, for itself: as `double signal[64]`, or a `close` that is another. Natively the library's own calls stay its own. So where the
// user's files define such names the library and the glue have private ones for theirs, in copies: what they define and refer to, and what stands before it (lib/wrapped.txt). As natively, too, they share
// with the user data that are as large, as optind, and the functions of malloc.h, so that whoever frees what strdup has given frees it where it is from.

// ownPrefix begins the private names.
const ownPrefix = "godwit_own:"

// allocators are the functions that a program replaces for its libraries, too, if it has the first two of them.
var allocators = strings.Fields("malloc free calloc realloc aligned_alloc posix_memalign memalign valloc malloc_usable_size") //nolint:gochecknoglobals // an immutable list

// ownNames are the names of a link that the user has, and the C library or the glue.
type ownNames struct {
	private map[string]bool // the libraries have names of their own in their place
	shared  map[string]bool // the libraries use what the user has
	wrapped map[string]bool // the user's calls go elsewhere, by --wrap, and the libraries' do not: what they call has a private name, too
	before  map[string]bool // the glue stands before these (lib/wrapped.txt)
	abort   bool            // the user has one that the C++ library may call
	malloc  bool            // the functions of malloc.h are the user's, and the glue stands before none of them
}

// ownMalloc says whether a program has its own functions of malloc.h.
func (l linkedTypes) ownMalloc() bool { return l.has(allocators[0]) && l.has(allocators[1]) }

// namesOf finds the names that the user's files define, and the glue, or the C library in archives. wrapped are the linker's options for what the glue stands before.
func namesOf(user linkedTypes, glue string, archives []string, wrapped []byte) ownNames {
	n := ownNames{malloc: user.ownMalloc(), private: make(map[string]bool), shared: make(map[string]bool), wrapped: make(map[string]bool), before: make(map[string]bool)}
	abort, ok := user.function["abort"]
	n.abort = ok && abort.signature == signature{}
	for option := range strings.FieldsSeq(string(wrapped)) {
		n.before[strings.TrimPrefix(option, "--wrap=")] = true
	}
	note := func(_ string, content []byte) {
		for s := range symbolsOf(content) {
			switch {
			case !s.offered() || reservedName(s.name):
			case !user.defines(s.name):
				if s.kind == kindFunction && (user.wraps[s.name] || n.before[s.name] && user.wrapping(s.name)) {
					n.wrapped[s.name] = true
				}
			case s.kind == kindFunction && user.ownMalloc() && user.has(s.name) && slices.Contains(allocators, s.name),
				s.kind == kindData && !user.has(s.name) && user.sizes[s.name] == s.size() && !n.private[s.name]:
				n.shared[s.name] = true
			default:
				n.private[s.name] = true
				delete(n.shared, s.name)
			}
		}
	}
	for _, path := range append([]string{glue}, archives...) {
		eachOf(path, note)
	}
	return n
}

// wrapping says whether the user has, or calls, a function that means something by --wrap of another alone.
func (l linkedTypes) wrapping(name string) bool {
	return l.defines(wrapPrefix+name) || len(l.called[realPrefix+name]) > 0
}

// reservedNames begin the names that are no program's to have otherwise than the libraries mean them: those of main, of what the compilers call, of the host's calls, and the glue's.
var reservedNames = strings.Fields("__main_ __original_main __wrap___main_ __wasm_ __wasi __cxa_ __gxx_ __THREW__ __threwValue _start godwit_") //nolint:gochecknoglobals // an immutable list

// reservedName says whether a name is one of these.
func reservedName(name string) bool {
	return slices.ContainsFunc(reservedNames, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// any says whether there are some.
func (n ownNames) any() bool { return len(n.private)+len(n.shared)+len(n.wrapped) > 0 }

// realPrefix begins the names by which what stands before a function calls that.
const realPrefix = "__real_"

// of is the private name for a name that has one.
func (n ownNames) of(name string) (private string, ok bool) {
	if name == "godwit_program_abort" && n.abort { // lib/godwit_words.c
		return "abort", true
	}
	for _, prefix := range []string{wrapPrefix, realPrefix} { // of what stands before another
		if of, ok := strings.CutPrefix(name, prefix); ok && (n.private[of] || n.wrapped[of]) {
			return prefix + ownPrefix + of, true
		}
	}
	return ownPrefix + name, n.private[name] || n.wrapped[name]
}

// offers is the name by which the user has a function of the libraries for which they have a private one: it is what the glue has before it, if it does.
func (n ownNames) offers(name string) (string, bool) {
	if of, ok := strings.CutPrefix(name, wrapPrefix); ok && n.before[of] {
		return of, n.wrapped[of]
	}
	return name, n.wrapped[name] && !n.before[name]
}

// object is a copy of an object of the libraries with the private names; nil: there are none, or it cannot be read.
func (n ownNames) object(content []byte) []byte {
	some, also := false, []symbol(nil) // also are symbols to add
	imports := importedFunctions(content)
	change := func(s *symbol) {
		name, undefined := s.name, s.flags&flagUndefined != 0
		if s.kind == kindFunction && undefined && name == "" && s.index < uint64(len(imports)) {
			name = imports[s.index].name
		}
		private, ok := n.of(name)
		switch {
		case s.kind != kindFunction && s.kind != kindData || s.flags&flagBindingMask == bindingLocal:
		case ok:
			if of, stands := n.offers(name); stands && !undefined {
				alias := *s
				alias.name = of
				also = append(also, alias)
			}
			of, below := strings.CutPrefix(name, realPrefix)
			if below && undefined && n.before[of] && !slices.ContainsFunc(imports, func(f imported) bool { return f.name == of }) { // by its own name the library's is loaded
				also = append(also, symbol{kind: s.kind, flags: s.flags&^flagBindingMask | flagExplicitName, index: s.index, name: ownPrefix + of})
			}
			s.name, some = private, true
			if undefined && s.kind == kindFunction {
				s.flags |= flagExplicitName
			}
		case n.shared[name] && !undefined && s.kind == kindData: // they are elsewhere
			s.flags, s.place, some = s.flags|flagUndefined, nil, true
		case n.shared[name] && !undefined:
			s.name, some = ownPrefix+name, true
		}
	}
	out := renamedObject(content, change, &also)
	if !some {
		return nil
	}
	return out
}

// renamedObject is an object with symbols as change makes them, and those that it adds; nil: it cannot be read.
func renamedObject(content []byte, change func(*symbol), also *[]symbol) []byte {
	out := []byte(wasmMagic)
	for id, section := range sections(content) {
		part := section.b
		if id == customSection && section.name() == linkingSection {
			part = append(appendName(nil, linkingSection), section.renamed(change, also)...)
			if section.bad {
				return nil
			}
		}
		out = appendName(append(out, id), string(part))
	}
	return out
}

// renamed is the linking section, behind its name, with symbols as change makes them, and those that it adds.
func (r *reader) renamed(change func(*symbol), also *[]symbol) []byte {
	out := binary.AppendUvarint(nil, r.uint())
	for len(r.b) > 0 && !r.bad {
		kind, part := r.byte(), &reader{b: r.bytes(r.uint())}
		content := part.b
		if kind == symbolSubsection {
			content = part.changedSymbols(change, also)
		}
		out = appendName(append(out, kind), string(content))
		r.bad = r.bad || part.bad
	}
	return out
}

// wrapOptions are the names that the glue stands before, as the linker reads them.
func (n ownNames) wrapOptions(all []byte) []byte {
	var out []byte
	for line := range bytes.Lines(all) {
		option, name, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
		if n.malloc && slices.Contains(allocators, name) {
			continue
		}
		if n.private[name] || n.wrapped[name] {
			name = ownPrefix + name
		}
		out = fmt.Appendf(out, "%s=%s\n", option, name)
	}
	return out
}

// ownDir is where in the scratch directory copies of libraries are.
const ownDir = "own"

// setApart gives the libraries of a link private names where the user's files have theirs. It returns the words of the link that name files with the copies, and what has the linker's command take these.
func (p paths) setApart(user linkedTypes, l linkedLibraries, words []string) ([]string, func(command []string) []string, error) {
	glue := p.scratchFile("godwit_glue.o")
	all := filepath.Join(p.sdk, "lib", wrappedFile)
	names := namesOf(user, glue, l.c, readFile(all))
	if !names.any() {
		return words, slices.Clone[[]string], nil
	}
	copies := make(map[string]string)
	for _, path := range slices.Concat([]string{glue, p.scratchFile("godwit_tries.o")}, l.c, l.cxx) {
		target := path // of what is ours
		if filepath.Dir(path) != p.scratch {
			target = filepath.Join(p.scratchFile(ownDir), filepath.Base(path))
		}
		copied, err := changedCopy(path, strings.TrimSuffix(target, filepath.Ext(target)), func(_ string, content []byte) []byte { return names.object(content) })
		if err != nil {
			return nil, nil, fmt.Errorf("scratch directory: %w", err)
		}
		copies[path] = copied
	}
	var out []string
	for _, f := range linkFiles(words) {
		if library := l.of(f.path); copies[library] != "" {
			out = append(out, copies[library])
		} else {
			out = append(out, f.words...)
		}
	}
	if err := os.WriteFile(p.scratchFile(wrappedFile), names.wrapOptions(readFile(all)), 0o600); err != nil {
		return nil, nil, fmt.Errorf("scratch directory: %w", err)
	}
	return out, func(command []string) []string {
		out := slices.Insert(slices.Clone(command), 1, "-L"+p.scratchFile(ownDir))
		if i := slices.Index(out, "-Wl,@"+all); i >= 0 {
			out[i] = "-Wl,@" + p.scratchFile(wrappedFile)
		}
		return out
	}, nil
}
