package main

import (
	"slices"
	"strconv"
	"strings"
)

// slurmValue says whether an option has a value.
type slurmValue uint8

const (
	noValue    slurmValue = iota
	needsValue            // -n4, -n 4, --ntasks=4, --ntasks 4
	mayHave               // --nice, --nice=5; a short one has what follows it in its word
)

// slurmOption is an option of one of Slurm's commands: its names, without dashes and with blanks between, those of one letter having one dash.
// take puts it into what the command line is read into; flag is the option as it is named in messages.
type slurmOption[T any] struct {
	names string
	value slurmValue
	take  func(into T, flag, v string) error
}

// slurmLine is a command line that is read, with the options that it may have.
type slurmLine[T any] struct {
	program  string // in messages
	options  []slurmOption[T]
	anywhere bool // options may stand behind the other words too

	rest []string // the words that are not read yet
}

// read takes the options of the words, and returns the other words.
func (l *slurmLine[T]) read(words []string, into T) (others []string, err error) {
	l.rest = words
	for len(l.rest) > 0 {
		word := l.rest[0]
		switch {
		case word == "--":
			return append(others, l.rest[1:]...), nil
		case len(word) > 1 && word[0] == '-':
			l.rest = l.rest[1:]
			if err := l.option(word, into); err != nil {
				return nil, err
			}
		case l.anywhere:
			others, l.rest = append(others, word), l.rest[1:]
		default:
			return l.rest, nil
		}
	}
	return others, nil
}

// option takes the option, or the several of one letter, of a word.
func (l *slurmLine[T]) option(word string, into T) error {
	if long, ok := strings.CutPrefix(word, "--"); ok {
		name, value, inline := strings.Cut(long, "=")
		opt := l.find(name, false)
		switch {
		case opt == nil:
			return l.unknown("--" + name)
		case inline && opt.value == noValue:
			return usagef("--%s takes no value", name)
		case !inline && opt.value == needsValue:
			var err error
			if value, err = l.next("--" + name); err != nil {
				return err
			}
		}
		return opt.take(into, "--"+name, value)
	}
	for letters := word[1:]; letters != ""; {
		flag := "-" + letters[:1]
		opt := l.find(letters[:1], true)
		letters = letters[1:]
		if opt == nil {
			return l.unknown(flag)
		}
		value := ""
		switch {
		case opt.value == noValue:
		case letters != "" || opt.value == mayHave:
			value, letters = letters, ""
		default:
			var err error
			if value, err = l.next(flag); err != nil {
				return err
			}
		}
		if err := opt.take(into, flag, value); err != nil {
			return err
		}
	}
	return nil
}

// next is the next word, as an option's value.
func (l *slurmLine[T]) next(flag string) (string, error) {
	if len(l.rest) == 0 {
		return "", usagef("%s needs a value", flag)
	}
	value := l.rest[0]
	l.rest = l.rest[1:]
	return value, nil
}

func (l *slurmLine[T]) find(name string, short bool) *slurmOption[T] {
	if short != (len(name) == 1) {
		return nil
	}
	i := slices.IndexFunc(l.options, func(o slurmOption[T]) bool { return slices.Contains(strings.Fields(o.names), name) })
	if i < 0 {
		return nil
	}
	return &l.options[i]
}

func (l *slurmLine[T]) unknown(flag string) error {
	var known []string
	for _, o := range l.options {
		known = append(known, strings.Fields(o.names)...)
	}
	slices.Sort(known)
	hint := ""
	if near := nearest(strings.TrimLeft(flag, "-"), known); near != "" && len(flag) > len("-x") {
		hint = "; did you mean " + dashed(near) + "?"
	}
	return usagef("unknown option %s%s (see %s --help)", flag, hint, l.program)
}

// slurmWord is an option whose value is kept as it is.
func slurmWord[T any](names string, field func(T) *string) slurmOption[T] {
	return slurmOption[T]{names, needsValue, func(into T, flag, v string) error {
		if v == "" {
			return usagef("%s needs a value", flag)
		}
		*field(into) = v
		return nil
	}}
}

// slurmSwitch is an option that is given or not.
func slurmSwitch[T any](names string, field func(T) *bool) slurmOption[T] {
	return slurmOption[T]{names, noValue, func(into T, _, _ string) error {
		*field(into) = true
		return nil
	}}
}

// slurmList is an option whose value is a list with commas between.
func slurmList[T any](names string, field func(T) *[]string) slurmOption[T] {
	return slurmOption[T]{names, needsValue, func(into T, flag, v string) error {
		inside := false // brackets, in which commas are of the indexes of an array
		list := strings.FieldsFunc(v, func(r rune) bool {
			inside = r == '[' || inside && r != ']'
			return r == ',' && !inside
		})
		if len(list) == 0 {
			return usagef("%s %q: give names with commas between", flag, v)
		}
		*field(into) = append(*field(into), list...)
		return nil
	}}
}

// slurmIgnored are options that are taken, and do nothing that anybody would miss.
func slurmIgnored[T any](value slurmValue, names string) slurmOption[T] {
	return slurmOption[T]{names, value, func(T, string, string) error { return nil }}
}

// slurmRefused are options that would mean something else here, or nothing where something is asked for. why says what to do.
func slurmRefused[T any](value slurmValue, names, why string) slurmOption[T] {
	return slurmOption[T]{names, value, func(_ T, flag, _ string) error { return usagef("%s: %s", flag, why) }}
}

// slurmHelp are the options that ask for help and for the version. names are those of help.
func slurmHelp[T any](names string, asks func(T) *slurmAsks) []slurmOption[T] {
	return []slurmOption[T]{
		slurmSwitch(names, func(into T) *bool { return &asks(into).help }),
		slurmSwitch("V version", func(into T) *bool { return &asks(into).version }),
	}
}

// slurmCount reads a number from 1 on.
func slurmCount(flag, v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxNumber {
		return 0, usagef("%s %s: give a number from 1 to %d", flag, v, maxNumber)
	}
	return n, nil
}
