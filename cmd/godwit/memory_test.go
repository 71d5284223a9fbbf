package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func TestParseMemory(t *testing.T) {
	for text, want := range map[string]int64{
		"512": 512 << 20, "512M": 512 << 20, "2G": 2 << 30, "1.5GiB": 3 << 29, "1gb": 1 << 30, "4096k": 4 << 20, "1T": 1 << 40, "2097152B": 2 << 20,
	} {
		n, err := parseMemory("--memory", text, apiv1.MaxHostMemory)
		require.NoError(t, err, text)
		require.Equal(t, want, n, text)
	}
	for _, text := range []string{"", "G", "1X", "-1G", "0", "NaN", "inf", "2P", "1 G", "1k"} {
		_, err := parseMemory("--memory", text, apiv1.MaxHostMemory)
		require.ErrorContains(t, err, "--memory "+text+": give a size from 1M to 1P, such as 512M or 1.5G", text)
	}
	_, err := parseMemory("--mem", "5G", apiv1.MaxRankMemory)
	require.ErrorContains(t, err, "--mem 5G: give a size from 1M to 4G")
	_, err = parseDefaultMemory("none")
	require.ErrorContains(t, err, "such as 512M or 1.5G; 0 takes it away")
	require.Equal(t, exitUsage, exitCode(err))
}

// TestRanksAreNamed: who names ranks in another way is told how several are.
func TestRanksAreNamed(t *testing.T) {
	_, _, err := splitRank("a/0-2")
	require.ErrorContains(t, err, `a/0-2: "0-2" is no rank; use APP/RANK, or APP/RANK,RANK for several`)
	app, ranks, err := splitRank("a/0,2")
	require.NoError(t, err)
	require.Equal(t, "a", app)
	require.Equal(t, []int32{0, 2}, ranks)
}

func TestMemoryUse(t *testing.T) {
	require.Equal(t, "-", memoryUse(0, 0))
	require.Equal(t, "0/64G", memoryUse(0, 64<<30))
	require.Equal(t, "1.5G/64G", memoryUse(3<<29, 64<<30))
	require.Equal(t, "512M/-", memoryUse(512<<20, 0))
}

// What Slurm's options say of memory is what a rank declares, where that can be told.
func TestSlurmMemory(t *testing.T) {
	for _, tt := range []struct {
		words []string
		want  int64
		wrong string
	}{
		{[]string{"-n", "4"}, 0, ""},
		{[]string{"-n", "4", "--mem-per-cpu=2G"}, 2 << 30, ""},
		{[]string{"-n", "4", "--mem-per-cpu=512"}, 512 << 20, ""},
		{[]string{"-n", "4", "-c", "2", "--mem-per-cpu=1G"}, 2 << 30, ""},
		{[]string{"--mem=2G"}, 2 << 30, ""},
		{[]string{"--ntasks-per-node=4", "-N", "2", "--mem=8G"}, 2 << 30, ""},
		{[]string{"-n", "5", "-N", "2", "--mem=3G"}, 1 << 30, ""},
		{[]string{"-n", "4", "--mem=8G"}, 0, ""},
		{[]string{"--mem=16G"}, 4 << 30, ""},
		{[]string{"--mem-per-cpu=2G", "-c", "4"}, 4 << 30, ""},
		{[]string{"--ntasks-per-node=32", "-N", "1", "--mem=192G"}, 4 << 30, ""},
		{[]string{"--ntasks-per-node=32", "-N", "1", "--mem=20M"}, 0, "--mem: that is 640 KiB for a rank; a rank has 1 MiB to 4 GiB"},
		{[]string{"--mem=2G", "--mem-per-cpu=1G"}, 0, "give one of them"},
		{[]string{"--mem=0"}, 0, ""},
		{[]string{"--mem=lots"}, 0, "--mem lots: give a size"},
	} {
		j, _, err := readJob(batchOptions(), append(tt.words, "x")...)
		var got int64
		if err == nil {
			got, err = j.rankMemory()
		}
		if tt.wrong != "" {
			require.ErrorContains(t, err, tt.wrong, tt.words)
			continue
		}
		require.NoError(t, err, tt.words)
		require.Equal(t, tt.want, got, tt.words)
	}
	j, _, err := readJob(batchOptions(), "-n", "2", "--mem-per-cpu=1G", "x")
	require.NoError(t, err)
	f := newSlurmFlags()
	j.name = "a"
	require.NoError(t, j.fill(f, nothingSaid))
	require.EqualValues(t, 1<<30, f.spec.MemoryBytes)
	for asked, note := range map[string]string{"-n 4 --mem=8G": "how many of the 4 ranks are on one is not said", "--mem=16G": "that is 16 GiB for a rank, of which none can have more than 4 GiB"} {
		j, _, err := readJob(batchOptions(), append(strings.Fields(asked), "x")...)
		require.NoError(t, err)
		_, err = j.rankMemory()
		require.NoError(t, err)
		require.Contains(t, strings.Join(j.notes, "\n"), note)
	}
}

// TestMemoryOfAnAppIsShown: an app may declare none whatever the cluster's default is, and show says whose word its memory is.
func TestMemoryOfAnAppIsShown(t *testing.T) {
	for text, want := range map[string]*apiv1.AppSpec{
		"": {}, "0": {NoDefaultMemory: true}, "512M": {MemoryBytes: 512 << 20},
	} {
		spec := &apiv1.AppSpec{}
		require.NoError(t, (&queueFlags{memory: text}).finish(spec), text)
		require.True(t, proto.Equal(want, spec), text)
	}
	require.ErrorContains(t, (&queueFlags{memory: "much"}).finish(&apiv1.AppSpec{}), "--mem much: give a size from 1M to 4G, such as 512M or 1.5G; 0 declares none")

	some := &apiv1.AppSpec{MemoryBytes: 512 << 20}
	require.Equal(t, "queue       memory 512 MiB a rank\n", queueText(&apiv1.App{Spec: some}))
	require.Equal(t, "queue       memory 512 MiB a rank (the cluster's default when it was submitted)\n", queueText(&apiv1.App{Spec: some, MemoryByDefault: true}))
	require.Equal(t, "queue       memory none declared (--mem 0)\n", queueText(&apiv1.App{Spec: &apiv1.AppSpec{NoDefaultMemory: true}}))
	require.Empty(t, queueText(&apiv1.App{Spec: &apiv1.AppSpec{}}))
}
