package control

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxReasonBytes bounds a reason that enters the log: a person reads it.
	maxReasonBytes = 1024
	// allReasonsBytes bounds the reasons of all of an app's ranks together.
	allReasonsBytes = 512 << 10
	minReasonBytes  = 96
	// maxWordBytes bounds addresses, ids that workers make, and keys of labels.
	maxWordBytes = 256
)

// reasonBytes is how long the reason of one of an app's ranks may be.
func reasonBytes(ranks int) int {
	return max(minReasonBytes, min(maxReasonBytes, allReasonsBytes/max(1, ranks)))
}

// cleanText makes a text that came from elsewhere fit for the log and for a terminal: UTF-8 of a bounded length, with line
// ends and tabs, without other control characters.
func cleanText(s string, limit int) string {
	const more = "…"
	cut := len(s) > limit
	if cut {
		s = s[:max(0, limit-len(more))]
		for i := 0; i < utf8.UTFMax && len(s) > 0; i++ { // do not cut a character in two
			if r, n := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || n != 1 {
				break
			}
			s = s[:len(s)-1]
		}
	}
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || !badRune(r) {
			return r
		}
		return '?'
	}, s)
	if cut {
		s += more
	}
	return s
}

// shortWord says whether s is a word that other programs made: not empty, not long, printable ASCII without spaces.
func shortWord(s string) bool {
	if s == "" || len(s) > maxWordBytes {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// badRune says whether a character may change what a terminal shows of the others.
func badRune(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}
