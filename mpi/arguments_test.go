package mpi

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestArguments: each parameter comes to the field of its name, with its sign and width.
func TestArguments(t *testing.T) {
	type inner struct {
		arrayOfCounts address
		count         count
	}
	type sample[T any] struct {
		what  T
		dest  int
		count count
		comm  handle
	}
	params := []param{
		{name: "array_of_counts", kind: I32}, {name: "count", kind: I64}, {name: "dest", kind: I32}, {name: "count", kind: I32}, {name: "win", kind: I32},
	}
	var got sample[inner]
	b := bind(func(_ *Proc, a sample[inner]) error {
		got = a
		return nil
	}).as("comm", "win")
	plan := b.plan("MPI_Sample", params)
	const upper = 0xabcd << 32 // of 32-bit parameters it does not count
	v := []uint64{upper | 0xffffffff, 1<<40 + 1, upper | 0xfffffffe, upper | 0xfffffffd, upper | 7}
	_, err := b.run(nil, plan, v)
	require.NoError(t, err)
	require.Equal(t, sample[inner]{inner{0xffffffff, 1<<40 + 1}, -2, -3, 7}, got)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = b.run(nil, plan, v) }))
}

// TestArgumentsRefused: code whose arguments are not those of the standard is found out when the table is made.
func TestArgumentsRefused(t *testing.T) {
	type args struct {
		_ int    `mpi:"dest"`
		_ count  `mpi:"count"`
		_ handle `mpi:"comm"`
	}
	dest, count, comm := param{name: "dest", kind: I32}, param{name: "count", kind: I32}, param{name: "comm", kind: I32}
	wide := func(p param) param { return param{name: p.name, kind: I64} }
	b := bind(func(*Proc, args) error { return nil })
	for _, params := range [][]param{{dest, count, comm}, {dest, wide(count), comm}} {
		require.NotPanics(t, func() { b.plan("MPI_Sample", params) })
	}
	for why, params := range map[string][]param{
		"one is missing":      {dest, count},
		"one is too many":     {dest, count, comm, comm},
		"the order":           {count, dest, comm},
		"a name":              {dest, count, {name: "win", kind: I32}},
		"an int that widens":  {wide(dest), count, comm},
		"a handle that does":  {dest, count, wide(comm)},
		"a number with point": {dest, {name: "count", kind: F64}, comm},
	} {
		require.Panics(t, func() { b.plan("MPI_Sample", params) }, why)
	}
	require.Panics(t, func() { b.as("comm", "win").plan("MPI_Sample", []param{dest, count, comm}) }, "it has another name")
	require.Panics(t, func() { b.as("group", "comm").plan("MPI_Sample", []param{dest, count, comm}) }, "no such field")
}
