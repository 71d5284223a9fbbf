package wasm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxFrames is how much of a trap's stack is shown.
const maxFrames = 8

// maxWords bounds a program's last words, in bytes.
const maxWords = 512

// explainTrap tells a trap: in the program's own words, if it has left any before it aborted, else in the engine's, shortened. text is the engine's error,
// module the name that it gives the module in it, overrun whether the C stack has run out.
func explainTrap(text, module, words string, overrun bool) Exit {
	text, trace, _ := strings.Cut(strings.TrimPrefix(text, "wasm error: "), "\nwasm stack trace:\n")
	text = strings.TrimSuffix(text, " (recovered by wazero)")
	frames := framesOf(trace, module)
	code := uint32(codeAbort)
	switch {
	case strings.HasPrefix(text, "out of bounds memory access"):
		code = codeSegv
		if overrun {
			text = stackOverflow
		}
	case strings.HasPrefix(text, "stack overflow"):
		if code, text = codeSegv, callsOverflow; overrun {
			text = stackOverflow
		}
	case strings.HasPrefix(text, "integer divide by zero"), strings.HasPrefix(text, "integer overflow"):
		code = codeFPE
	case strings.HasPrefix(text, unreachable) && len(frames) > 0 && frames[0].calledByAnotherType() != "":
		text, words = frames[0].calledByAnotherType()+" was called by another type than it has: declare it where it is called as it is defined", ""
	case strings.HasPrefix(text, "invalid table access"):
		text = "call through a null or wild function pointer (" + text + ")"
	case strings.HasPrefix(text, "indirect call type mismatch"):
		text = "call of a function through a pointer of another type (" + text + "): its declaration and its definition differ"
	}
	reason := "trap: " + text
	if words != "" && strings.HasPrefix(text, unreachable) {
		reason = words
		if match := raised.FindStringSubmatch(words); match != nil {
			if number, err := strconv.ParseUint(match[1], 10, 7); err == nil {
				code = codeSignal + uint32(number)
			}
		}
	}
	if reason == "trap: "+unreachable {
		reason += "\n  (a call through a pointer that is null or of another type, a function's end without its return, or __builtin_trap; built with -g it may say which)"
	}
	if onFile(frames) {
		reason += " (of a FILE? What fopen returns is NULL where it fails)"
	}
	shown := 0
	for _, f := range frames {
		if f.ours() {
			continue
		}
		if shown++; shown > maxFrames {
			reason += "\n  ..."
			break
		}
		reason += "\n  at " + f.String()
	}
	return Exit{Code: code, Reason: reason}
}

// unreachable is what the engine says of an instruction that is never to be reached.
const unreachable = "unreachable"

// raised are the words of a program that a signal of its own has ended (sdk/lib/godwit_signal.c).
var raised = regexp.MustCompile(`^the program raised signal ([0-9]+) \(`)

// stackOverflow is a stack that is too small.
const stackOverflow = "stack overflow (8 MiB unless the program was linked with -Wl,-z,stack-size=BYTES for more)"

// callsOverflow is recursion that the engine has no room for, though the program's stack has: 80 MB of machine code's frames (wazero's callStackCeiling).
const callsOverflow = "stack overflow (the calls under way take more than the 80 MB that there are for them beside the program's stack: 100 bytes and more each, so a program can recurse some 500,000 deep)"

// frame is one function of a trap's stack.
type frame struct {
	name   string
	places []string // in the source, of a module with debug information: where it was, and where what had been inlined there was called
}

func (f frame) String() string {
	if len(f.places) == 0 {
		return f.name
	}
	return f.name + ", " + strings.Join(f.places, ", inlined at ")
}

// framesOf are the frames of the engine's stack, the innermost first.
func framesOf(trace, module string) []frame {
	var out []frame
	for line := range strings.SplitSeq(trace, "\n") {
		text := strings.TrimSpace(line)
		switch place, ok := placeOf(text); {
		case text == "" || strings.HasPrefix(text, "..."):
		case ok && len(out) > 0 && !strings.HasPrefix(place, "libc-"): // wasi-libc's own: of no use, and wasm-opt takes others' for them
			last := &out[len(out)-1]
			last.places = append(last.places, place)
		case ok:
		default:
			out = append(out, frame{name: frameName(text, module)})
		}
	}
	return out
}

// signature is what the engine says behind a function's name, of the machine's types.
var signature = regexp.MustCompile(`\([a-z0-9,]*\)( [a-z0-9]+| \([a-z0-9,]+\))?$`)

// frameName is the function of a frame of the engine's, "module.function(parameters) results". A function without a name, which the engine calls $ and its index,
// and wasm-opt its index alone, is called by its index.
func frameName(frame, module string) string {
	name := signature.ReplaceAllString(strings.TrimPrefix(frame, module+"."), "")
	if name == "__original_main" || name == "__main_argc_argv" { // as clang calls it
		return "main"
	}
	if index, err := strconv.ParseUint(strings.TrimPrefix(name, "$"), 10, 32); err == nil {
		return fmt.Sprintf("function %d", index)
	}
	return name
}

// placeOf is the place in the source that a line is, if it is one: "0x12: file.c:3:1", or of what was inlined there "file.c:3:1".
func placeOf(line string) (string, bool) {
	place, _, _ := strings.Cut(line, " (inlined)")
	if address, rest, ok := strings.Cut(place, ": "); ok && strings.HasPrefix(address, "0x") {
		place = rest
	}
	parts := strings.Split(place, ":")
	_, err := strconv.Atoi(parts[len(parts)-1])
	return place, err == nil && len(parts) > 1
}

// mismatched begins the names of functions that are called in the place of those whose type is another, and trap: wasm-ld's, or those of `godwit cc` (sdk/adapt.go).
var mismatched = regexp.MustCompile(`^signature_mismatch[0-9]*:`)

// calledByAnotherType is the function that a frame's stands for because its type is another than it was called by, empty if it is none.
func (f frame) calledByAnotherType() string {
	if prefix := mismatched.FindString(f.name); prefix != "" {
		return f.name[len(prefix):]
	}
	return ""
}

// ours reports whether a frame is one of the glue's or the linker's, or of the C++ library's way to an abort, of which nobody learns anything.
func (f frame) ours() bool {
	return f.calledByAnotherType() != "" || strings.HasPrefix(f.name, "signature_adapted") || strings.HasPrefix(f.name, "invoke_") || strings.HasPrefix(f.name, "__wrap_") || strings.HasPrefix(f.name, "godwit_") ||
		slices.Contains([]string{"null_file", "abort_message", "tell()", "abort", "_start", "__main_void"}, f.name)
}

// onFile reports whether a trap was met inside one of C's functions that take a FILE: by far the most often it is a NULL that a program has not looked at. The glue of
// `godwit cc` looks at it before (sdk/lib/godwit_null.c).
func onFile(frames []frame) bool {
	const deep = 3 // what such a function calls, at the most
	return slices.ContainsFunc(frames[:min(deep, len(frames))], func(f frame) bool { return slices.Contains(onFiles, f.name) })
}

//nolint:gochecknoglobals // a constant list
var onFiles = strings.Fields(`fclose fprintf vfprintf fiprintf fputs fputc putc fwrite fread fgets fgetc getc getline getdelim fscanf vfscanf
	ungetc fseek fseeko ftell ftello rewind feof ferror clearerr fileno setvbuf setbuf fgetwc __fgetwc_unlocked fputwc __fputwc_unlocked fgetws fputws ungetwc fwprintf
	vfwprintf vfwscanf fwide setbuffer setlinebuf getw putw`)

// words are what the program has said of its end: bytes up to a zero.
func (g *Guest) words() string {
	at, memory := uint64(g.module.info.lastWords), g.memory.Bytes()
	if at == 0 || at >= uint64(len(memory)) {
		return ""
	}
	text, _, _ := bytes.Cut(memory[at:min(at+maxWords, uint64(len(memory)))], []byte{0})
	return strings.ToValidUTF8(string(text), "?")
}

// word is a word of the guest's memory; 0 outside of it, and at address 0.
func (g *Guest) word(at uint32) uint32 {
	if memory := g.memory.Bytes(); at != 0 && uint64(at)+4 <= uint64(len(memory)) {
		return binary.LittleEndian.Uint32(memory[at:])
	}
	return 0
}
