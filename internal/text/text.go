// Package text makes texts that came from elsewhere fit for the log and for a terminal.
package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxWord bounds what Word calls a word.
const MaxWord = 256

const more = "…"

// Clean returns s as UTF-8 of at most limit bytes (at least 3), with line ends and tabs, without other characters that
// control a terminal. A text that was cut ends in an ellipsis.
func Clean(s string, limit int) string {
	cut := len(s) > limit
	if cut {
		s = s[:max(0, limit-len(more))]
		for range utf8.UTFMax { // do not cut a character in two
			if r, n := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || n != 1 {
				break
			}
			s = s[:len(s)-1]
		}
	}
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || (controls(r) && r != '\n' && r != '\t') {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if cut {
		s += more
	}
	return s
}

// Line is Clean on one line: line ends and tabs become spaces.
func Line(s string, limit int) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, Clean(s, limit))
}

// Bad says whether Clean would change s for another reason than its length.
func Bad(s string) bool { return Clean(s, max(len(s), len(more))) != s }

// Word says whether s is a word that another program made: not empty, at most MaxWord bytes of printable ASCII, no spaces.
func Word(s string) bool {
	if s == "" || len(s) > MaxWord {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// controls says whether a character may change what a terminal shows of the others.
func controls(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}
