package tree

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	at := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o700))
	require.NoError(t, os.WriteFile(at, []byte(text), 0o600))
}

// blobs are what a scan sends, by digest.
func blobs(t *testing.T, s *Scan) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, b := range s.Blobs(context.Background()) {
		var buf bytes.Buffer
		require.NoError(t, b.Write(&buf))
		require.Equal(t, b.Digest, digest(buf.Bytes()))
		out[b.Digest] = buf.Bytes()
	}
	return out
}

func extract(t *testing.T, s *Scan, dir string) {
	t.Helper()
	all := blobs(t, s)
	l, err := Parse(s.Tree, all[s.Tree.List])
	require.NoError(t, err)
	require.NoError(t, Extract(context.Background(), dir, l.Entries, func(pack uint32) (io.ReaderAt, func(), error) {
		return bytes.NewReader(all[s.Tree.Packs[pack]]), func() {}, nil
	}))
}

// What was read of a directory is what comes out of its blobs, and what is the same has the same blobs.
func TestThereAndBack(t *testing.T) {
	from := t.TempDir()
	large := strings.Repeat("0123456789abcdef", largeFile/16+1)
	write(t, from, "a/b/c", "text")
	write(t, from, "empty", "")
	write(t, from, "large", large)
	for i := range 300 {
		write(t, from, fmt.Sprintf("many/%03d", i), strings.Repeat("x", i))
	}
	require.NoError(t, os.Symlink("a/b/c", filepath.Join(from, "link")))
	require.NoError(t, os.Chmod(filepath.Join(from, "empty"), 0o700)) //nolint:gosec // to be executed
	s, err := Read(context.Background(), []Source{{Path: from, Guarded: true}})
	require.NoError(t, err)
	require.Equal(t, int64(303), s.Tree.Files)
	to := t.TempDir()
	write(t, to, "a/b/c", "what was there before, and is longer")
	extract(t, s, to)
	for _, name := range []string{"a/b/c", "empty", "large", "many/007", "link"} {
		want, err := os.ReadFile(filepath.Join(from, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(to, name))
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), name)
	}
	text, err := os.Readlink(filepath.Join(to, "link"))
	require.NoError(t, err)
	require.Equal(t, "a/b/c", text)
	again, err := Read(context.Background(), []Source{{Path: to, Guarded: true}})
	require.NoError(t, err)
	require.Equal(t, s.Tree.Packs, again.Tree.Packs)
	write(t, from, "many/000", "one more")
	changed, err := Read(context.Background(), []Source{{Path: from, Guarded: true}})
	require.NoError(t, err)
	same := 0
	had := blobs(t, s)
	for _, d := range changed.Tree.Packs {
		if had[d] != nil {
			same++
		}
	}
	require.Equal(t, len(changed.Tree.Packs)-1, same, "the large file is not sent again")
}

// A program's links lead nowhere out of its directory, whoever stores or gets what it has left.
func TestLinksLeadNowhere(t *testing.T) {
	from, secret := t.TempDir(), t.TempDir()
	write(t, secret, "s", "secret")
	require.NoError(t, os.Symlink(filepath.Join(secret, "s"), filepath.Join(from, "file")))
	require.NoError(t, os.Symlink(secret, filepath.Join(from, "dir")))
	s, err := Read(context.Background(), []Source{{Path: from, Guarded: true}})
	require.NoError(t, err)
	require.Empty(t, s.Tree.Packs, "nothing was read through them")
	_, err = Read(context.Background(), []Source{{Path: from}})
	require.ErrorContains(t, err, "leads out of")

	entries := []*apiv1.TreeEntry{
		{Path: "dir", Kind: apiv1.TreeEntry_KIND_LINK, Text: secret},
		{Path: "dir/new", Kind: apiv1.TreeEntry_KIND_FILE},
	}
	none := func(uint32) (io.ReaderAt, func(), error) { return nil, nil, io.EOF }
	require.Error(t, Extract(context.Background(), t.TempDir(), entries, none))
	left, err := os.ReadDir(secret)
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestParseRefuses(t *testing.T) {
	entry := func(path string, size int64, pieces ...*apiv1.Piece) *apiv1.TreeEntry {
		return &apiv1.TreeEntry{Path: path, Kind: apiv1.TreeEntry_KIND_FILE, Size: size, Pieces: pieces}
	}
	tr := &apiv1.Tree{Packs: []string{"p"}}
	for _, entries := range [][]*apiv1.TreeEntry{
		{entry("../a", 0)},
		{entry("/a", 0)},
		{entry("a/../b", 0)},
		{entry("", 0)},
		{entry("b", 0), entry("a", 0)},
		{entry("a", 0), entry("a", 0)},
		{entry("a", 1)},
		{entry("a", 1, &apiv1.Piece{Pack: 1, Size: 1})},
		{entry("a", -1, &apiv1.Piece{Size: -1})},
		{entry("a\x00", 0)},
	} {
		list, err := marshal(&apiv1.TreeList{Entries: entries})
		require.NoError(t, err)
		_, err = Parse(tr, list)
		require.ErrorContains(t, err, "damaged", entries)
	}
	_, err := Parse(tr, []byte{0xff})
	require.ErrorContains(t, err, "damaged")
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "a", true},
		{"a", "a", true},
		{"a", "b/a", true},
		{"*.txt", "d/x.txt", true},
		{"*.txt", "x.dat", false},
		{"d", "d/e/f", true},
		{"d/", "d/e", true},
		{"d/*", "d/e", true},
		{"e/f", "d/e/f", false},
		{"d/e", "d/e/f", true},
		{".", "d/e/f", true},
		{"./d/e", "d/e/f", true},
	} {
		ok, err := Match(c.pattern, c.name)
		require.NoError(t, err)
		require.Equal(t, c.want, ok, c)
	}
	_, err := Match("[", "a")
	require.Error(t, err)
}

// What cannot be in a tree is left out of it, named and counted; the rest is there.
func TestOddFilesAreLeft(t *testing.T) {
	from := t.TempDir()
	write(t, from, "a", "text")
	require.NoError(t, os.Symlink("\xff", filepath.Join(from, "b")))
	write(t, from, "\xfe", "text")
	require.NoError(t, unix.Mkfifo(filepath.Join(from, "c"), 0o600))
	sparse, err := os.Create(filepath.Join(from, "d"))
	require.NoError(t, err)
	require.NoError(t, sparse.Truncate(1<<40))
	require.NoError(t, sparse.Close())
	write(t, from, "z", "last")
	s, err := Read(context.Background(), []Source{{Path: from, Guarded: true}})
	require.NoError(t, err)
	require.Equal(t, int64(2), s.Tree.Files)
	require.Contains(t, s.Left(), `4 are not among them, such as "b": `)
	to := t.TempDir()
	extract(t, s, to)
	got, err := os.ReadDir(to)
	require.NoError(t, err)
	require.Len(t, got, 2)
	_, err = Read(context.Background(), []Source{{Path: from}})
	require.Error(t, err, "what a user names is sent whole, or not at all")
}

// A path may be longer than the kernel takes at once.
func TestDeepPath(t *testing.T) {
	from := t.TempDir()
	write(t, from, "good", "text")
	part := strings.Repeat("d", 250)
	root, err := os.OpenRoot(from)
	require.NoError(t, err)
	defer root.Close() //nolint:errcheck // of a test
	deep := strings.Repeat(part+"/", 20)
	require.NoError(t, root.MkdirAll(deep, 0o700))
	require.NoError(t, root.WriteFile(deep+"/file", []byte("deep"), 0o600))
	require.NoError(t, root.Symlink("file", deep+"/link"))
	deeper := strings.Repeat(part+"/", 40)
	require.NoError(t, root.MkdirAll(deeper, 0o700))
	s, err := Read(context.Background(), []Source{{Path: from, Guarded: true}})
	require.NoError(t, err)
	require.Equal(t, int64(2), s.Tree.Files)
	require.Contains(t, s.Left(), "its path has more than 8192 bytes")
	to := t.TempDir()
	extract(t, s, to)
	out, err := os.OpenRoot(to)
	require.NoError(t, err)
	defer out.Close() //nolint:errcheck // of a test
	got, err := out.ReadFile(deep + "/link")
	require.NoError(t, err)
	require.Equal(t, "deep", string(got))
	require.NoError(t, root.RemoveAll(part), "what is too deep to be removed at once")
	require.NoError(t, out.RemoveAll(part))
}

// There may be more files than a tree takes.
func TestTooManyFiles(t *testing.T) {
	w := &walk{ctx: context.Background(), list: &apiv1.TreeList{Entries: make([]*apiv1.TreeEntry, MaxEntries)}, seen: map[string]bool{}, scan: &Scan{Tree: &apiv1.Tree{}}}
	from := t.TempDir()
	write(t, from, "a", "text")
	require.ErrorContains(t, w.source(Source{Path: from}), "more than 200000 files")
	require.NoError(t, w.source(Source{Path: from, Guarded: true}))
	require.Equal(t, 1, w.scan.left.count)
}

// What comes of a directory as it is read is written as an extracted one is: nothing outside of it is, and what has no bytes is zeros.
func TestReceiver(t *testing.T) {
	to, secret := t.TempDir(), t.TempDir()
	write(t, to, "f", "what was there before, and is longer")
	r, err := NewReceiver(to)
	require.NoError(t, err)
	require.Error(t, r.Data(0, []byte("of nothing")))
	require.NoError(t, r.Entry(&apiv1.TreeEntry{Path: "d", Kind: apiv1.TreeEntry_KIND_DIRECTORY, Changed: 5e9}))
	require.NoError(t, r.Entry(&apiv1.TreeEntry{Path: "d/g", Kind: apiv1.TreeEntry_KIND_FILE, Size: 0}))
	require.NoError(t, r.Entry(&apiv1.TreeEntry{Path: "f", Kind: apiv1.TreeEntry_KIND_FILE, Size: 5, Changed: 7e9}))
	require.NoError(t, r.Data(3, []byte("ab")))
	require.NoError(t, r.Entry(&apiv1.TreeEntry{Path: "out", Kind: apiv1.TreeEntry_KIND_LINK, Text: secret}))
	require.Error(t, r.Data(0, []byte("of a link")))
	require.Error(t, r.Entry(&apiv1.TreeEntry{Path: "out/new", Kind: apiv1.TreeEntry_KIND_FILE}))
	require.Error(t, r.Entry(&apiv1.TreeEntry{Path: "../new", Kind: apiv1.TreeEntry_KIND_FILE}))
	require.NoError(t, r.Close())
	require.Equal(t, 2, r.Files)
	got, err := os.ReadFile(filepath.Join(to, "f"))
	require.NoError(t, err)
	require.Equal(t, "\x00\x00\x00ab", string(got))
	st, err := os.Stat(filepath.Join(to, "d"))
	require.NoError(t, err)
	require.Equal(t, int64(5), st.ModTime().Unix())
	left, err := os.ReadDir(secret)
	require.NoError(t, err)
	require.Empty(t, left)
}

// A file whose bytes cannot be read is left out of what a program leaves, and named; the others are kept.
func TestUnreadFileIsLeft(t *testing.T) {
	for _, guarded := range []bool{true, false} {
		from := t.TempDir()
		for _, name := range []string{"a", "b", "c"} {
			write(t, from, name, "text of "+name)
		}
		w := &walk{ctx: t.Context(), list: &apiv1.TreeList{}, seen: map[string]bool{}, scan: &Scan{Tree: &apiv1.Tree{}}}
		require.NoError(t, w.source(Source{Path: from, Guarded: guarded}))
		require.NoError(t, os.Remove(filepath.Join(from, "b")))
		s, err := w.finish()
		if !guarded {
			require.ErrorAs(t, err, new(*UnreadError))
			continue
		}
		require.NoError(t, err)
		require.Equal(t, int64(2), s.Tree.Files)
		require.Equal(t, int64(18), s.Tree.Bytes)
		require.Contains(t, s.Left(), `one is not among them: "b": `)
		to := t.TempDir()
		extract(t, s, to)
		text, err := os.ReadFile(filepath.Join(to, "c"))
		require.NoError(t, err)
		require.Equal(t, "text of c", string(text))
	}
}

// What is in a file's place and is none is neither written to nor removed.
func TestNoFileIsInPlace(t *testing.T) {
	to := t.TempDir()
	require.NoError(t, unix.Mkfifo(filepath.Join(to, "f"), 0o600))
	r, err := NewReceiver(to)
	require.NoError(t, err)
	require.ErrorContains(t, r.Entry(&apiv1.TreeEntry{Path: "f", Kind: apiv1.TreeEntry_KIND_FILE}), "what is there is no file")
	require.NoError(t, r.Close())
}

// What is there stays until what replaces it has come; then nothing is left of it.
func TestExtractKeepsWhatItCannotReplace(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write(t, from, "a", "new")
	write(t, from, "empty", "")
	write(t, to, "a", "yesterday's")
	write(t, to, "empty", "yesterday's")
	s, err := Read(context.Background(), []Source{{Path: from}})
	require.NoError(t, err)
	l, err := Parse(s.Tree, blobs(t, s)[s.Tree.List])
	require.NoError(t, err)
	none := func(uint32) (io.ReaderAt, func(), error) { return nil, nil, io.EOF }
	require.ErrorIs(t, Extract(context.Background(), to, l.Entries, none), io.EOF)
	for _, want := range []string{"yesterday's", "new"} {
		got, err := os.ReadFile(filepath.Join(to, "a"))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		extract(t, s, to)
	}
	got, err := os.ReadFile(filepath.Join(to, "empty"))
	require.NoError(t, err)
	require.Empty(t, got)
}
