package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// sourcePackage is Debian's package of LLVM's sources.
const sourcePackage = "llvm-toolchain-" + llvmVersion

// errNoSources is returned where apt knows of no sources.
var errNoSources = errors.New("apt has no list of Debian's packages here: unpack LLVM " + llvmVersion + "'s sources, and name their directory by --source")

// FetchLLVM gets the sources of LLVM's C++ libraries from the mirror of Debian's packages that this machine uses, below dir, and returns their directory. It
// downloads 165 MB by apt-get, which checks them, and changes nothing of the system. What goes on it says on stderr.
func FetchLLVM(ctx context.Context, dir string, stderr io.Writer) (string, error) {
	lists, err := sourceLists("/etc")
	if err != nil {
		return "", fmt.Errorf("sources of LLVM %s: %w", llvmVersion, err)
	}
	parts := filepath.Join(dir, "parts")
	for _, name := range []string{parts, filepath.Join(dir, "lists", "partial"), filepath.Join(dir, "cache", "archives", "partial")} {
		if err := os.MkdirAll(name, 0o755); err != nil { //nolint:gosec // apt reads it as another user
			return "", fmt.Errorf("sources of LLVM %s: %w", llvmVersion, err)
		}
	}
	for name, content := range lists {
		if err := os.WriteFile(filepath.Join(parts, name), content, 0o644); err != nil { //nolint:gosec // as above
			return "", fmt.Errorf("sources of LLVM %s: %w", llvmVersion, err)
		}
	}
	options := []string{
		"-q", "-o", "Dir::Etc::sourcelist=/dev/null", "-o", "Dir::Etc::sourceparts=" + parts, "-o", "Dir::State::lists=" + filepath.Join(dir, "lists"),
		"-o", "Dir::Cache=" + filepath.Join(dir, "cache"), "-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=1",
	}
	fmt.Fprintf(stderr, "downloading %s from Debian (165 MB)\n", sourcePackage)
	for _, command := range [][]string{{"update"}, {"source", "--download-only", sourcePackage}} {
		if err := quietly(ctx, dir, "apt-get", append(options, command...)...); err != nil {
			return "", fmt.Errorf("sources of LLVM %s: %w", llvmVersion, err)
		}
	}
	archives, err := filepath.Glob(filepath.Join(dir, sourcePackage+"_*.orig.tar.xz"))
	if err != nil || len(archives) != 1 {
		return "", fmt.Errorf("sources of LLVM %s: apt-get has left %d archives, not one", llvmVersion, len(archives))
	}
	source := filepath.Join(dir, "llvm")
	if err := os.Mkdir(source, 0o755); err != nil { //nolint:gosec // sources
		return "", fmt.Errorf("sources of LLVM %s: %w", llvmVersion, err)
	}
	args := []string{"-xJf", archives[0], "-C", source, "--strip-components=1", "--wildcards"}
	for _, part := range []string{"libcxx/include", "libcxx/src", "libcxx/vendor", "libcxxabi/include", "libcxxabi/src"} {
		args = append(args, "*/"+part)
	}
	if err := quietly(ctx, dir, "tar", args...); err != nil {
		return "", fmt.Errorf("sources of LLVM %s: %w", llvmVersion, err)
	}
	return source, nil
}

// quietly runs a command, whose words are of interest only if it fails.
func quietly(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", quote(append([]string{name}, args...)), err, bytes.TrimSpace(out))
	}
	return nil
}

// sourceLists are apt's lists of the packages of this release, those below etc, as lists of sources: by the name of the file.
func sourceLists(etc string) (map[string][]byte, error) {
	release, err := os.ReadFile(filepath.Join(etc, "os-release"))
	if err != nil {
		return nil, err
	}
	codename := ""
	for line := range strings.Lines(string(release)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			codename = strings.Trim(value, `"`)
		}
	}
	if codename == "" {
		return nil, errNoSources
	}
	files := []string{filepath.Join(etc, "apt", "sources.list")}
	for _, pattern := range []string{"*.list", "*.sources"} {
		found, err := filepath.Glob(filepath.Join(etc, "apt", "sources.list.d", pattern))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	out := map[string][]byte{}
	for i, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // there need not be all
		}
		convert := fromLines
		if filepath.Ext(path) == ".sources" {
			convert = fromStanzas
		}
		if list := convert(string(content), codename); list != "" {
			out[fmt.Sprintf("%d-%s", i, filepath.Base(path))] = []byte(list)
		}
	}
	if len(out) == 0 {
		return nil, errNoSources
	}
	return out, nil
}

// fromLines makes sources of the lines of a .list file that are of the release: deb [OPTIONS] URI SUITE COMPONENT...
func fromLines(content, codename string) string {
	var out strings.Builder
	for line := range strings.Lines(content) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		words := rest
		if _, after, options := strings.Cut(rest, "]"); options {
			words = after
		}
		if fields := strings.Fields(words); ok && len(fields) > 1 && strings.HasPrefix(fields[1], codename) {
			fmt.Fprintf(&out, "deb-src %s\n", rest)
		}
	}
	return out.String()
}

// fromStanzas does so of the stanzas of a .sources file.
func fromStanzas(content, codename string) string {
	var out strings.Builder
	for stanza := range strings.SplitSeq(content, "\n\n") {
		var lines []string
		binaries, ofRelease := false, false
		for line := range strings.Lines(stanza) {
			line = strings.TrimRight(line, "\n")
			name, value, _ := strings.Cut(line, ":")
			fields := strings.Fields(value)
			switch strings.ToLower(name) {
			case "types":
				for _, word := range fields {
					binaries = binaries || word == "deb"
				}
				line = "Types: deb-src"
			case "suites":
				for _, word := range fields {
					ofRelease = ofRelease || strings.HasPrefix(word, codename)
				}
			}
			if !strings.HasPrefix(line, "#") && line != "" {
				lines = append(lines, line)
			}
		}
		if binaries && ofRelease {
			fmt.Fprintf(&out, "%s\n\n", strings.Join(lines, "\n"))
		}
	}
	return out.String()
}
