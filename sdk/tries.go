package sdk

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Names that clang calls in code that can throw, or be jumped into, and that nobody defines: which ones there are depends on the program.
const (
	invokePrefix = "invoke_"                    // invoke_SIG(f, arguments...) calls f under a try
	catchPrefix  = "__cxa_find_matching_catch_" // with N: which of N-2 types an exception has
)

// throwers are the functions of which a program calls one if an exception can leave any of its own functions.
var throwers = []string{"__cxa_throw", "__cxa_rethrow", "_ZSt17rethrow_exceptionSt13exception_ptr"} //nolint:gochecknoglobals // an immutable list

// needs is what the objects of a link call for exceptions and longjmp.
type needs struct {
	invokes []string // signatures, sorted, each once
	catches []int    // numbers of types, sorted, each once
	throws  bool     // one of them may throw, or catches: without it a throw only ends the program
	jumps   bool     // one of them calls longjmp
	ends    bool     // one of them has something to be done at the end, in an order of its own (ends.go)
}

// needsOf looks at the objects and archives of a link: those that words name, and the C++ library's, whose own tries are of no use if the user has none.
func needsOf(words, library []string) (needs, error) {
	var n needs
	for _, f := range linkFiles(words) {
		if err := n.add(f.path); err != nil {
			return needs{}, err
		}
	}
	n.throws = n.throws || len(n.invokes) > 0
	throws, ends := n.throws, n.ends
	for _, path := range library {
		if err := n.add(path); err != nil {
			return needs{}, err
		}
	}
	n.throws, n.ends = throws, ends
	slices.Sort(n.invokes)
	n.invokes = slices.Compact(n.invokes)
	slices.Sort(n.catches)
	n.catches = slices.Compact(n.catches)
	return n, nil
}

// any says whether there is anything to define.
func (n needs) any() bool { return n.throws || len(n.invokes) > 0 || len(n.catches) > 0 || n.jumps }

// add looks at one file: an object, or an archive of some. Others call nothing.
func (n *needs) add(path string) error {
	return eachObject(path, readFile(path), func(object []byte) error {
		tries := hasTries(object)
		n.ends = n.ends || hasEnds(object)
		for _, f := range importedFunctions(object) {
			if _, ok := invoked(f.name); ok && !tries {
				continue
			}
			if err := n.call(f.name); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		return nil
	})
}

// call notes that a function is called.
func (n *needs) call(name string) error {
	switch {
	case slices.Contains(throwers, name):
		n.throws = true
	case name == "emscripten_longjmp":
		n.jumps = true
	case strings.HasPrefix(name, catchPrefix):
		count, err := strconv.Atoi(name[len(catchPrefix):])
		if err != nil || count < 2 || count > 1000 {
			return fmt.Errorf("it calls %s, which no clang known here makes", name)
		}
		n.catches = append(n.catches, count-2)
	default:
		if signature, ok := invoked(name); ok {
			n.invokes = append(n.invokes, signature)
		}
	}
	return nil
}

// threwSymbol names what code looks at behind a call under a try.
const threwSymbol = "__THREW__"

// hasTries says whether an object calls anything under a try: without what tells of the end of one, a function that is called as those for that are is the user's.
func hasTries(object []byte) bool {
	for s := range symbolsOf(object) {
		if s.name == threwSymbol {
			return true
		}
	}
	return false
}

// invoked is the signature of what a function calls under a try that clang makes; others that begin so are the user's.
func invoked(name string) (signature string, ok bool) {
	signature, ok = strings.CutPrefix(name, invokePrefix)
	if !ok || signature == "" || strings.Trim(signature, "vijfdV") != "" || strings.Contains(signature[1:], "v") {
		return "", false
	}
	return signature, true
}

// cTypes are those of a signature's letters: the first is the result's, the others are the parameters'.
var cTypes = map[byte]string{ //nolint:gochecknoglobals // an immutable lookup table
	'v': "void", 'i': "int", 'j': "long long", 'f': "float", 'd': "double", 'V': "godwit_vector",
}

// letterTypes are the types of a signature's letters.
var letterTypes = strings.NewReplacer("v", "", "i", "\x7f", "j", "\x7e", "f", "\x7d", "d", "\x7c", "V", "\x7b") //nolint:gochecknoglobals // an immutable lookup table

// invokedType is the type that a signature's letters tell of.
func invokedType(letters string) signature {
	if letters == "" {
		return signature{}
	}
	return signature{params: letterTypes.Replace(letters[1:]), results: letterTypes.Replace(letters[:1])}
}

// source is the C file that defines what is needed (lib/godwit_try.h).
func (n needs) source() []byte {
	var b bytes.Buffer
	b.WriteString("/* What the objects of this link call under a try. */\n")
	if !n.throws {
		b.WriteString("#define GODWIT_NO_THROWS /* nobody throws: these are plain calls */\n")
	}
	b.WriteString("#include \"godwit_try.c\"\n\n")
	for _, signature := range n.invokes {
		var types, params, values []string
		for i, letter := range []byte(signature[1:]) {
			types = append(types, cTypes[letter])
			params = append(params, fmt.Sprintf("%s a%d", cTypes[letter], i))
			values = append(values, fmt.Sprintf("a%d", i))
		}
		result, list := cTypes[signature[0]], strings.Join(types, ", ")
		if list == "" {
			list = "void"
		}
		call := fmt.Sprintf("f(%s)", strings.Join(values, ", "))
		params = append([]string{fmt.Sprintf("%s (*f)(%s)", result, list)}, params...)
		fmt.Fprintf(&b, "%s invoke_%s(%s) {\n", result, signature, strings.Join(params, ", "))
		if result == "void" {
			fmt.Fprintf(&b, "  GODWIT_TRY(%s);\n}\n", call)
		} else {
			fmt.Fprintf(&b, "  GODWIT_TRY(%s result = %s);\n  return result;\n}\n", result, call)
		}
	}
	for _, count := range n.catches {
		var params, values []string
		for i := range count {
			params, values = append(params, fmt.Sprintf("void *a%d", i)), append(values, fmt.Sprintf("a%d", i))
		}
		if count == 0 {
			params, values = []string{"void"}, []string{"0"}
		}
		fmt.Fprintf(&b, "void *%s%d(%s) {\n  void *types[] = {%s};\n  return godwit_matched(types, %d);\n}\n",
			catchPrefix, count+2, strings.Join(params, ", "), strings.Join(values, ", "), count)
	}
	return b.Bytes()
}
