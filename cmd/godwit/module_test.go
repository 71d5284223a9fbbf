package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func TestFindModule(t *testing.T) {
	digest := func(begin string) string { return begin + strings.Repeat("0", 64-len(begin)) }
	all := []*apiv1.Module{
		{Digest: digest("ab1"), Name: "pi.wasm"},
		{Digest: digest("ab2"), Name: "ring.wasm"},
		{Digest: digest("cd"), Name: "ring.wasm"},
		{Digest: digest("ef"), Name: "ab1"},
	}
	for ref, want := range map[string]string{"pi.wasm": "ab1", digest("ab2"): "ab2", "ab2": "ab2", "cd": "cd", "ab1": "ef"} {
		m, err := findModule(ref, all)
		require.NoError(t, err, ref)
		require.Equal(t, digest(want), m.Digest, ref)
	}
	for ref, want := range map[string]string{
		"ring.wasm": "is 2 modules", "ab": "is 2 modules", "pj.wasm": "did you mean pi.wasm?", "zzzzzzzzzzzzzzzzz": "godwit module ls", "": "name a module",
	} {
		_, err := findModule(ref, all)
		require.ErrorContains(t, err, want, ref)
	}
}
