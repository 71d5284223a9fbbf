package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// batchScript is a script for sbatch that was read. Nobody runs it: what it says is found out here.
type batchScript struct {
	name       string // in messages
	args       []string
	directives []directive
	file       *syntax.File
	notes      slurmNotes
	passed     []string // commands that were passed over
}

// directive is a #SBATCH line.
type directive struct {
	line int
	text string
}

// said are the notes on the script, once it was evaluated.
func (s *batchScript) said() slurmNotes {
	if len(s.passed) == 0 {
		return s.notes
	}
	return append(slices.Clone(s.notes), fmt.Sprintf("%s: passed over, for nothing of a script is run: %s", s.name, strings.Join(s.passed, ", ")))
}

// maxScript bounds a script, and how deep it nests with that.
const maxScript = 64 << 10

// beginsWith says whether a file begins with magic. One that cannot be read does not.
func beginsWith(file, magic string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // read only
	got := make([]byte, len(magic))
	_, err = io.ReadFull(f, got)
	return err == nil && string(got) == magic
}

// isScript says whether a file is a script by its first two bytes.
func isScript(file string) bool { return beginsWith(file, "#!") }

// isModule says whether a file is a module by its first four bytes.
func isModule(file string) bool { return beginsWith(file, "\x00asm") }

// readScript reads a script; args are what follows it in the command line.
func readScript(name string, r io.Reader, args []string) (*batchScript, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxScript+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxScript:
		return nil, usagef("%s: a script has at most %d bytes", name, maxScript)
	case !bytes.HasPrefix(text, []byte("#!")):
		return nil, usagef("%s: it is no batch script: its first line has to name a shell, as in #!/bin/sh", name)
	case bytes.ContainsRune(text, '\r'):
		return nil, usagef("%s: its lines end as on Windows: take the carriage returns out, as dos2unix does", name)
	}
	return parseScript(name, string(text), args)
}

// readScriptFile reads the script in a file.
func readScriptFile(file string, args []string) (*batchScript, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, usageError{err}
	}
	defer f.Close() //nolint:errcheck // read only
	return readScript(filepath.Base(file), f, args)
}

// parseScript understands a script's text.
func parseScript(name, text string, args []string) (*batchScript, error) {
	s := &batchScript{name: name, args: args}
	lines := strings.Split(text, "\n")
	if shell := interpreter(lines[0]); shell != "" {
		return nil, s.wrong(1, "it is for %s: Godwit runs nothing of a script, and reads those for sh and bash alone", shell)
	}
	begun := false
	for i, line := range lines {
		rest, ok := strings.CutPrefix(line, "#SBATCH")
		switch {
		case ok && rest != "" && rest[0] != ' ' && rest[0] != '\t':
		case ok && begun:
			s.notes.add(name + ": #SBATCH lines behind the first command are not read")
		case ok:
			s.directives = append(s.directives, directive{i + 1, rest})
		case strings.TrimSpace(line) != "" && !strings.HasPrefix(strings.TrimSpace(line), "#"):
			begun = true
		}
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), name)
	var bad syntax.ParseError
	var other syntax.LangError
	switch {
	case errors.As(err, &bad):
		return nil, s.wrong(int(bad.Pos.Line()), "%s", bad.Text) //nolint:gosec // a script has few lines
	case errors.As(err, &other):
		return nil, s.wrong(int(other.Pos.Line()), "%s is nothing that bash knows", other.Feature) //nolint:gosec // a script has few lines
	case err != nil:
		return nil, usagef("%s: %w", name, err)
	}
	s.file = file
	return s, nil
}

// interpreter is what a script's first line says that runs it, if that is no shell that is read here.
func interpreter(line string) string {
	words := strings.Fields(strings.TrimPrefix(line, "#!"))
	if len(words) > 1 && path.Base(words[0]) == "env" {
		words = words[1:]
		if words[0] == "-S" && len(words) > 1 {
			words = words[1:]
		}
	}
	if !strings.HasPrefix(line, "#!") || len(words) == 0 {
		return ""
	}
	switch shell := path.Base(words[0]); shell {
	case "sh", "bash", "dash", "ash", "ksh":
		return ""
	default:
		return shell
	}
}

// wrong is a mistake in a line of the script.
func (s *batchScript) wrong(line int, format string, args ...any) error {
	return usagef("%s:%d: %w", s.name, line, usagef(format, args...))
}

// direct puts what the #SBATCH lines say into the job.
func (s *batchScript) direct(j *slurmJob) error {
	for _, d := range s.directives {
		words, err := directiveWords(d.text)
		if err == nil {
			words, err = (&slurmLine[*slurmJob]{program: "sbatch", options: directiveOptions()}).read(words, j)
		}
		if err == nil && len(words) > 0 {
			err = usagef("#SBATCH takes options, and %q is none", words[0])
		}
		if err != nil {
			return s.wrong(d.line, "%w", err)
		}
	}
	return nil
}

// directiveWords splits a #SBATCH line as Slurm does: at blanks; quotes of either kind group, a backslash takes the next letter as it is, and a
// # that begins a word begins a comment.
func directiveWords(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	quote, in := rune(0), false
	end := func() {
		if in {
			words = append(words, word.String())
		}
		word.Reset()
		in = false
	}
	escaped := false
	for _, c := range text {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			escaped, in = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, in = c, true
		case c == ' ' || c == '\t':
			end()
		case c == '#' && !in:
			return words, nil
		default:
			word.WriteRune(c)
			in = true
		}
	}
	end()
	if quote != 0 {
		return nil, usagef("#SBATCH: a quote is not closed")
	}
	return words, nil
}
