package sdk

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// mismatch is a function that is called by another type than it has: one whose calls have been redirected, or of which wasm-ld tells, once for each such type. Of a function that the files have with several
// types, and a file calls by several, only the compiler tells: nothing is known then of the function's own type and of the files.
type mismatch struct {
	symbol          string
	called, defined string // types, as signature's String
	caller, definer string // files
	library         bool   // it is the C library's

	name    string  // that the program's names have for the symbol: C++'s as in the source
	stub    *uint64 // the function that wasm-ld calls instead, nil if nobody calls it
	between bool    // another function is called instead (redirect.go)
	adapted bool    // what was called is called
	open    bool    // what takes the last of the arguments that it is called with may be an open list of them
}

// mismatched is how wasm-ld tells of a mismatch.
var mismatched = regexp.MustCompile(`(?m)^.*: warning: function signature mismatch: (.+)\n>>> defined as (\(.*\) -> .+) in (.+)\n>>> defined as (\(.*\) -> .+) in (.+)\n\n?`)

// variadic are functions of the C library with an open list of arguments. A caller that does not know of the list has made none.
//
//nolint:gochecknoglobals // an immutable list
var variadic = strings.Fields(`printf fprintf sprintf snprintf dprintf asprintf scanf fscanf sscanf wprintf fwprintf swprintf wscanf fwscanf swscanf
	open openat fcntl ioctl syslog err errx warn warnx`)

// lacksList says whether a call gives one of variadic other arguments where the list of them should be.
func lacksList(called, defined signature, symbol string) bool {
	return len(called.params) >= len(defined.params) && slices.Contains(variadic, symbol)
}

// cutMismatches takes the mismatches out of what wasm-ld has said. names are the user's for its files.
func cutMismatches(said string, names *strings.Replacer) (list []*mismatch, rest string) {
	for _, m := range mismatched.FindAllStringSubmatch(said, -1) {
		list = append(list, &mismatch{symbol: m[1], called: m[2], caller: names.Replace(m[3]), defined: m[4], definer: names.Replace(m[5]), name: m[1]})
	}
	return list, mismatched.ReplaceAllString(said, "")
}

// The compiler's names for its own stubs of a function that one file calls by several types: of those that call it with what may be too little, and of those that trap. They are numbered, behind a dot,
// from the second on.
const (
	localPrefix   = ".L"
	severalSuffix = "_bitcast"
	trapsSuffix   = "_invalid"
)

// calledBySeveral is the function whose stub of the compiler's has this name.
func calledBySeveral(stub string) (name string, ok bool) {
	at := strings.LastIndex(stub, severalSuffix)
	if at < 0 || !strings.HasPrefix(stub, localPrefix) {
		return "", false
	}
	number := strings.TrimPrefix(stub[at+len(severalSuffix):], trapsSuffix)
	return stub[len(localPrefix):at], number == "" || number[0] == '.'
}

// findStubs looks for the stub of each mismatch, and adds those that have the compiler's, but for internal functions: those have no symbol. wasm-ld makes its own in the order in which it tells of them, and leaves out those that nobody calls.
func (p *program) findStubs(list []*mismatch, internal map[string]bool) []*mismatch {
	next, told := 0, list
	for index := range uint64(len(p.typeOf)) {
		if name, ok := calledBySeveral(p.names[index]); ok && !internal[name] {
			list = append(list, &mismatch{symbol: name, name: name, called: p.signatureOf(index).String(), stub: &index})
			continue
		}
		name, ok := strings.CutPrefix(p.names[index], stubPrefix+":")
		if !ok {
			continue
		}
		called := p.signatureOf(index).String()
		for i, m := range told[next:] {
			if m.called == called && (m.symbol == name || strings.HasPrefix(m.symbol, "_Z") && strings.Contains(m.symbol, identifier(name))) {
				m.stub, m.name = &index, name
				next += i + 1
				break
			}
		}
	}
	return list
}

// identifier is the last one of a function's name in C++, without what its mangled form need not have.
func identifier(name string) string {
	name, _, _ = strings.Cut(name, "(")
	name = name[strings.LastIndex(name, ":")+1:]
	name, _, _ = strings.Cut(name, "<")
	if strings.HasPrefix(name, "operator") {
		return ""
	}
	return strings.TrimPrefix(name, "~")
}

// adaptation is the state of the links that a program takes until all that it calls by another type is in it: for wasm-ld a call by another type is none, so that it
// leaves out what is not called otherwise. Each link that finds such calls is followed by one that exports what they mean, which may call others.
type adaptation struct {
	types    linkedTypes // of the user's files, which each link has
	list     []*mismatch // of the last link
	program  *program    // of the last link, nil if it cannot be read or has no mismatches
	exported []string    // what the next link is to export, for this alone
}

// linked takes note of a link, and says whether there has to be another.
func (a *adaptation) linked(module []byte, list []*mismatch) (again bool) {
	a.list, a.program = list, nil
	if len(list) == 0 && !bytes.Contains(module, []byte(severalSuffix)) {
		return false
	}
	var err error
	if a.program, err = readProgram(module); err != nil {
		return false // whoever reads it next says what is wrong
	}
	a.list = a.program.findStubs(list, a.types.internal)
	for _, m := range a.list {
		m.library = strings.Contains(m.definer, "libc.a(") || m.definer == "" && !a.types.defines(m.symbol)
		if _, _, there := a.program.meant(m.symbol); m.stub != nil && !there && !slices.Contains(a.exported, m.symbol) {
			a.exported, again = append(a.exported, m.symbol), true
		}
	}
	return again
}

// flags are those of the next link.
func (a *adaptation) flags() []string {
	var out []string
	for _, symbol := range a.exported {
		out = append(out, "-Xlinker", "--export-if-defined="+symbol) // which may have a comma
	}
	return out
}

// finish adapts the calls of the last link, and gives the module if it has changed.
func (a *adaptation) finish() []byte {
	if a.program == nil || !slices.ContainsFunc(a.list, func(m *mismatch) bool { return m.stub != nil }) {
		return nil
	}
	a.program.adapt(a.list)
	for _, symbol := range a.exported {
		a.program.dropExports(symbol, wrapPrefix+symbol)
	}
	return a.program.bytes()
}

// String says what is called and what is defined.
func (m *mismatch) String() string {
	called := fmt.Sprintf("%s is called with %s", m.name, shortened(m.called))
	if m.definer == "" { // the compiler's
		return called + " by a file that calls it with other types, too"
	}
	return fmt.Sprintf("%s in %s and is defined with %s in %s", called, m.caller, shortened(m.defined), m.definer)
}

// mayBeOpen says whether the last argument of a call may be taken for an open list of them, which is one more parameter: so a call with one open argument has as many as the function. C++'s names tell
// of it.
func (m *mismatch) mayBeOpen(called, defined signature) bool {
	return len(called.params) >= len(defined.params) && !strings.HasPrefix(m.symbol, "_Z") && !m.library && strings.HasSuffix(defined.params, string(rune(typeI32)))
}

// tell writes what the user should know of a program's mismatches: what traps, what may be meant otherwise, and with verbose all.
func (a *adaptation) tell(lang Lang, verbose bool, stderr io.Writer) {
	var open []string
	for _, m := range a.list {
		types := m.String()
		switch {
		case a.program == nil && !m.between: // nothing is known of it
			fmt.Fprintf(stderr, "%s: warning: %s: declare it as it is defined\n", lang, types)
		case m.stub == nil && !m.between:
		case !m.adapted:
			fmt.Fprintf(stderr, "%s: warning: %s: that call will trap; declare it as it is defined\n", lang, types)
		case verbose:
			fmt.Fprintf(stderr, "%s: note: %s: it is called with what it takes\n", lang, types)
		}
		if m.adapted && m.open && m.symbol != plainMain {
			name := m.name
			if m.caller != "" {
				name += " (" + m.caller + ")"
			}
			if !slices.Contains(open, name) {
				open = append(open, name)
			}
		}
	}
	const shown = 8
	if len(open) > shown {
		open = append(open[:shown], fmt.Sprintf("%d more", len(open)-shown))
	}
	if len(open) > 0 {
		fmt.Fprintf(stderr, "%s: note: called by other types than they have: %s; each is called with what it takes, but one that is defined with ... gets wrong arguments without its declaration\n", lang, strings.Join(open, ", "))
	}
}

// mixedUp is how wasm-opt says that a function is called with what it does not take.
var mixedUp = regexp.MustCompile(`call param types must match, on\s+\(call \$(\S+)`)

// explainMixed writes which functions a module calls with what they do not take: clang has one function for two types whose parts are as large.
func explainMixed(said []byte, lang Lang, stderr io.Writer) {
	if match := mixedUp.FindSubmatch(said); match != nil {
		name := string(match[1])
		if at := strings.Index(name, ":"); strings.HasPrefix(name, adapterPrefix) && at > 0 {
			name = name[at+1:]
		}
		fmt.Fprintf(stderr, "%s: %s is called by several types in a file, of which clang takes two for one: declare it as it is defined\n", lang, name)
	}
}

// manyOfOne is how many parameters of one type in a row are counted, and not listed.
const manyOfOne = 5

// shortened is a type without a result that is none, and with long rows of equal parameters counted.
func shortened(types string) string {
	types = strings.TrimSuffix(types, " -> void")
	list, result, ok := strings.Cut(strings.TrimPrefix(types, "("), ")")
	if !ok {
		return types
	}
	var out []string
	params := strings.Split(list, ", ")
	for at := 0; at < len(params); {
		end := at
		for end < len(params) && params[end] == params[at] {
			end++
		}
		if end-at >= manyOfOne {
			out = append(out, fmt.Sprintf("%d times %s", end-at, params[at]))
		} else {
			out = append(out, params[at:end]...)
		}
		at = end
	}
	return "(" + strings.Join(out, ", ") + ")" + result
}

// userNames puts the names of the user's files in the place of those of the scratch directory.
func (do plan) userNames(scratch string) *strings.Replacer {
	var pairs []string
	for _, s := range do.sources {
		pairs = append(pairs, s.object, s.path)
	}
	for i, name := range do.fileNames() {
		if name != "" {
			pairs = append(pairs, indexedArchive(scratch, i), name, redirectedFile(scratch, i)+".o", name, redirectedFile(scratch, i)+".a", name)
		}
	}
	return strings.NewReplacer(append(pairs, scratch+string(os.PathSeparator), "")...)
}

// fileNames are the user's for the files of a link, in the order of linkFiles.
func (do plan) fileNames() []string {
	var out []string
	for _, f := range linkFiles(do.files) {
		name := f.path
		for _, s := range do.sources {
			if s.object == name {
				name = s.path
			}
		}
		out = append(out, name)
	}
	return out
}
