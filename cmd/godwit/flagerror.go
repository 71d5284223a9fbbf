package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
)

// plainFlag says in plain words, with an example, what a flag wants whose value cannot be read. Other errors stay as they are.
func plainFlag(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	var wants string
	flag := invalid.GetFlag()
	switch flag.Value.Type() {
	case "int", "int32", "int64":
		wants = "a whole number, such as 4"
	case "uint", "uint32", "uint64":
		wants = "a whole number, such as 4, and not below 0"
	case "float64":
		wants = "a number, such as 1.5"
	case "duration":
		wants = "a time with its unit, such as 10s, 500ms or 2m"
	case "bool":
		wants = "true or false"
	default:
		return err
	}
	dashes := "--" + flag.Name
	if flag.Shorthand != "" {
		dashes = "-" + flag.Shorthand + ", " + dashes
	}
	return &plainError{fmt.Sprintf("%s %.80q: give %s", dashes, invalid.GetValue(), wants), err}
}

// plainError is an error in plainer words.
type plainError struct {
	text string
	of   error
}

func (e *plainError) Error() string { return e.text }

func (e *plainError) Unwrap() error { return e.of }
