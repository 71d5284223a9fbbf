package sdk

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
)

// Binutils are the programs for objects and archives that build systems call besides the compilers: `godwit ar` and its like. They are LLVM's.
func Binutils() []string { return []string{"ar", "ranlib", "nm", "strip", "size"} }

// BinutilPrefix goes before their names in bin/ of an installed SDK, and is what configure scripts look for with --host=wasm32-wasi.
const BinutilPrefix = "wasm32-wasi-"

// llvmPackage is what to install for Binutils.
const llvmPackage = "install the Debian package llvm-" + llvmVersion

// RunBinutil runs one of Binutils in the current directory, and returns the exit code for the process.
func (t Toolchain) RunBinutil(ctx context.Context, name string, args []string, stdout, stderr io.Writer) int {
	tool, err := t.binutil(name)
	code := 1
	if err == nil {
		code, err = execute(ctx, append([]string{tool}, args...), stdout, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "godwit %s: %v\n", name, err)
	}
	return code
}

// binutil finds a tool: that of the compiler's LLVM before others. Of an archive the machine's own ar and ranlib do no harm: the link makes the index that they
// cannot make (archive.go).
func (t Toolchain) binutil(name string) (string, error) {
	clang := t.Clang
	if clang == "" {
		clang = preferred("clang")
	}
	var tried []string
	if path, err := exec.LookPath(clang); err == nil {
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			tried = append(tried, filepath.Join(filepath.Dir(resolved), "llvm-"+name))
		}
	}
	tried = append(tried, "llvm-"+name+"-"+llvmVersion, "llvm-"+name)
	if name == "ar" || name == "ranlib" {
		tried = append(tried, name)
	}
	for _, tool := range tried {
		if path, err := exec.LookPath(tool); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: llvm-%s: %s", ErrNoTool, name, llvmPackage)
}
