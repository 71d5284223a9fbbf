package sdk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// GNU ar does not know WebAssembly objects: the archives it makes of them have no index of symbols, and wasm-ld refuses
// those. Makefiles call `ar`, so the link gives such an archive its index first, in a copy.

const (
	archiveMagic  = "!<arch>\n"
	memberHeader  = 60 // bytes
	maxArchive    = 1 << 30
	symbolsMember = "/               "
)

// indexArchives replaces every archive of a link's arguments that has no index by a copy in dir that has one. What is no
// such archive stays as it is: the linker says what is wrong with it.
func indexArchives(args []string, dir string) ([]string, error) {
	var dirs []string
	for i, arg := range args {
		if arg == "-L" && i+1 < len(args) {
			dirs = append(dirs, args[i+1])
		} else if strings.HasPrefix(arg, "-L") {
			dirs = append(dirs, arg[2:])
		}
	}
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		arg, words := args[i], 1
		path := ""
		switch {
		case arg == "-l" && i+1 < len(args):
			path, words = findLibrary(args[i+1], dirs), 2
		case strings.HasPrefix(arg, "-l"):
			path = findLibrary(arg[2:], dirs)
		case !strings.HasPrefix(arg, "-") && strings.HasSuffix(arg, ".a"):
			path = arg
		}
		indexed, err := indexArchive(path, filepath.Join(dir, fmt.Sprintf("indexed-%d.a", i)))
		if err != nil {
			return nil, err
		}
		if indexed != "" {
			out = append(out, indexed)
		} else {
			out = append(out, args[i:i+words]...)
		}
		i += words - 1
	}
	return out, nil
}

// findLibrary is the archive that -lNAME means, if it is in one of dirs.
func findLibrary(name string, dirs []string) string {
	for _, dir := range dirs {
		path := filepath.Join(dir, "lib"+name+".a")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// indexArchive writes the archive at path to target with an index before it, if it has none. It returns target, or
// nothing where there was nothing to do.
func indexArchive(path, target string) (string, error) {
	if st, err := os.Stat(path); path == "" || err != nil || !st.Mode().IsRegular() || st.Size() > maxArchive {
		return "", nil //nolint:nilerr // the linker looks at it
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", nil //nolint:nilerr // the linker says so
	}
	body, ok := bytes.CutPrefix(content, []byte(archiveMagic))
	if !ok {
		return "", nil
	}
	index := symbolIndex(body)
	if index == nil {
		return "", nil
	}
	if err := os.WriteFile(target, append([]byte(archiveMagic), append(index, body...)...), 0o600); err != nil {
		return "", fmt.Errorf("index of %s: %w", path, err)
	}
	return target, nil
}

// symbolIndex makes the index member for an archive's members, or nil if it has one, no WebAssembly, or a form unknown.
func symbolIndex(body []byte) []byte {
	type symbol struct {
		name   string
		member int
	}
	var symbols []symbol
	names := 0
	for at := 0; at+memberHeader <= len(body); {
		header := body[at : at+memberHeader]
		size, err := strconv.Atoi(strings.TrimSpace(string(header[48:58])))
		end := at + memberHeader + size
		if err != nil || size < 0 || end > len(body) {
			return nil
		}
		id := strings.TrimRight(string(header[:16]), " ")
		if id == "/" || id == "/SYM64/" || strings.HasPrefix(id, "__.SYMDEF") {
			return nil
		}
		for _, name := range definedSymbols(body[at+memberHeader : end]) {
			symbols = append(symbols, symbol{name, at})
			names += len(name) + 1
		}
		at = end + end%2
	}
	if len(symbols) == 0 {
		return nil
	}
	size := 4 + 4*len(symbols) + names
	size += size % 2
	// Offsets are from the archive's start, and this member goes before all others.
	base := len(archiveMagic) + memberHeader + size
	out := fmt.Appendf(nil, "%s%-12d%-6d%-6d%-8o%-10d`\n", symbolsMember, 0, 0, 0, 0, size)
	out = binary.BigEndian.AppendUint32(out, uint32(len(symbols)))
	for _, s := range symbols {
		out = binary.BigEndian.AppendUint32(out, uint32(base+s.member))
	}
	for _, s := range symbols {
		out = append(append(out, s.name...), 0)
	}
	for len(out) < memberHeader+size {
		out = append(out, 0)
	}
	return out
}
