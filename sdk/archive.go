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
// those. Makefiles call `ar`, so the link gives such an archive its index first, in a copy. Of a thin archive, which Meson
// has made, the copy holds the members too.

const (
	archiveMagic  = "!<arch>\n"
	thinMagic     = "!<thin>\n"
	memberHeader  = 60 // bytes
	maxArchive    = 1 << 30
	symbolsMember = "/               "
)

// member is one file of an archive.
type member struct {
	header []byte
	at     int // where its header begins, behind the archive's magic
	data   []byte
	name   string
}

// members are the files of an archive, without its tables. indexed says that it has an index of symbols, thin that its files lie beside
// it. What is no archive, or is damaged, has none: the linker says so.
func members(path string, content []byte) (out []member, indexed, thin bool) {
	thin = bytes.HasPrefix(content, []byte(thinMagic))
	if !thin && !bytes.HasPrefix(content, []byte(archiveMagic)) {
		return nil, false, false
	}
	body := content[len(archiveMagic):]
	var names []byte // the table of long names
	for at := 0; at+memberHeader <= len(body); {
		header := body[at : at+memberHeader]
		size, err := strconv.Atoi(strings.TrimSpace(string(header[48:58])))
		if err != nil || size < 0 {
			return nil, false, false
		}
		id := strings.TrimRight(string(header[:16]), " ")
		table := id == "/" || id == "//" || id == "/SYM64/" || strings.HasPrefix(id, "__.SYMDEF")
		m := member{header: header, at: at}
		at += memberHeader
		if table || !thin {
			if at+size > len(body) {
				return nil, false, false
			}
			m.data = body[at : at+size]
			at += size + size%2
		}
		long, isBSD := strings.CutPrefix(id, "#1/") // so many bytes of the data are its name
		n, err := strconv.Atoi(long)
		switch {
		case isBSD && (err != nil || n < 0 || n > len(m.data) || thin):
			return nil, false, false
		case isBSD:
			m.name, m.data = strings.TrimRight(string(m.data[:n]), "\x00"), m.data[n:]
		default:
			m.name = memberName(id, names)
		}
		switch {
		case id == "//":
			names = m.data
		case table || strings.HasPrefix(m.name, "__.SYMDEF"):
			indexed = true
		case thin:
			if m.data, err = os.ReadFile(filepath.Join(filepath.Dir(path), m.name)); err != nil {
				return nil, false, false
			}
			out = append(out, m)
		default:
			out = append(out, m)
		}
	}
	return out, indexed, thin
}

// memberName is the name of a member of a GNU archive: NAME/, or /N, which is at N in the table of long names and ends with "/" and a new line.
func memberName(id string, names []byte) string {
	at, err := strconv.Atoi(strings.TrimPrefix(id, "/"))
	if err != nil || !strings.HasPrefix(id, "/") || at < 0 || at > len(names) {
		return strings.TrimSuffix(id, "/")
	}
	name, _, _ := bytes.Cut(names[at:], []byte("\n"))
	return strings.TrimSuffix(string(name), "/")
}

// eachObject calls f for a file that is an object, or for each member of one that is an archive.
func eachObject(path string, content []byte, f func(object []byte) error) error {
	if bytes.HasPrefix(content, []byte(wasmMagic)) {
		return f(content)
	}
	files, _, _ := members(path, content)
	for _, m := range files {
		if err := f(m.data); err != nil {
			return err
		}
	}
	return nil
}

// changedCopy writes a copy of a file whose objects are as change makes them to target, with the ending of what it is, and returns its path; none: change has made nothing.
func changedCopy(path, target string, change func(member string, content []byte) []byte) (string, error) {
	content := readFile(path)
	if bytes.HasPrefix(content, []byte(wasmMagic)) {
		if changed := change("", content); changed != nil {
			return target + ".o", os.WriteFile(target+".o", changed, 0o600)
		}
		return "", nil
	}
	files, _, _ := members(path, content)
	some := false
	for i, m := range files {
		if changed := change(m.name, m.data); changed != nil {
			files[i].data, some = changed, true
		}
	}
	if !some {
		return "", nil
	}
	return target + ".a", writeArchive(target+".a", files)
}

// linkFile is one word of a link, or two, that may name a file.
type linkFile struct {
	words []string
	path  string // empty: none that can be found here
}

// linkFiles goes through the words of a link.
func linkFiles(args []string) []linkFile {
	var dirs []string
	for i, arg := range args {
		if arg == "-L" && i+1 < len(args) {
			dirs = append(dirs, args[i+1])
		} else if strings.HasPrefix(arg, "-L") {
			dirs = append(dirs, arg[2:])
		}
	}
	var out []linkFile
	for i := 0; i < len(args); i++ {
		arg := args[i]
		f := linkFile{words: args[i : i+1]}
		switch {
		case arg == "-l" && i+1 < len(args):
			f = linkFile{words: args[i : i+2], path: findLibrary(args[i+1], dirs)}
		case takesValue[arg] && i+1 < len(args):
			f.words = args[i : i+2]
		case strings.HasPrefix(arg, "-l"):
			f.path = findLibrary(arg[2:], dirs)
		case !strings.HasPrefix(arg, "-"):
			f.path = arg
		}
		out = append(out, f)
		i += len(f.words) - 1
	}
	return out
}

// indexArchives replaces every archive of a link's arguments that has no index by a copy in dir that has one. What is no
// such archive stays as it is: the linker says what is wrong with it.
func indexArchives(args []string, dir string) ([]string, error) {
	out := make([]string, 0, len(args))
	for i, f := range linkFiles(args) {
		indexed, err := indexArchive(f.path, indexedArchive(dir, i))
		if err != nil {
			return nil, err
		}
		if indexed != "" {
			out = append(out, indexed)
		} else {
			out = append(out, f.words...)
		}
	}
	return out, nil
}

// indexedArchive is the copy in dir of the i-th file of a link.
func indexedArchive(dir string, i int) string {
	return filepath.Join(dir, fmt.Sprintf("indexed-%d.a", i))
}

// findLibrary is the archive that -lNAME, or -l:FILE, means, if it is in one of dirs.
func findLibrary(name string, dirs []string) string {
	for _, dir := range dirs {
		path := filepath.Join(dir, "lib"+name+".a")
		if file, ok := strings.CutPrefix(name, ":"); ok {
			path = filepath.Join(dir, file)
		}
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// readFile is a file that a link may take; nothing for one that is none, or is too large, of which the linker says so.
func readFile(path string) []byte {
	if st, err := os.Stat(path); path == "" || err != nil || !st.Mode().IsRegular() || st.Size() > maxArchive {
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return content
}

// indexArchive writes the archive at path to target with an index before it, if it has none. It returns target, or
// nothing where there was nothing to do.
func indexArchive(path, target string) (string, error) {
	content := readFile(path)
	files, indexed, thin := members(path, content)
	if len(files) == 0 || indexed {
		return "", nil
	}
	body := content[len(archiveMagic):]
	if thin {
		body, files = fattened(files)
	}
	index := symbolIndex(files)
	if index == nil {
		return "", nil
	}
	if err := os.WriteFile(target, append([]byte(archiveMagic), append(index, body...)...), 0o600); err != nil {
		return "", fmt.Errorf("index of %s: %w", path, err)
	}
	return target, nil
}

// fattened is the body of an archive that holds the files. A name that a member's header has no room for stands in a table before all members.
func fattened(files []member) (body []byte, out []member) {
	const room = 15
	add := func(name string, data []byte) {
		body = fmt.Appendf(body, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", name, 0, 0, 0, 0o644, len(data))
		body = append(body, data...)
		if len(body)%2 != 0 {
			body = append(body, '\n')
		}
	}
	var long []byte
	heads := make([]string, len(files))
	for i, m := range files {
		switch {
		case m.name == "":
			heads[i] = fmt.Sprintf("%d.o/", i)
		case len(m.name) > room || strings.ContainsAny(m.name, "/ "):
			heads[i] = fmt.Sprintf("/%d", len(long))
			long = append(long, m.name+"/\n"...)
		default:
			heads[i] = m.name + "/"
		}
	}
	if long != nil {
		add("//", long)
	}
	for i, m := range files {
		out = append(out, member{at: len(body), data: m.data})
		add(heads[i], m.data)
	}
	return body, out
}

// symbolIndex makes the index member for an archive's members, or nil if they are no WebAssembly.
func symbolIndex(files []member) []byte {
	type symbol struct {
		name   string
		member int
	}
	var symbols []symbol
	names := 0
	for _, m := range files {
		for _, name := range definedSymbols(m.data) {
			symbols = append(symbols, symbol{name, m.at})
			names += len(name) + 1
		}
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
