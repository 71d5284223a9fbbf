// Package text makes texts that came from elsewhere fit for the log and for a terminal.
package text

import (
	"fmt"
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
		s = Cut(s, limit-len(more))
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

// Cut returns the beginning of s, at most limit bytes, without a character that it would cut in two.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	s = s[:max(0, limit)]
	for range utf8.UTFMax {
		if r, n := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || n != 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return s
}

// Escape is Clean for a text whose author is to see what was in it: what Clean would replace is spelled out, as \x1b or \u202e. A
// text that was cut ends in how many bytes are missing; limit is at least 40.
func Escape(s string, limit int) string {
	const room = 40 // for what says how much was cut
	var out strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		word := s[i : i+n]
		switch {
		case r == utf8.RuneError && n == 1:
			word = fmt.Sprintf(`\x%02x`, s[i])
		case r == '\n' || r == '\t' || r != utf8.RuneError && !controls(r):
		case r < 0x100:
			word = fmt.Sprintf(`\x%02x`, r)
		default:
			word = fmt.Sprintf(`\u%04x`, r)
		}
		if out.Len()+len(word) > limit-room {
			fmt.Fprintf(&out, " (%d bytes more)", len(s)-i)
			break
		}
		out.WriteString(word)
		i += n
	}
	return out.String()
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
