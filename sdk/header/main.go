// Command header writes the declarations of the MPI functions in sdk/include/mpi.h: one of each
// prototype in mpi/abi/prototypes.txt, as an import of WebAssembly module "mpi_abi" under the names MPI_X
// and PMPI_X. It replaces what stands between the two marker comments of the header and nothing else.
//
// From the root of the repository: go run ./sdk/header
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

const (
	prototypesPath = "mpi/abi/prototypes.txt"
	headerPath     = "sdk/include/mpi.h"
	probesPath     = "sdk/lib/probes.txt"

	beginMark = "/* Functions: generated from mpi/abi/prototypes.txt by sdk/header. */\n"
	endMark   = "/* End of the functions. */\n"

	// A declaration is broken where it would pass this column, and goes on below its first parameter.
	columns = 100
	indent  = "           "
)

// errMarkers is returned when the header does not have the two markers, once each and in order.
var errMarkers = errors.New("the comments that begin and end the functions are missing or repeated; restore them")

func main() { os.Exit(run()) }

func run() int {
	if err := errors.Join(update(prototypesPath, headerPath), list(prototypesPath, probesPath)); err != nil {
		fmt.Fprintln(os.Stderr, "header:", err)
		return 1
	}
	return 0
}

// update writes the header again from the prototypes.
func update(prototypes, header string) error {
	table, err := os.ReadFile(prototypes)
	if err != nil {
		return err
	}
	functions, err := declarations(string(table))
	if err != nil {
		return fmt.Errorf("%s: %w", prototypes, err)
	}
	old, err := os.ReadFile(header)
	if err != nil {
		return err
	}
	text, err := replace(string(old), functions)
	if err != nil {
		return fmt.Errorf("%s: %w", header, err)
	}
	return os.WriteFile(header, []byte(text), 0o644)
}

// list writes the names of the prototypes' functions, and those of setjmp.h.
func list(prototypes, probes string) error {
	table, err := os.ReadFile(prototypes)
	if err != nil {
		return err
	}
	out := "_longjmp\n_setjmp\nsiglongjmp\nsigsetjmp\n"
	for text := range strings.Lines(string(table)) {
		head, _, ok := strings.Cut(text, "(")
		if _, name, named := strings.Cut(head, " MPI_"); ok && named && !strings.HasPrefix(text, "#") {
			out += "MPI_" + name + "\nPMPI_" + name + "\n"
		}
	}
	return os.WriteFile(probes, []byte(out), 0o644)
}

// replace puts functions between the markers of the header.
func replace(header, functions string) (string, error) {
	before, rest, begun := strings.Cut(header, beginMark)
	_, after, ended := strings.Cut(rest, endMark)
	if !begun || !ended || strings.Contains(rest, beginMark) || strings.Contains(after, endMark) {
		return "", errMarkers
	}
	return before + beginMark + functions + "\n" + endMark + after, nil
}

// declarations renders the table in its order. A comment right before functions is the name of their
// chapter and goes into the header; one before an empty line does not.
func declarations(table string) (string, error) {
	var out strings.Builder
	chapter := ""
	line := 0
	for text := range strings.Lines(table) {
		line++
		text = strings.TrimSpace(text)
		switch comment, isComment := strings.CutPrefix(text, "#"); {
		case text == "":
			chapter = ""
		case isComment:
			chapter = strings.TrimSpace(comment)
		default:
			if chapter != "" {
				fmt.Fprintf(&out, "\n/* %s. */\n", chapter)
				chapter = ""
			}
			d, err := declaration(text)
			if err != nil {
				return "", fmt.Errorf("line %d: %w", line, err)
			}
			out.WriteString(d)
		}
	}
	return out.String(), nil
}

// declaration renders one prototype, such as "int MPI_Wait(MPI_Request *request, MPI_Status *status)".
func declaration(prototype string) (string, error) {
	head, list, opened := strings.Cut(prototype, "(")
	list, closed := strings.CutSuffix(list, ")")
	result, name, named := strings.Cut(head, " MPI_")
	if !opened || !closed || !named || name == "" || list == "" || strings.ContainsAny(result+name, " *") {
		return "", fmt.Errorf("not a prototype of an MPI function: %q", prototype)
	}
	if strings.ContainsAny(list, "()") {
		return "", fmt.Errorf("a parameter of MPI_%s has parentheses; give its type a name in mpi.h", name)
	}
	var out strings.Builder
	row := fmt.Sprintf("GODWIT_MPI(%s, %s, (", result, name)
	for i, p := range strings.Split(list+"))", ",") {
		p = strings.TrimSpace(p)
		if i > 0 {
			row += ","
			if len(row)+len(" ")+len(p)+len(",") > columns {
				out.WriteString(row + "\n")
				row = indent + p
				continue
			}
			row += " "
		}
		row += p
	}
	out.WriteString(row + "\n")
	return out.String(), nil
}
