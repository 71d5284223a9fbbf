package sdk

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// clang calls ldexp for pow(2, i), whatever it is told of the two, and a program may have an ldexp that is another. So calls that only the compiler has made are the glue's
// (lib/godwit_math.c), which calls the library's.

// madeAnyway are such functions; the glue's have names with this prefix.
var madeAnyway = []string{"ldexp", "ldexpf", "ldexpl"} //nolint:gochecknoglobals // an immutable list

const madePrefix = "godwit_"

// callsMade says whether an object calls one of them.
func callsMade(object []byte) bool {
	return slices.ContainsFunc(importedFunctions(object), func(f imported) bool { return slices.Contains(madeAnyway, f.name) })
}

// setMadeApart has an object that a command has compiled of a source call the glue's functions, unless the source calls one of these itself: clang, which is asked for the object once more, has it without
// its optimizer then, too. An object that has one of them is compiled once more by a clang that makes none.
func setMadeApart(ctx context.Context, command []string, object string) error {
	if !isFile(object) {
		return nil
	}
	content := readFile(object)
	if slices.ContainsFunc(definedSymbols(content), func(name string) bool { return slices.Contains(madeAnyway, name) }) {
		words := append(slices.Clone(command), "-w", "-fno-builtin-pow", "-fno-builtin-powf", "-fno-builtin-powl")
		return exec.CommandContext(ctx, words[0], words[1:]...).Run() //nolint:gosec // the command that has run
	}
	if !callsMade(content) {
		return nil
	}
	dir, err := os.MkdirTemp("", "godwit-cc-")
	if err != nil {
		return fmt.Errorf("scratch directory: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what is left is harmless
	plain := filepath.Join(dir, "plain.o")
	words := append(withoutOutputs(command), "-w", "-Xclang", "-disable-llvm-passes", "-c", "-o", plain)
	if err := exec.CommandContext(ctx, words[0], words[1:]...).Run(); err != nil || callsMade(readFile(plain)) { //nolint:gosec // the command that has run
		return nil //nolint:nilerr // as it is it calls what the program has
	}
	imports := importedFunctions(content)
	change := func(s *symbol) {
		name := s.name
		if name == "" && s.index < uint64(len(imports)) {
			name = imports[s.index].name
		}
		if s.kind == kindFunction && s.flags&flagUndefined != 0 && slices.Contains(madeAnyway, name) {
			s.name, s.flags = madePrefix+name, s.flags|flagExplicitName
		}
	}
	if content = renamedObject(content, change, &[]symbol{}); content == nil {
		return nil
	}
	if err := os.WriteFile(object, content, 0o600); err != nil { // it is there, and keeps its mode
		return fmt.Errorf("object: %w", err)
	}
	return nil
}

// withoutOutputs is a command that compiles, without what says what it writes, and where.
func withoutOutputs(command []string) []string {
	var words []string
	for i := 0; i < len(command); i++ {
		switch w := command[i]; {
		case w == "-o" || w == "-MF" || w == "-MT" || w == "-MQ":
			i++
		case w != "-c" && w != "-S" && !strings.HasPrefix(w, "-M"):
			words = append(words, w)
		}
	}
	return words
}
