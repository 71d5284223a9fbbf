package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const example = `It breaks
a thing.

Fails: ./a TestA: says so
Fails: ./b TestB

diff --git a/dir/f.txt b/dir/f.txt
--- a/dir/f.txt
+++ b/dir/f.txt
@@ -1 +1 @@
-good
+bad
`

func TestParse(t *testing.T) {
	t.Parallel()
	d, err := parse("example", example)
	require.NoError(t, err)
	require.Equal(t, defect{
		name: "example", what: "It breaks a thing.", files: []string{"dir/f.txt"},
		fails: []trial{{pkg: "./a", test: "TestA", text: "says so"}, {pkg: "./b", test: "TestB"}},
	}, d)
	for text, wrong := range map[string]string{
		"": "what it breaks",
		strings.ReplaceAll(example, "Fails: ", "Is "):     "names no test",
		strings.Replace(example, "./b TestB", "TestB", 1): "no package and test",
		"A thing.\nFails: ./a TestA\n":                    "changes no file",
	} {
		_, err := parse("example", text)
		require.ErrorContains(t, err, wrong, text)
	}
}

// TestPatches reads the heads of all patches there are.
func TestPatches(t *testing.T) {
	t.Parallel()
	all, err := load(".", nil)
	require.NoError(t, err)
	require.NotEmpty(t, all)
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	for _, d := range all {
		d.path, err = filepath.Abs(d.path)
		require.NoError(t, err)
		_, err := d.overlay(t.Context(), root, filepath.Join(t.TempDir(), "x"))
		require.NoError(t, err, "%s: who moves the lines of a patch makes it anew", d.name)
	}
	_, err = load(".", []string{"nosuch"})
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestOverlay applies a patch to a tree that it fits, and to others.
func TestOverlay(t *testing.T) {
	t.Parallel()
	root, patch := t.TempDir(), filepath.Join(t.TempDir(), "example.patch")
	require.NoError(t, os.WriteFile(patch, []byte(example), 0o600))
	d, err := parse("example", example)
	require.NoError(t, err)
	d.path = patch
	_, err = d.overlay(t.Context(), root, filepath.Join(t.TempDir(), "x"))
	require.ErrorContains(t, err, "no longer applies")

	file := filepath.Join(root, "dir", "f.txt")
	require.NoError(t, os.Mkdir(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte("good\n"), 0o600))
	scratch := filepath.Join(t.TempDir(), "x")
	list, err := d.overlay(t.Context(), root, scratch)
	require.NoError(t, err)
	text, err := os.ReadFile(list)
	require.NoError(t, err)
	require.JSONEq(t, `{"Replace":{"`+file+`":"`+filepath.Join(scratch, "dir/f.txt")+`"}}`, string(text))
	broken, err := os.ReadFile(filepath.Join(scratch, "dir", "f.txt"))
	require.NoError(t, err)
	require.Equal(t, "bad\n", string(broken))
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "good\n", string(whole), "the tree stays as it is")

	require.NoError(t, os.WriteFile(file, []byte("better\n"), 0o600))
	_, err = d.overlay(t.Context(), root, filepath.Join(t.TempDir(), "x"))
	require.ErrorContains(t, err, "no longer applies")
	require.ErrorContains(t, err, "f.txt")
}
