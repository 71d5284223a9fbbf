package sdk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Debian's libc++ for WebAssembly is built without exceptions, threads and files. So guests have one that is built from the sources of the same
// LLVM that the compiler is of: libc++ and libc++abi as they are, with an unwinder of Godwit's (lib/cxx).

// llvmVersion is that of the sources. The library is built by the clang that guests are compiled with, and lies in a directory named by this
// and by all that is the SDK's in it.
const llvmVersion = "19"

// ErrNoCXX is returned by a C++ compilation where the C++ library has not been built.
var ErrNoCXX = errors.New("the C++ library for guests is not built yet")

// buildCXX is the command that builds it.
const buildCXX = "godwit sdk --cxx"

// cxxSources are the sources of LLVM's libraries that make the C++ library, without their ending, below libcxx/src and libcxxabi/src.
var cxxSources = map[string]string{ //nolint:gochecknoglobals // an immutable lookup table
	"libcxx": "algorithm any atomic barrier bind call_once charconv chrono condition_variable condition_variable_destructor error_category exception " +
		"expected filesystem/directory_entry filesystem/directory_iterator filesystem/filesystem_clock filesystem/filesystem_error filesystem/operations " +
		"filesystem/path fstream functional future hash ios ios.instantiations iostream legacy_pointer_safety locale memory memory_resource mutex " +
		"mutex_destructor new new_handler new_helpers optional ostream print random random_shuffle regex ryu/d2fixed ryu/d2s ryu/f2s shared_mutex " +
		"stdexcept string strstream system_error thread typeinfo valarray variant vector verbose_abort",
	"libcxxabi": "cxa_aux_runtime cxa_demangle cxa_exception cxa_exception_storage cxa_guard cxa_handlers cxa_thread_atexit " +
		"cxa_vector cxa_virtual fallback_malloc private_typeinfo stdlib_exception stdlib_new_delete stdlib_stdexcept stdlib_typeinfo",
}

// cxxDirs are the places of C++ libraries, those of this user first.
func cxxDirs() []string {
	var dirs []string
	if data := os.Getenv("XDG_DATA_HOME"); data != "" {
		dirs = append(dirs, filepath.Join(data, "godwit"))
	} else if home, err := os.UserHomeDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, ".local", "share", "godwit"))
	}
	return append(dirs, cxxForAll, "/usr/lib/godwit")
}

// cxxForAll is where root builds the C++ library.
const cxxForAll = "/usr/local/lib/godwit"

// cxxOurs are the files of the SDK whose contents the library has in it: a change of one makes another library.
//
//nolint:gochecknoglobals // an immutable list
var cxxOurs = strings.Fields(`cxx/config_site cxx/godwit_raise.cpp cxx/default_handlers.cpp cxx/abort_message.cpp include/pthread.h include/dirent.h include/sys/stat.h
	include/sys/statvfs.h include/__typedef_sigset_t.h`)

// cxxName is the name of the directory of the C++ library that this SDK works with.
func cxxName() (string, error) {
	sum := sha256.New()
	for _, file := range cxxOurs {
		content, err := fs.ReadFile(embedded, "lib/"+file)
		if err != nil {
			return "", fmt.Errorf("read sdk: %w", err)
		}
		fmt.Fprintf(sum, "%s %d\n%s", file, len(content), content)
	}
	fmt.Fprintln(sum, cxxSources, cxxFlags(paths{}, ""))
	return "libc++-" + llvmVersion + "-" + hex.EncodeToString(sum.Sum(nil))[:12], nil
}

// FindCXX returns the directory of the C++ library, or ErrNoCXX.
func FindCXX() (string, error) {
	name, err := cxxName()
	if err != nil {
		return "", err
	}
	for _, dir := range cxxDirs() {
		dir = filepath.Join(dir, name)
		if _, err := os.Stat(filepath.Join(dir, "lib", "libc++.a")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%w: %s builds it once for all programs, in about a minute (see godwit sdk --help)", ErrNoCXX, buildCXX)
}

// cxxLibraries are the archives of the C++ library that a link takes.
func (p paths) cxxLibraries(lang Lang, words []string) []string {
	if p.cxx == "" || !languages[lang].library && !slices.Contains(words, "-lc++") && !slices.Contains(words, "-lc++abi") {
		return nil
	}
	return []string{filepath.Join(p.cxx, "lib", "libc++.a"), filepath.Join(p.cxx, "lib", "libc++abi.a")}
}

// cxxFlags compile the C++ library's own sources, which lie below source.
func cxxFlags(p paths, source string) []string {
	p.cxx = ""
	flags := []string{
		"-O2", "-std=c++23", "-DNDEBUG", "-w", "-nostdinc++", "-fvisibility-global-new-delete=force-default",
		"-D_LIBCPP_BUILDING_LIBRARY", "-D_LIBCXXABI_BUILDING_LIBRARY", "-DLIBCXX_BUILDING_LIBCXXABI", "-D_LIBCPP_DISABLE_DEPRECATION_WARNINGS",
		"-D_LIBCPP_ENABLE_CXX17_REMOVED_UNEXPECTED_FUNCTIONS", "-D_LIBCPP_REMOVE_TRANSITIVE_INCLUDES",
	}
	for _, dir := range []string{"libcxx/src", "libcxxabi/src", "libcxxabi/include"} {
		flags = append(flags, "-I"+filepath.Join(source, filepath.FromSlash(dir)))
	}
	return append(flags, "-ffile-prefix-map="+source+"=llvm", "-I"+filepath.Join(p.sdk, "lib"))
}

// BuildCXX builds the C++ library from LLVM's sources, which has libcxx and libcxxabi in it, and puts it where every guest's compilation
// finds it: for all users if root asks, else for this one. It takes about a minute of two processors, says on stderr what it does, and
// returns the library's directory. One that is there already is left as it is.
func (t Toolchain) BuildCXX(ctx context.Context, source string, stderr io.Writer) (string, error) {
	if dir, err := FindCXX(); err == nil {
		return dir, nil
	}
	for _, dir := range []string{"libcxx/src", "libcxx/include", "libcxxabi/src", "libcxxabi/include", "libcxx/vendor"} {
		if _, err := os.Stat(filepath.Join(source, filepath.FromSlash(dir))); err != nil {
			return "", fmt.Errorf("%s holds no sources of LLVM %s: %w", source, llvmVersion, err)
		}
	}
	p, err := t.locate(C, arguments{mode: modePartial})
	if err != nil {
		return "", err
	}
	base := cxxDirs()[0]
	if os.Geteuid() == 0 {
		base = cxxForAll
	}
	name, err := cxxName()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(base, 0o755); err != nil { //nolint:gosec // for every user of the machine
		return "", fmt.Errorf("build the C++ library: %w", err)
	}
	staging, err := os.MkdirTemp(base, "new-")
	if err != nil {
		return "", fmt.Errorf("build the C++ library: %w", err)
	}
	defer os.RemoveAll(staging) //nolint:errcheck // what is left is harmless
	made, final := filepath.Join(staging, name), filepath.Join(base, name)
	if err := buildCXXIn(ctx, p, source, made, stderr); err != nil {
		return "", fmt.Errorf("build the C++ library: %w", err)
	}
	if err := os.Rename(made, final); err != nil {
		if dir, found := FindCXX(); found == nil { // somebody else was faster
			return dir, nil
		}
		return "", fmt.Errorf("build the C++ library: %w", err)
	}
	return final, nil
}

// buildCXXIn makes the library's headers and archives in dir.
func buildCXXIn(ctx context.Context, p paths, source, dir string, stderr io.Writer) error {
	headers := filepath.Join(dir, "include", "c++", "v1")
	if err := cxxHeaders(p, source, headers); err != nil {
		return err
	}
	objects := filepath.Join(filepath.Dir(dir), "objects")
	type unit struct{ source, object string }
	units := map[string][]unit{}
	for library, names := range cxxSources {
		for _, name := range strings.Fields(names) {
			units[library] = append(units[library], unit{
				filepath.Join(source, library, "src", filepath.FromSlash(name)+".cpp"),
				filepath.Join(objects, library+"-"+strings.ReplaceAll(name, "/", "-")+".o"),
			})
		}
	}
	for _, name := range []string{"godwit_raise", "default_handlers", "abort_message"} {
		units["libcxxabi"] = append(units["libcxxabi"], unit{filepath.Join(p.sdk, "lib", "cxx", name+".cpp"), filepath.Join(objects, name+".o")})
	}
	if err := os.MkdirAll(objects, 0o700); err != nil {
		return err
	}
	flags := slices.Concat(targetFlags(p), headerFlags(paths{sdk: p.sdk, sysroot: p.sysroot, cxx: dir}, p.drivers[C]), cxxFlags(p, source), []string{"-isystem", headers})
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for _, list := range units {
		for _, u := range list {
			group.Go(func() error {
				command := slices.Concat([]string{p.drivers[C], "-x", "c++"}, flags, []string{"-c", u.source, "-o", u.object})
				out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput() //nolint:gosec // the compiler
				if err != nil {
					return fmt.Errorf("%s: %w\n%s", quote(command), err, bytes.TrimSpace(out))
				}
				return nil
			})
		}
	}
	fmt.Fprintf(stderr, "compiling %d files of libc++ and libc++abi\n", len(units["libcxx"])+len(units["libcxxabi"]))
	if err := group.Wait(); err != nil {
		return err
	}
	for library, name := range map[string]string{"libcxx": "libc++.a", "libcxxabi": "libc++abi.a"} {
		var files []member
		for _, u := range units[library] {
			content, err := os.ReadFile(u.object)
			if err != nil {
				return err
			}
			files = append(files, member{data: content})
		}
		if err := writeArchive(filepath.Join(dir, "lib", name), files); err != nil {
			return err
		}
	}
	return os.RemoveAll(objects)
}

// cxxHeaders puts the library's headers together.
func cxxHeaders(p paths, source, headers string) error {
	if err := os.CopyFS(headers, os.DirFS(filepath.Join(source, "libcxx", "include"))); err != nil {
		return err
	}
	for _, name := range []string{"CMakeLists.txt", "__config_site.in"} {
		if err := os.RemoveAll(filepath.Join(headers, name)); err != nil {
			return err
		}
	}
	for to, from := range map[string]string{
		"cxxabi.h":            filepath.Join(source, "libcxxabi", "include", "cxxabi.h"),
		"__cxxabi_config.h":   filepath.Join(source, "libcxxabi", "include", "__cxxabi_config.h"),
		"__assertion_handler": filepath.Join(source, "libcxx", "vendor", "llvm", "default_assertion_handler.in"),
		"__config_site":       filepath.Join(p.sdk, "lib", "cxx", "config_site"),
	} {
		content, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(headers, to), content, 0o644); err != nil { //nolint:gosec // for every user of the machine
			return err
		}
	}
	return nil
}

// writeArchive makes an archive, with an index, of the data of files.
func writeArchive(path string, files []member) error {
	body, files := fattened(files)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // for every user of the machine
		return err
	}
	content := slices.Concat([]byte(archiveMagic), symbolIndex(files), body)
	return os.WriteFile(path, content, 0o644) //nolint:gosec // for every user of the machine
}
