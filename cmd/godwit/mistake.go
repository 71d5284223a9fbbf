package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagError is what is said of a flag that cannot be read. Where the word before it is no command, that is what is wrong: its
// flags were looked for among those of the command above it.
func flagError(c *cobra.Command, err error) error {
	if args := c.Flags().Args(); c.HasSubCommands() && len(args) > 0 {
		err = unknownCommand(c, args[0])
	} else if err = nearestFlag(c, plainFlag(err)); !c.HasParent() {
		err = fmt.Errorf("%w; a command's flags stand behind its name", err)
	}
	return usagef("%w (see %s --help)", err, c.CommandPath())
}

// argsOf is how a command's arguments are checked. One that takes none says so in the words that fit: that there is no such
// command, where it has commands below it.
func argsOf(c *cobra.Command) cobra.PositionalArgs {
	check := c.Args
	if check == nil {
		return nil
	}
	return func(c *cobra.Command, args []string) error {
		err := check(c, args)
		switch {
		case err == nil:
			return nil
		case cobra.NoArgs(c, args) != nil && check(c, nil) == nil && c.HasSubCommands():
			return unknownCommand(c, args[0])
		case cobra.NoArgs(c, args) != nil && cobra.NoArgs(c, args).Error() == err.Error():
			return fmt.Errorf("%s takes no arguments, and was given %.80q", c.CommandPath(), args[0])
		}
		return err
	}
}

// wants checks the arguments of a command that takes at least one, and at the most so many; 0: any number. That none is given says what it
// wants, and how.
func wants(what string, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("name %s: %s", what, strings.TrimSuffix(c.UseLine(), " [flags]"))
		}
		return atMost(most)(c, args)
	}
}

// atMost checks that there are no more arguments than so many; 0: any number.
func atMost(most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if most > 0 && len(args) > most {
			return fmt.Errorf("%.80q is one argument too many: %s", args[most], strings.TrimSuffix(c.UseLine(), " [flags]"))
		}
		return nil
	}
}

// unknownCommand names the nearest of the commands below c, when there is none of that name.
func unknownCommand(c *cobra.Command, word string) error {
	near := c.SuggestionsFor(word)
	if len(near) == 0 {
		var names []string
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, sub.Name())
			}
		}
		if n := nearest(word, names); n != "" {
			near = []string{n}
		}
	}
	hint := ""
	if len(near) > 0 {
		hint = "; did you mean " + strings.Join(near, " or ") + "?"
	}
	below := ""
	if c.HasParent() {
		below = " of " + c.CommandPath()
	}
	return fmt.Errorf("unknown command %.80q%s%s", word, below, hint)
}

// nearestFlag names the flag that was meant, if one is like it: also for -np, which reads as -n with the value p.
func nearestFlag(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	word := ""
	switch {
	case errors.As(err, &unknown):
		word = unknown.GetSpecifiedName()
		if all := unknown.GetSpecifiedShortnames(); len(all) > 1 { // one dash, and a word
			word = all
		}
	case errors.As(err, &invalid):
		if f := invalid.GetFlag(); slices.Contains(names, f.Shorthand+invalid.GetValue()) {
			word = f.Shorthand + invalid.GetValue()
		}
	}
	if len(word) < 2 {
		return err
	}
	if near := nearest(word, names); near != "" {
		return fmt.Errorf("%w; did you mean --%s?", err, near)
	}
	return err
}
