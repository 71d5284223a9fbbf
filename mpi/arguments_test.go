package mpi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
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
	params := []abi.Param{
		{Name: "array_of_counts", Kind: abi.I32}, {Name: "count", Kind: abi.I64}, {Name: "dest", Kind: abi.I32}, {Name: "count", Kind: abi.I32}, {Name: "win", Kind: abi.I32},
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
	dest, count, comm := abi.Param{Name: "dest", Kind: abi.I32}, abi.Param{Name: "count", Kind: abi.I32}, abi.Param{Name: "comm", Kind: abi.I32}
	wide := func(p abi.Param) abi.Param { return abi.Param{Name: p.Name, Kind: abi.I64} }
	b := bind(func(*Proc, args) error { return nil })
	for _, params := range [][]abi.Param{{dest, count, comm}, {dest, wide(count), comm}} {
		require.NotPanics(t, func() { b.plan("MPI_Sample", params) })
	}
	for why, params := range map[string][]abi.Param{
		"one is missing":      {dest, count},
		"one is too many":     {dest, count, comm, comm},
		"the order":           {count, dest, comm},
		"a name":              {dest, count, {Name: "win", Kind: abi.I32}},
		"an int that widens":  {wide(dest), count, comm},
		"a handle that does":  {dest, count, wide(comm)},
		"a number with point": {dest, {Name: "count", Kind: abi.F64}, comm},
	} {
		require.Panics(t, func() { b.plan("MPI_Sample", params) }, why)
	}
	require.Panics(t, func() { b.as("comm", "win").plan("MPI_Sample", []abi.Param{dest, count, comm}) }, "it has another name")
	require.Panics(t, func() { b.as("group", "comm").plan("MPI_Sample", []abi.Param{dest, count, comm}) }, "no such field")
}
