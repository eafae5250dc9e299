package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// judgeUse makes wrong arguments and missing flags of a command, and of all
// below it, exit with 2 and say what was wanted.
func judgeUse(cmd *cobra.Command) {
	cmd.Args = wanted(cmd.Args)
	if cmd.HasSubCommands() && !cmd.Runnable() { // the library asks for no arguments of what does not run
		cmd.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	cmd.PreRunE = func(c *cobra.Command, _ []string) error {
		if err := c.ValidateRequiredFlags(); err != nil {
			return misused(c, err)
		}
		return nil
	}
	for _, c := range cmd.Commands() {
		judgeUse(c)
	}
}

// wantsOne is what a command does that only its commands below do something.
func wantsOne(cmd *cobra.Command, _ []string) error {
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return misused(cmd, fmt.Errorf("does nothing by itself: say %s", strings.Join(names, " or ")))
}

// wanted has check judge the arguments, and says of wrong ones what the
// command takes.
func wanted(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case cmd.Name() == "help":
			if c, _, err := cmd.Root().Find(args); len(args) > 0 && (err != nil || c == cmd.Root()) {
				return misused(cmd.Root(), mistyped(cmd.Root(), args[0]))
			}
			return nil
		case cmd.HasSubCommands() && len(args) > 0:
			return misused(cmd, mistyped(cmd, args[0]))
		case check == nil || check(cmd, args) == nil:
			return nil
		case check(cmd, nil) == nil:
			return misused(cmd, fmt.Errorf("takes no arguments, and got %q", args[0]))
		}
		return misused(cmd, fmt.Errorf("got %d arguments, and is called as: %s", len(args), strings.TrimSuffix(cmd.UseLine(), " [flags]")))
	}
}

// mistyped is a command that there is not, with those that are spelled alike.
func mistyped(cmd *cobra.Command, word string) error {
	cmd.SuggestionsMinimumDistance = 2
	if alike := cmd.SuggestionsFor(word); len(alike) > 0 {
		return fmt.Errorf("there is no command %q; did you mean %s?", word, strings.Join(alike, " or "))
	}
	return fmt.Errorf("there is no command %q", word)
}

// flagError says of a flag's wrong value what it should be, where the library
// only quotes the function that could not read it.
func flagError(err error) error {
	var bad interface {
		error
		GetValue() string
		Unwrap() error
	}
	if !errors.As(err, &bad) {
		return err
	}
	about, _, _ := strings.Cut(bad.Error(), " flag: ")
	var number *strconv.NumError
	switch cause := bad.Unwrap(); {
	case errors.As(cause, &number) && number.Func == "ParseBool":
		return fmt.Errorf("%s flag: it is neither true nor false", about)
	case errors.As(cause, &number):
		return fmt.Errorf("%s flag: it is not a whole number", about)
	case cause != nil && strings.HasPrefix(cause.Error(), "time: "):
		return fmt.Errorf("%s flag: it is not a duration such as 30s or 5m", about)
	}
	return err
}

// misused is a mistake in how cmd was called, with where its use is told.
func misused(cmd *cobra.Command, err error) error {
	name := strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()), " ")
	if name != "" {
		name += ": "
	}
	return usage(fmt.Errorf("%s%w; see %q", name, err, cmd.CommandPath()+" --help"))
}
