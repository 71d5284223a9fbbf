package sdk

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// wasiHeaders is where Debian has the headers of wasi-libc, with those of libc++ below.
const wasiHeaders = "/usr/include/wasm32-wasi"

// headerFlags keep the headers of the machine that builds out. For a guest too, the system's clang searches /usr/local/include before
// wasi-libc's and /usr/include behind it: a header that wasi-libc does not have would be the machine's, and fail inside another, or compile
// and not link. But for these two the order is clang's. A sysroot has its own headers, and so has a clang that is not the system's, such as
// wasi-sdk's: there are no flags for those.
func headerFlags(p paths, compiler string) []string {
	if resolved, err := filepath.EvalSymlinks(compiler); err == nil {
		compiler = resolved
	}
	if p.sysroot != "" || !strings.HasPrefix(compiler, "/usr/bin/") && !strings.HasPrefix(compiler, "/usr/lib/llvm") {
		return nil
	}
	if _, err := os.Stat(wasiHeaders); err != nil {
		return nil // hint says what is missing
	}
	flags := []string{"-nostdlibinc", "-idirafter", filepath.Join(p.sdk, "lib", "include"), "-idirafter", wasiHeaders}
	if p.cxx != "" {
		flags = append(flags, "-cxx-isystem", filepath.Join(p.sdk, "lib", "include", "c++"), "-cxx-isystem", filepath.Join(p.cxx, "include", "c++", "v1"))
	}
	return flags
}

// userHeaderFlags are headerFlags for what the user compiles, whose options may say that the C library's headers are elsewhere.
func userHeaderFlags(a arguments, p paths, compiler string) []string {
	flags := headerFlags(p, compiler)
	switch {
	case slices.ContainsFunc(a.rest, func(arg string) bool {
		return arg == "-nostdinc" || arg == "--sysroot" || strings.HasPrefix(arg, "--sysroot=")
	}):
		return nil
	case slices.Contains(a.rest, "-nostdinc++"):
		p.cxx = ""
		return headerFlags(p, compiler)
	}
	return flags
}
