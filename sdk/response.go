package sdk

import (
	"fmt"
	"os"
	"strings"
)

// maxResponseDepth bounds response files that name response files.
const maxResponseDepth = 8

// expand replaces each @file by the words in it. As with cc, an @name that is no file stays as it is.
func expand(args []string, depth int) ([]string, error) {
	var out []string
	for _, arg := range args {
		if !strings.HasPrefix(arg, "@") {
			out = append(out, arg)
			continue
		}
		content, err := os.ReadFile(arg[1:])
		if os.IsNotExist(err) {
			out = append(out, arg)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("response file: %w", err)
		}
		if depth == maxResponseDepth {
			return nil, fmt.Errorf("response file %s: nested more than %d deep", arg[1:], maxResponseDepth)
		}
		words, err := expand(SplitWords(string(content)), depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, words...)
	}
	return out, nil
}

// SplitWords splits a text as a response file is: at white space; quotes of either kind group, a backslash takes the next byte as is.
func SplitWords(text string) []string {
	var (
		words  []string
		word   strings.Builder
		quote  byte
		inWord bool
	)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && quote != '\'' && i+1 < len(text):
			i++
			word.WriteByte(text[i])
			inWord = true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case strings.IndexByte(" \t\r\n\v\f", c) >= 0:
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}
