package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/godwit-run/godwit/mpi"
)

// newFunctions lists the functions of the MPI standard, and which of them are supported.
func newFunctions(o *options) *cobra.Command {
	c := &cobra.Command{
		Use: "functions [PREFIX...]", Short: "List the MPI functions, and which are supported",
		Long: "List the functions of the MPI standard, or those whose names begin with a PREFIX such as MPI_Win_.\n" +
			"A program that names one that is not supported links; the call ends the app and says what to use.",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := o.checkOutput(); err != nil {
				return err
			}
			return listFunctions(o, args)
		},
	}
	return o.outputFlag(c)
}

func listFunctions(o *options, prefixes []string) error {
	all := []any{}
	for _, call := range mpi.Calls() {
		if !hasPrefix(call.Name, prefixes) {
			continue
		}
		if o.output == "json" {
			all = append(all, orderedObject{{"name", call.Name}, {"supported", call.Supported()}, {"instead", call.Instead()}})
			continue
		}
		line := call.Name
		if !call.Supported() {
			line = fmt.Sprintf("%-40s not supported: %s", call.Name, call.Instead())
		}
		if err := printf("%s\n", line); err != nil {
			return err
		}
	}
	if o.output == "json" {
		return printJSON(os.Stdout, all)
	}
	return nil
}

func hasPrefix(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return len(prefixes) == 0
}
