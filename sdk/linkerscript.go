package sdk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// What is given as a library, or another file, may be a text for GNU ld that names others: `INPUT(-lfirst -lsecond)`, `GROUP(libx.a AS_NEEDED(liby.so))`. wasm-ld takes none, so the words of such a text
// stand in the command line in its place.

const (
	maxScript  = 64 << 10 // bytes of one that is read
	maxScripts = 32       // of one link, those that others name among them
)

// scripts are the texts that a command line names.
type scripts struct {
	dirs []string // of -L
	left int      // how many more are followed
}

// followScripts are the words of a link with what texts among its libraries name in their place.
func followScripts(words []string) ([]string, error) {
	words = apartScripts(plainFiles(words))
	s := scripts{left: maxScripts}
	s.look(words)
	return s.follow(words, "")
}

// apartScripts has the name of a text in a word of its own, where it is joined to its option. Sections' addresses (-Ttext=0x1000) are no names.
func apartScripts(words []string) []string {
	var out []string
	for i, w := range words {
		if i > 0 && takesValue[words[i-1]] {
			out = append(out, w)
			continue
		}
		name, ok := strings.CutPrefix(w, "-Wl,--script=")
		if !ok {
			name, ok = strings.CutPrefix(strings.TrimPrefix(w, "-Wl,"), "-T")
			ok = ok && name != "" && !isSectionAddress(w)
		}
		if ok {
			out = append(out, "-T", name)
		} else {
			out = append(out, w)
		}
	}
	return out
}

// look adds the directories that words have libraries looked for in.
func (s *scripts) look(words []string) {
	for i, w := range words {
		if w == "-L" && i+1 < len(words) {
			s.dirs = append(s.dirs, words[i+1])
		} else if strings.HasPrefix(w, "-L") {
			s.dirs = append(s.dirs, w[2:])
		}
	}
}

// follow goes through words; those of a text in a directory name files there, too.
func (s *scripts) follow(words []string, dir string) ([]string, error) {
	var out []string
	lang := ""
	for i := 0; i < len(words); i++ {
		w, value := words[i], ""
		if (takesValue[w] || slices.Contains(scriptOptions, w)) && i+1 < len(words) {
			i++
			value = words[i]
		}
		path, named := "", false
		switch {
		case isSectionAddress(w):
			return nil, fmt.Errorf("%s: %w", strings.TrimPrefix(w, "-Wl,"), errAddress)
		case w == "-l" || strings.HasPrefix(w, "-l") && value == "":
			name := w[2:] + value
			path = s.library(name)
			if file, ok := strings.CutPrefix(name, ":"); ok && (path == "" || foreign(path)) {
				if words, ok := ofSystem(file); ok {
					out = append(out, words...)
					continue
				}
			}
		case strings.HasPrefix(w, "-x"):
			lang = w[2:] + value
		case slices.Contains(scriptOptions, w):
			path = s.file(strings.TrimPrefix(value, "-Wl,"), dir)
			if _, ok := scriptText(path); !ok {
				return nil, fmt.Errorf("%s: %w", path, errScript)
			}
		case !strings.HasPrefix(w, "-") && !slices.Contains(sourceExtensions, filepath.Ext(w)) && (lang == "" || lang == "none"):
			path, named = s.file(w, dir), true
			if words, ok := systemLibrary(path); ok {
				out = append(out, words...)
				continue
			}
		}
		if foreign(path) {
			return nil, fmt.Errorf("%s: %w", path, errForeign)
		}
		text, ok := scriptText(path)
		switch {
		case ok:
			more, err := s.named(path, text)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		case value != "":
			out = append(out, w, value)
		case named:
			out = append(out, path)
		default:
			out = append(out, w)
		}
	}
	return out, nil
}

// named are the words that a file's text stands for, those of texts that it names among them.
func (s *scripts) named(path, text string) ([]string, error) {
	if s.left == 0 {
		return nil, fmt.Errorf("%s: more than %d linker scripts name each other", path, maxScripts)
	}
	s.left--
	words, err := scriptWords(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.look(words)
	return s.follow(words, filepath.Dir(path))
}

// library is the first file of a library's name, or a text for a linker in its place. A shared one is no guest's, and is passed over.
func (s *scripts) library(name string) string {
	names := []string{"lib" + name + ".so", "lib" + name + ".a"}
	if exact, ok := strings.CutPrefix(name, ":"); ok {
		names = []string{exact}
	}
	for _, dir := range s.dirs {
		for _, n := range names {
			path := filepath.Join(dir, n)
			if _, text := scriptText(path); text || isFile(path) && filepath.Ext(n) != ".so" {
				return path
			}
		}
	}
	return ""
}

// file is a file that a text in a directory names, or the command line if that is empty.
func (s *scripts) file(name, dir string) string {
	if dir == "" || isFile(name) {
		return name
	}
	for _, d := range append([]string{dir}, s.dirs...) {
		if path := filepath.Join(d, name); isFile(path) {
			return path
		}
	}
	return name
}

var (
	scriptComment  = regexp.MustCompile(`(?s)/\*.*?\*/`)
	scriptCommand  = regexp.MustCompile(`^\s*([A-Z_]+)\s*\(`)
	sectionAddress = regexp.MustCompile(`^(-Wl,)?--?(T(text|data|bss|text-segment|rodata-segment|ldata-segment)|section-start)(=|$)`)
	scriptWord     = regexp.MustCompile(`"[^"]*"|[^\s,()"]+`)
)

// isSectionAddress says whether a linker's option gives a section an address.
func isSectionAddress(option string) bool { return sectionAddress.MatchString(option) }

// scriptOptions name a text whose value is the next word.
var scriptOptions = []string{"-T", "-Wl,-T", "-Wl,--script"} //nolint:gochecknoglobals // an immutable list

// errScript is returned for a file that is to say how all is linked, and does not name other files alone.
var errScript = errors.New("a guest cannot be linked by a linker script, but for one that begins with INPUT or GROUP")

// scriptText is what a file says to a linker, if it is a text for one.
func scriptText(path string) (string, bool) {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() || st.Size() > maxScript {
		return "", false
	}
	text := scriptComment.ReplaceAllString(string(readFile(path)), " ")
	return text, scriptCommand.MatchString(text)
}

// scriptWords are the words that a text stands for.
func scriptWords(text string) ([]string, error) {
	var out []string
	for strings.TrimSpace(text) != "" {
		begin := scriptCommand.FindStringSubmatchIndex(text)
		if begin == nil {
			return nil, fmt.Errorf("it is a linker script with more than INPUT and GROUP, which guests cannot be linked by: %.60q", strings.TrimSpace(text))
		}
		name := text[begin[2]:begin[3]]
		rest := text[begin[1]:]
		end := closing(rest)
		if end < 0 {
			return nil, fmt.Errorf("it is a linker script, and its %s( does not end", name)
		}
		given := rest[:end]
		text = strings.TrimLeft(rest[end+1:], "; \t\r\n")
		var words []string
		for _, w := range scriptWord.FindAllString(given, -1) {
			if w != "AS_NEEDED" {
				words = append(words, strings.Trim(w, `"`))
			}
		}
		switch name {
		case "INPUT", "GROUP":
			for _, w := range words {
				if other, ok := renamed[w]; ok {
					out = append(out, other...)
				} else if _, ok := droppedNote(w); !ok {
					out = append(out, w)
				}
			}
		case "SEARCH_DIR":
			for _, w := range words {
				out = append(out, "-L"+w)
			}
		case "EXTERN":
			for _, w := range words {
				out = append(out, undefinedOptions(w)...)
			}
		default:
			if !slices.Contains([]string{"OUTPUT_FORMAT", "OUTPUT_ARCH", "TARGET"}, name) {
				return nil, fmt.Errorf("it is a linker script with %s, and guests can be linked by INPUT and GROUP alone", name)
			}
		}
	}
	return out, nil
}

// closing is where the parenthesis closes that is open before a text; -1: nowhere.
func closing(text string) int {
	depth, quoted := 1, false
	for i, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}
