package main

import (
	"fmt"
	"strconv"
	"strings"
)

// checksum is the unit of a result that all builds have to agree on.
const checksum = "checksum"

// reading is one line that a program prints, such as "pingpong 8 0.79 us", with the values of all runs.
type reading struct {
	name, unit string
	size       int         // 0: it has none
	values     [][]float64 // of each build
}

// key says what was measured, for the program.
func (r *reading) key() string { return fmt.Sprintf("%s %d", r.name, r.size) }

// readings are the lines of one program, in its order.
type readings struct {
	list    []*reading
	missing []string // of each build: what its cells say in place of figures; empty: it has them
}

func newReadings(builds int) *readings { return &readings{missing: make([]string, builds)} }

// add takes what one run of a build has printed.
func (rs *readings) add(build int, out string) error {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, line := range lines {
		f := strings.Fields(line)
		if len(f) != 4 {
			return fmt.Errorf("unexpected line %q", line)
		}
		size, err := strconv.Atoi(f[1])
		if err != nil {
			return fmt.Errorf("unexpected size in %q: %w", line, err)
		}
		v, err := strconv.ParseFloat(f[2], 64)
		if err != nil {
			return fmt.Errorf("unexpected value in %q: %w", line, err)
		}
		r := rs.find(f[0], size, f[3])
		r.values[build] = append(r.values[build], v)
	}
	return nil
}

// find returns the reading of a line, a new one when it is the first.
func (rs *readings) find(name string, size int, unit string) *reading {
	for _, r := range rs.list {
		if r.name == name && r.size == size && r.unit == unit {
			return r
		}
	}
	r := &reading{name: name, size: size, unit: unit, values: make([][]float64, len(rs.missing))}
	rs.list = append(rs.list, r)
	return r
}
