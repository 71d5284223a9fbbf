package sdk

import (
	"bytes"
	"os"
	"slices"
	"strings"
)

// What the user gives the linker itself: by -Wl, and by -Xlinker.

// wrappedSymbols are those that the user has calls of go elsewhere.
func wrappedSymbols(words []string) map[string]bool {
	out := make(map[string]bool)
	words = linkerWords(words)
	for i, w := range words {
		w = "-" + strings.TrimLeft(w, "-")
		if symbol, ok := strings.CutPrefix(w, "-wrap="); ok {
			out[symbol] = true
		} else if w == "-wrap" && i+1 < len(words) {
			out[words[i+1]] = true
		}
	}
	return out
}

// linkerWords are the words of a link, and what they give the linker itself is apart.
func linkerWords(words []string) []string {
	var out []string
	for _, w := range words {
		if given, ok := strings.CutPrefix(w, "-Wl,"); ok {
			out = append(out, strings.Split(given, ",")...)
		} else if w != "-Xlinker" {
			out = append(out, w)
		}
	}
	return out
}

// plainFiles are the words of a link in which files and directories that are given to the linker itself stand as others do.
func plainFiles(words []string) []string {
	var out []string
	for i := 0; i < len(words); i++ {
		w := words[i]
		given, ok := strings.CutPrefix(w, "-Wl,")
		if more := responses(given); ok && more != nil {
			out = append(out, plainFiles(more)...)
			continue
		}
		if ok && (given == "-L" || given == "-l") && i+1 < len(words) { // and its value
			value, ok := strings.CutPrefix(words[i+1], "-Wl,")
			if ok {
				out = append(out, given+value)
				i++
				continue
			}
		}
		given = strings.Replace(strings.Replace(given, "--library-path=", "-L", 1), "--library=", "-l", 1)
		named := len(given) > 2 && (strings.HasPrefix(given, "-l") || strings.HasPrefix(given, "-L"))
		if ok && !strings.Contains(given, ",") && (named || !strings.HasPrefix(given, "-") && isFile(given)) {
			out = append(out, given)
		} else {
			out = append(out, w)
		}
	}
	return out
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// responses are the words of a response file of the linker, each for itself; nil: given is none.
func responses(given string) (out []string) {
	if !strings.HasPrefix(given, "@") || strings.Contains(given, ",") {
		return nil
	}
	words, err := expand([]string{given}, 0)
	if err != nil || slices.ContainsFunc(words, func(w string) bool { return w == given || strings.Contains(w, ",") }) {
		return nil // the linker says what is wrong with it
	}
	for _, w := range words {
		out = append(out, "-Wl,"+w)
	}
	return out
}

// objectsFirst are the words of a link with objects before archives. Natively an object's function is its, whatever an archive has; wasm-ld has whichever it meets first.
func objectsFirst(words []string) []string {
	if slices.ContainsFunc(linkerWords(words), func(w string) bool { return strings.HasSuffix(w, "-start-lib") }) {
		return words // of which objects are as archives
	}
	var objects, others []string
	for _, f := range linkFiles(words) {
		if bytes.HasPrefix(readFile(f.path), []byte(wasmMagic)) {
			objects = append(objects, f.words...)
		} else {
			others = append(others, f.words...)
		}
	}
	return append(objects, others...)
}
