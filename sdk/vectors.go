package sdk

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// vectorsFrom is the first version of clang whose vector code for WebAssembly is right. In those before, a number that is loaded and
// then spread over a vector (v128.load32_splat and its like) is loaded again behind a store to the same place, so that
// `for (i...) d[i] /= p` with p = d[0] divides by 1 from the second element on.
const vectorsFrom = 16

// checkVectors refuses vectors, if they are asked for, of a clang that makes wrong code of them.
func checkVectors(ctx context.Context, lang Lang, a arguments, p paths) error {
	if a.vectors == "" {
		return nil
	}
	driver := p.clang
	if lang == CXX {
		driver = p.clangXX
	}
	out, err := exec.CommandContext(ctx, driver, append(p.driverArgs, "-dumpversion")...).Output() //nolint:gosec // the user's compiler
	if err != nil {
		return fmt.Errorf("%s -dumpversion: %w", driver, err)
	}
	version := strings.TrimSpace(string(out))
	number, _, _ := strings.Cut(version, ".")
	if major, err := strconv.Atoi(number); err != nil || major < vectorsFrom {
		return fmt.Errorf("%s: clang %s makes wrong code of vectors for WebAssembly, which give wrong results without a word: leave it out, or take "+
			"clang %d or later with -cc=CMD or -cxx=CMD", a.vectors, version, vectorsFrom)
	}
	return nil
}
