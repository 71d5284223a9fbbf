package sdk

import (
	"bytes"
	"os"
	"strings"
)

// A function with __attribute__((destructor)) runs behind all handlers of atexit and the destructors of static objects. clang has a constructor of each file register them, as if they were such handlers: a link has
// these calls come to the glue (lib/godwit_start.c), and marks them.

const (
	endsFunction = ".Lregister_call_dtors" // clang's name for what registers; with a dot and a priority behind it for those that have one
	threadEnds   = "__cxa_thread_atexit"   // has a thread_local destroyed
	endsPlain    = 1                       // marks of the glue
	endsPriority = 2
)

// endFlags have what is to be done at the end come to the glue.
func (n needs) endFlags() []string {
	if !n.ends {
		return nil
	}
	return []string{"-Wl,--wrap=__cxa_atexit", "-Wl,--wrap=exit"}
}

// hasEnds says whether an object has anything that the end of a program has its own place for.
func hasEnds(object []byte) bool {
	for s := range symbolsOf(object) {
		if s.kind == kindFunction && strings.HasPrefix(s.name, endsFunction) {
			return true
		}
	}
	for _, f := range importedFunctions(object) {
		if f.name == threadEnds {
			return true
		}
	}
	return false
}

// markEnds has the functions of a linked module that register destructors say so.
func (n needs) markEnds(path string) error {
	if !n.ends {
		return nil
	}
	module := readFile(path)
	p, err := readProgram(module)
	if err != nil {
		return err
	}
	for _, s := range p.parts {
		if s.id != codeSection {
			continue
		}
		code := &reader{b: s.content}
		for i, end := p.imports, p.imports+code.uint(); i < end && !code.bad; i++ {
			body := code.bytes(code.uint())
			if kind, ok := strings.CutPrefix(p.names[i], endsFunction); ok {
				markEnd(body, kind != "")
			}
		}
		if code.bad {
			return errNotRead
		}
	}
	return os.WriteFile(path, p.bytes(), 0o600)
}

// markEnd writes the mark into the body of such a function: in place of the constant 0 before __dso_handle, which goes to the call at once or, at -O0, by a local. Other constants there are five bytes long.
// A body that is otherwise is another compiler's, and stays: what it registers runs as a handler.
func markEnd(body []byte, priority bool) {
	mark := byte(endsPlain)
	if priority {
		mark = endsPriority
	}
	for _, next := range []byte{opConst, opLocalSet} {
		if at := bytes.Index(body, []byte{opConst, 0, next}); at >= 0 {
			body[at+1] = mark
			return
		}
	}
}
