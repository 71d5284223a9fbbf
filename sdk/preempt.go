package sdk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
)

// preemptible is the option by which a rank can be stopped in its loops, too.
const preemptible = "--preemptible"

// What each loop begins with then is in lib/godwit_preempt.c: the word that it looks at, and the function that it calls.
const (
	preemptWord     = "godwit_preempt_wanted"
	preemptFunction = "godwit_preempt"
)

const (
	globalSection = 6
	opLoop        = 0x03
	opIf          = 0x04
	opLoad        = 0x28 // of an i32
	emptyType     = 0x40
	exportGlobal  = 3
)

// preemptMark is the section of an object that was compiled with the option: a link of one makes such a program.
const preemptMark = "godwit.preemptible"

// markPreemptible gives an object that section. What is none stays as it is.
func markPreemptible(path string) error {
	if !isFile(path) {
		return nil
	}
	content := readFile(path)
	if !bytes.HasPrefix(content, []byte(wasmMagic)) {
		return nil
	}
	content = appendName(append(content, customSection), string(appendName(nil, preemptMark)))
	if err := os.WriteFile(path, content, 0o600); err != nil { // it is there, and keeps its mode
		return fmt.Errorf("%s: %w", preemptible, err)
	}
	return nil
}

// markedPreemptible says whether one of the files that the words of a link name is, or has, such an object.
func markedPreemptible(words []string) bool {
	found := false
	for _, f := range linkFiles(words) {
		eachOf(f.path, func(_ string, content []byte) {
			for id, section := range sections(content) {
				found = found || id == customSection && section.name() == preemptMark
			}
		})
	}
	return found
}

// preemptFlags have the linker keep what loops need.
func preemptFlags() []string {
	return []string{"-Wl,--export=" + preemptWord, "-Wl,--export=" + preemptFunction}
}

// makePreemptible has every loop of a linked module look whether the rank is to stop. Line numbers do not survive that.
func makePreemptible(path string) error {
	p, err := readProgram(readFile(path))
	if err != nil {
		return err
	}
	word, ok := p.address(preemptWord)
	function, is := p.exported[preemptFunction]
	if !ok || !is {
		return errors.New("the module has no " + preemptFunction)
	}
	look := append([]byte{opConst, 0}, opLoad, 2)
	look = binary.AppendUvarint(look, uint64(word))
	look = append(look, opIf, emptyType, opCall)
	look = append(binary.AppendUvarint(look, function), opEnd)
	kept := p.parts[:0]
	for _, s := range p.parts {
		switch r := (&reader{b: s.content}); s.id {
		case codeSection:
			if s.content, ok = withLooks(r, look, function-p.imports); !ok {
				return errNotRead
			}
		case customSection:
			if name := r.name(); strings.HasPrefix(name, ".debug_") || name == preemptMark {
				continue
			}
		}
		kept = append(kept, s)
	}
	p.parts = kept
	p.dropExports(preemptFunction)
	if err := os.WriteFile(path, p.bytes(), 0o600); err != nil {
		return fmt.Errorf("scratch directory: %w", err)
	}
	return nil
}

// withLooks is a section of code with a look at the begin of each loop, but of the function that a look calls.
func withLooks(code *reader, look []byte, but uint64) (out []byte, ok bool) {
	n := code.uint()
	out = binary.AppendUvarint(nil, n)
	for i := range n {
		body := code.bytes(code.uint())
		if i != but {
			if body, ok = lookingBody(body, look); !ok {
				return nil, false
			}
		}
		out = appendName(out, string(body))
	}
	return out, !code.bad
}

// lookingBody is the body of a function with a look at the begin of each loop.
func lookingBody(body, look []byte) (out []byte, ok bool) {
	r := &reader{b: body}
	for n := r.uint(); n > 0 && !r.bad; n-- {
		r.numbers(2) // how many locals, of which type
	}
	from := 0
	for len(r.b) > 0 && !r.bad {
		op := r.byte()
		r.immediates(op)
		if op == opLoop {
			at := len(body) - len(r.b)
			out = append(append(out, body[from:at]...), look...)
			from = at
		}
	}
	return append(out, body[from:]...), !r.bad
}

// address is that of an exported variable.
func (p *program) address(name string) (uint32, bool) {
	var globals []uint32
	index, found := uint64(0), false
	for _, s := range p.parts {
		r := &reader{b: s.content}
		switch s.id {
		case globalSection:
			for n := r.uint(); n > 0 && !r.bad; n-- {
				r.bytes(2) // its type, and whether it changes
				globals = append(globals, r.constant())
			}
		case exportSection:
			for n := r.uint(); n > 0 && !r.bad; n-- {
				if what, kind, i := r.name(), r.byte(), r.uint(); what == name && kind == exportGlobal {
					index, found = i, true
				}
			}
		}
	}
	if !found || index >= uint64(len(globals)) { // the linker imports none
		return 0, false
	}
	return globals[index], true
}

// constant passes over an expression that is constant, and is its value if it is an i32.
func (r *reader) constant() uint32 {
	value := uint32(0)
	for !r.bad {
		op := r.byte()
		if op == opEnd {
			return value
		}
		if op != opConst {
			r.immediates(op)
			continue
		}
		shift := 0
		for more := true; more && !r.bad; shift += 7 {
			b := r.byte()
			value |= uint32(b&0x7f) << shift
			if more = b&0x80 != 0; !more && b&0x40 != 0 && shift+7 < 32 {
				value |= ^uint32(0) << (shift + 7)
			}
		}
	}
	return value
}
