package sdk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// vectorsFrom is the first version of clang whose vector code for WebAssembly is right. In those before, a number that is loaded and
// then spread over a vector (v128.load32_splat and its like) is loaded again behind a store to the same place, so that
// `for (i...) d[i] /= p` with p = d[0] divides by 1 from the second element on.
const vectorsFrom = 16

// asksForVectors says whether an option turns vectors on, or off; clang's own ones are with their values.
func asksForVectors(option string) (on, off bool) {
	switch {
	case option == "-msimd128" || option == "-mrelaxed-simd":
		return true, false
	case option == "-mno-simd128":
		return false, true
	case strings.HasPrefix(option, "-Xclang") || strings.HasPrefix(option, "-mllvm"):
		return strings.Contains(option, "+simd128") || strings.Contains(option, "+relaxed-simd"), option == "-Xclang-simd128"
	}
	return false, false
}

// refuseVectors is an error if the compiler makes wrong code of vectors. what names where they are.
func refuseVectors(ctx context.Context, lang Lang, p paths, what string) error {
	driver := p.drivers[lang]
	out, err := exec.CommandContext(ctx, driver, append(p.driverArgs, "-dumpversion")...).Output() //nolint:gosec // the user's compiler
	if err != nil {
		return fmt.Errorf("%s -dumpversion: %w", driver, err)
	}
	version := strings.TrimSpace(string(out))
	number, _, _ := strings.Cut(version, ".")
	if major, err := strconv.Atoi(number); err != nil || major < vectorsFrom {
		return fmt.Errorf("%s: clang %s makes wrong code of vectors for WebAssembly, which give wrong results without a word: do without, or take "+
			"clang %d or later with -cc=CMD or -cxx=CMD", what, version, vectorsFrom)
	}
	return nil
}

// checkMade refuses vectors in what a command has made, which arguments need not show: a function may have an attribute for them. An
// object that is refused does not stay, so that no later make takes it.
func checkMade(ctx context.Context, lang Lang, a arguments, p paths, file string) error {
	if st, err := os.Stat(file); err != nil || !st.Mode().IsRegular() {
		return nil // a pipe, or nothing: whoever needs it says so
	}
	module, err := os.ReadFile(file)
	if err != nil || !usesVectors(module) {
		return err
	}
	name := file
	if file == p.linked() {
		name = a.target()
	}
	err = refuseVectors(ctx, lang, p, "vectors in "+name+`, by an option, an attribute such as target("simd128"), or of an object or library`)
	if err != nil {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}
