package files

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// native is a directory in which the kernel is asked without a tree in between.
type native struct{ root int }

func (n native) opened(name string, flags int) error {
	fd, err := unix.Openat(n.root, name, flags|unix.O_NONBLOCK|unix.O_CLOEXEC, fileMode)
	if err == nil {
		err = unix.Close(fd)
	}
	return err
}

func (n native) times(name string, flags int) error {
	return unix.UtimesNanoAt(n.root, name, []unix.Timespec{{Sec: 1}, {Sec: 1}}, flags)
}

func openedBy(tree Tree, name string, flags int) error {
	f, err := tree.Open(name, flags)
	if err == nil {
		err = f.Close()
	}
	return err
}

// compared is a call that is made natively and by a tree.
type compared struct {
	name   string
	asks   bool // it changes nothing
	native func(n native, name string) error
	tree   func(tree Tree, name string) error
}

// calls are all that have a path, with which one it is to be.
func calls() (out []compared) {
	access := map[string]int{"r": unix.O_RDONLY, "w": unix.O_WRONLY, "rw": unix.O_RDWR}
	more := []int{unix.O_CREAT, unix.O_EXCL, unix.O_TRUNC, unix.O_NOFOLLOW, unix.O_DIRECTORY}
	for name, flags := range access {
		for set := range 1 << len(more) {
			now, said := flags, "open "+name
			for i, flag := range more {
				if set>>i&1 != 0 {
					now, said = now|flag, said+"+"+[]string{"creat", "excl", "trunc", "nofollow", "dir"}[i]
				}
			}
			if now&unix.O_EXCL != 0 && now&unix.O_CREAT == 0 || now&unix.O_DIRECTORY != 0 && now&unix.O_CREAT != 0 {
				continue // nobody says what they mean
			}
			out = append(out, compared{said, now&(unix.O_CREAT|unix.O_TRUNC) == 0, func(n native, name string) error { return n.opened(name, now) }, func(t Tree, name string) error { return openedBy(t, name, now) }})
		}
	}
	for mode := range 8 {
		for said, flags := range map[string]int{"": 0, " nofollow": unix.AT_SYMLINK_NOFOLLOW} {
			out = append(out, compared{
				"access " + strconv.Itoa(mode) + said, true, func(n native, name string) error {
					return unix.Faccessat(n.root, name, uint32(mode), flags|unix.AT_EACCESS)
				},
				func(t Tree, name string) error { return t.Access(name, mode, flags == 0) },
			})
		}
	}
	for said, flags := range map[string]int{"": 0, " nofollow": unix.AT_SYMLINK_NOFOLLOW} {
		out = append(out, compared{
			"stat" + said, true, func(n native, name string) error { return unix.Fstatat(n.root, name, new(unix.Stat_t), flags) },
			func(t Tree, name string) error { _, err := t.Stat(name, flags == 0); return err },
		}, compared{
			"times" + said, true, func(n native, name string) error { return n.times(name, flags) },
			func(t Tree, name string) error {
				return t.SetTimes(name, flags == 0, Times{time.Unix(1, 0), time.Unix(1, 0)})
			},
		})
	}
	for _, other := range []string{"f", "d", "e", "z", "nope", "d/", "e/", "f/", "z/", ".", "d/.", "d/..", "nope/z", "ld", "lf"} {
		out = append(
			out,
			compared{"rename to " + other, false, func(n native, name string) error { return unix.Renameat(n.root, name, n.root, other) }, func(t Tree, name string) error { return t.Rename(name, other) }},
			compared{"rename of " + other, false, func(n native, name string) error { return unix.Renameat(n.root, other, n.root, name) }, func(t Tree, name string) error { return t.Rename(other, name) }},
			compared{"link to " + other, false, func(n native, name string) error { return unix.Linkat(n.root, name, n.root, other, 0) }, func(t Tree, name string) error { return t.Link(name, other) }},
			compared{"link of " + other, false, func(n native, name string) error { return unix.Linkat(n.root, other, n.root, name, 0) }, func(t Tree, name string) error { return t.Link(other, name) }},
		)
	}
	return append(
		out,
		compared{"mkdir", false, func(n native, name string) error { return unix.Mkdirat(n.root, name, dirMode) }, Tree.Mkdir},
		compared{"rmdir", false, func(n native, name string) error { return unix.Unlinkat(n.root, name, unix.AT_REMOVEDIR) }, Tree.Rmdir},
		compared{"unlink", false, func(n native, name string) error { return unix.Unlinkat(n.root, name, 0) }, Tree.Unlink},
		compared{"symlink", false, func(n native, name string) error { return unix.Symlinkat("f", n.root, name) }, func(t Tree, name string) error { return t.Symlink("f", name) }},
		compared{
			"chmod", false, func(n native, name string) error { return unix.Fchmodat(n.root, name, 0o700, 0) },
			func(t Tree, name string) error { return t.SetTimes(name, true, Times{}) },
		},
		compared{
			"readlink", true, func(n native, name string) error {
				_, err := unix.Readlinkat(n.root, name, make([]byte, 100))
				return err
			},
			func(t Tree, name string) error { _, err := t.Readlink(name); return err },
		},
	)
}

// made makes what the calls are about: files, directories, and links to them, to nothing, and to themselves.
func made(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); err == nil {
		return // nothing has come of the call before
	}
	for _, name := range []string{"d", "e"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, name), 0o700))
	}
	for _, name := range []string{"f", "d/g", "exe"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("text"), 0o600))
	}
	require.NoError(t, os.Chmod(filepath.Join(dir, "exe"), 0o500)) //nolint:gosec // to be run
	for name, text := range map[string]string{"lf": "f", "ld": "d", "le": "./e", "dangling": "nope", "far": "nope/x", "loop": "loop", "lslash": "f/", "ldslash": "d/", "lnslash": "nope/", "d/up": "../f", "ldot": "d/.."} {
		require.NoError(t, os.Symlink(text, filepath.Join(dir, name)))
	}
}

// comparedNames are what the calls are made of.
func comparedNames() []string {
	return strings.Fields("f d e d/ e/ d/g d/up f/ f/x f/. nope nope/ nope/x nope/. d/nope d/nope/ exe lf ld le ld/g ld/nope dangling far loop lslash ldslash lnslash ldot . ./ d/. d/.. d/../f e/. e/.. ./f d//g " +
		"dangling/x lf/ ld/ le/ dangling/ loop/ loop/x lslash/ ldslash/g lf/x " + strings.Repeat("n", 256) + " d/" + strings.Repeat("n", 256))
}

// inTree is what is in a directory.
func inTree(t *testing.T, dir string) (out []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(at string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rest, _ := filepath.Rel(dir, at)
		size := int64(0)
		if info.Mode().IsRegular() {
			size = info.Size()
		}
		out = append(out, fmt.Sprint(rest, " ", info.Mode(), size))
		return nil
	}))
	return out
}

// TestAsNative: a tree has the numbers of Linux, and does what it does.
func TestAsNative(t *testing.T) {
	ways(t, func(t *testing.T, parts bool) {
		top := t.TempDir()
		for _, call := range calls() {
			for i, name := range comparedNames() {
				if parts && i%4 != 0 {
					continue
				}
				a, b := filepath.Join(top, "a"), filepath.Join(top, "b")
				made(t, a)
				made(t, b)
				root, err := unix.Open(a, unix.O_PATH|unix.O_CLOEXEC, 0)
				require.NoError(t, err)
				tree, err := OpenLocal(b, false)
				require.NoError(t, err)
				tree.parts = tree.parts || parts
				want, got := call.native(native{root}, name), call.tree(tree, name)
				require.Equal(t, numberIf(want), numberIf(got), "%s %.20s: %v, natively %v", call.name, name, got, want)
				if want == nil && call.name != "chmod" { // nothing comes of that
					require.Equal(t, inTree(t, a), inTree(t, b), "%s %s", call.name, name)
				}
				require.NoError(t, unix.Close(root))
				require.NoError(t, tree.Close())
				if (want == nil || got == nil) && !call.asks {
					require.NoError(t, os.RemoveAll(a))
					require.NoError(t, os.RemoveAll(b))
				}
			}
		}
	})
}

// numberIf is the number of an error; 0: there is none.
func numberIf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	return numberOf(err)
}

// TestReadOnlyAsNative: one that is only read has those of a file system that is.
func TestReadOnlyAsNative(t *testing.T) {
	dir := t.TempDir()
	made(t, dir)
	root, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		t.Skip("who runs this may not mount: ", err)
	}
	require.NoError(t, err)
	defer unix.Close(root) //nolint:errcheck // of a test
	require.NoError(t, unix.MountSetattr(root, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}))
	ways(t, func(t *testing.T, parts bool) {
		tree := localBy(t, dir, true, parts)
		before := inTree(t, dir)
		for _, call := range calls() {
			for _, name := range comparedNames() {
				want, got := call.native(native{root}, name), call.tree(tree, name)
				require.Equal(t, numberIf(want), numberIf(got), "%s %.20s: %v, natively %v", call.name, name, got, want)
			}
		}
		require.Equal(t, before, inTree(t, dir))
	})
}
