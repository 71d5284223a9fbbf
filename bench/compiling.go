package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// toolchain is how one implementation of MPI compiles, and runs one rank.
type toolchain struct {
	name    string
	cc, cxx []string
	suffix  string
	run     []string
}

// madeUp is a program of several files, made up for the occasion.
type madeUp struct {
	what  string
	cxx   bool
	files map[string]string
}

// compiling measures what builds take, and what the calls cost that only a compiler can make cheap: those that an exception may leave.
func (b *bench) compiling(ctx context.Context) error {
	tools := []toolchain{{"Godwit", []string{b.godwit, "cc", "-O2"}, []string{b.godwit, "c++", "-O2"}, ".wasm", []string{b.godwit, "mpirun", "-q", "-np", "1"}}}
	if peer := openMPI(); peer.installed() {
		tools = append(tools, toolchain{
			peer.name,
			[]string{"mpicc.openmpi", "-O2"},
			[]string{"mpicxx.openmpi", "-O2"},
			".openmpi",
			[]string{"mpirun.openmpi", "--allow-run-as-root", "-np", "1"},
		})
	}
	scale := 1
	if b.quick {
		scale = 8
	}
	for _, s := range []madeUp{madeC(1, 40/scale), madeC(16/scale, 60/scale), madeCXX(8/scale, 30/scale)} {
		if err := b.builds(ctx, s, tools); err != nil {
			return err
		}
	}
	return b.tries(ctx, tools)
}

// builds measures a whole build, and its last step after one file has changed.
func (b *bench) builds(ctx context.Context, s madeUp, tools []toolchain) error {
	whole, last := make([][]float64, len(tools)), make([][]float64, len(tools))
	for range b.repeats {
		for i, t := range tools {
			dir, err := os.MkdirTemp(b.dir, "build-")
			if err != nil {
				return err
			}
			compiler := t.cc
			if s.cxx {
				compiler = t.cxx
			}
			var objects []string
			begun := time.Now()
			for name, text := range s.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					return err
				}
				object := filepath.Join(dir, name+".o")
				if _, err := output(ctx, os.Environ(), slices.Concat(compiler, []string{"-c", filepath.Join(dir, name), "-o", object})...); err != nil {
					return err
				}
				objects = append(objects, object)
			}
			linked := time.Now()
			slices.Sort(objects)
			if _, err := output(ctx, os.Environ(), slices.Concat(compiler, objects, []string{"-o", filepath.Join(dir, "program"+t.suffix)})...); err != nil {
				return err
			}
			whole[i] = append(whole[i], time.Since(begun).Seconds())
			last[i] = append(last[i], time.Since(linked).Seconds())
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
	}
	b.core = append(b.core, compared("build, one file after another: "+s.what, "s", whole, tools), compared("its link", "s", last, tools))
	return nil
}

// compared is a row of the first tool, and the second beside it.
func compared(what, unit string, values [][]float64, tools []toolchain) row {
	r := row{what: what, unit: unit, godwit: values[0]}
	for i, t := range tools[1:] {
		r.peers = append(r.peers, peerFigure{peer: t.name, values: values[i+1]})
	}
	return r
}

// tries measures calls in a try, and throws.
func (b *bench) tries(ctx context.Context, tools []toolchain) error {
	source := filepath.Join("bench", "mpi", "tries.cpp")
	figures := map[string][][]float64{}
	var order []string
	for i, t := range tools {
		bin := filepath.Join(b.dir, "tries"+t.suffix)
		if _, err := output(ctx, os.Environ(), slices.Concat(t.cxx, []string{source, "-o", bin})...); err != nil {
			return err
		}
		for range b.repeats {
			out, err := output(ctx, os.Environ(), append(slices.Clone(t.run), bin)...)
			if err != nil {
				return err
			}
			for line := range strings.Lines(out) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				v, err := strconv.ParseFloat(value, 64)
				if err != nil {
					return fmt.Errorf("unexpected line %q: %w", line, err)
				}
				if figures[name] == nil {
					figures[name] = make([][]float64, len(tools))
					order = append(order, name)
				}
				figures[name][i] = append(figures[name][i], v)
			}
		}
	}
	for _, name := range order {
		b.core = append(b.core, compared("C++: "+name, "ns", figures[name], tools))
	}
	return nil
}

// madeC is a program in C of so many files, each with so many functions of a few loops.
func madeC(files, functions int) madeUp {
	random := rand.New(rand.NewPCG(1, uint64(files))) //nolint:gosec // the same program each time
	s := madeUp{what: fmt.Sprintf("C, %d files of %d functions", files, functions), files: map[string]string{}}
	var calls, declared strings.Builder
	for i := range files {
		var text strings.Builder
		fmt.Fprintln(&text, "#include <math.h>\n#include <stdlib.h>")
		for k := range functions {
			fmt.Fprintf(&text, "double f%d_%d(double *a, int n) {\n  double sum = %d;\n", i, k, random.IntN(9))
			for range 4 {
				fmt.Fprintf(&text, "  for (int i = %d; i < n; i++) {\n    a[i] = a[i] * %d.5 + a[i - 1] / (%d + i);\n    if (a[i] > %d) sum += fabs(a[i]); else sum -= fabs(a[i - 1]);\n  }\n",
					1+random.IntN(3), random.IntN(9), 1+random.IntN(9), random.IntN(1000))
			}
			fmt.Fprintln(&text, "  return sum;\n}")
			fmt.Fprintf(&declared, "double f%d_%d(double *a, int n);\n", i, k)
			fmt.Fprintf(&calls, "  sum += f%d_%d(a, 1000);\n", i, k)
		}
		s.files[fmt.Sprintf("part%d.c", i)] = text.String()
	}
	s.files["main.c"] = "#include <mpi.h>\n#include <stdio.h>\n" + declared.String() + "int main(int argc, char **argv) {\n  static double a[1000];\n  double sum = 0;\n  MPI_Init(&argc, &argv);\n" +
		calls.String() + "  printf(\"%g\\n\", sum);\n  MPI_Finalize();\n  return 0;\n}\n"
	return s
}

// madeCXX is a program in C++ of so many files, each with so many classes that use the library, and throw.
func madeCXX(files, classes int) madeUp {
	random := rand.New(rand.NewPCG(2, uint64(files))) //nolint:gosec // the same program each time
	s := madeUp{what: fmt.Sprintf("C++, %d files of %d classes", files, classes), cxx: true, files: map[string]string{}}
	var calls, declared strings.Builder
	for i := range files {
		var text strings.Builder
		fmt.Fprintln(&text, "#include <algorithm>\n#include <map>\n#include <sstream>\n#include <stdexcept>\n#include <string>\n#include <vector>")
		fmt.Fprintf(&text, "namespace part%d {\n", i)
		for k := range classes {
			fmt.Fprintf(&text, `struct c%[1]d {
  std::map<std::string, std::vector<double>> rows;
  virtual ~c%[1]d() = default;
  virtual double sum(int n) {
    std::ostringstream name;
    name << "row " << n %% %[2]d;
    auto &row = rows[name.str()];
    for (int i = 0; i < n; i++) row.push_back(i * %[3]d.25);
    std::sort(row.begin(), row.end(), [](double a, double b) { return a > b; });
    try {
      return row.at(n %% %[4]d);
    } catch (const std::out_of_range &e) {
      return static_cast<double>(std::string(e.what()).size());
    }
  }
};
`, k, 2+random.IntN(9), random.IntN(9), 2+random.IntN(90))
		}
		fmt.Fprintf(&text, "}\ndouble part%d_all(int n) {\n  double sum = 0;\n", i)
		for k := range classes {
			fmt.Fprintf(&text, "  { part%d::c%d c; sum += c.sum(n); }\n", i, k)
		}
		fmt.Fprintln(&text, "  return sum;\n}")
		s.files[fmt.Sprintf("part%d.cpp", i)] = text.String()
		fmt.Fprintf(&declared, "double part%d_all(int n);\n", i)
		fmt.Fprintf(&calls, "  sum += part%d_all(argc + 40);\n", i)
	}
	s.files["main.cpp"] = "#include <mpi.h>\n#include <cstdio>\n" + declared.String() + "int main(int argc, char **argv) {\n  double sum = 0;\n  MPI_Init(&argc, &argv);\n" +
		calls.String() + "  std::printf(\"%g\\n\", sum);\n  MPI_Finalize();\n  return 0;\n}\n"
	return s
}
