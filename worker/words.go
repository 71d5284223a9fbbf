package worker

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of what one app's reasons may take in a status.
const (
	maxReasonBytes  = 1 << 10   // of one
	maxReasonsBytes = 256 << 10 // of all; the ranks after those that fill it have none
)

// clean makes a text that came from a program, or from a request, fit to be shown and stored: it is valid UTF-8, within
// maxReasonBytes, and its control characters but for newlines and tabs are spelled out, so that none reaches a terminal.
func clean(text string) string {
	const room = 40 // for what says how much was cut
	var out strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		word := text[i : i+n]
		switch {
		case r == utf8.RuneError && n == 1:
			word = fmt.Sprintf(`\x%02x`, text[i])
		case r == '\n' || r == '\t':
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			word = fmt.Sprintf(`\x%02x`, r)
		case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x2028 || r == 0x2029:
			word = fmt.Sprintf(`\u%04x`, r) // reorders, or breaks, what a terminal shows
		}
		if out.Len()+len(word) > maxReasonBytes-room {
			fmt.Fprintf(&out, " (%d bytes more)", len(text)-i)
			break
		}
		out.WriteString(word)
		i += n
	}
	return out.String()
}
