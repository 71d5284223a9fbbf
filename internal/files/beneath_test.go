package files

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// nobody is a user who has no rights of his own.
const nobody = 65534

// ways are both in which paths are followed.
func ways(t *testing.T, f func(t *testing.T, parts bool)) {
	t.Run("whole", func(t *testing.T) { f(t, false) })
	t.Run("parts", func(t *testing.T) { f(t, true) })
}

// localBy follows paths in one of the ways. A kernel without openat2 has one only.
func localBy(t *testing.T, dir string, readOnly, parts bool) *Local {
	t.Helper()
	l := local(t, dir, readOnly)
	l.parts = l.parts || parts
	return l
}

// asNobody runs f in a thread whose rights are those of somebody else than root, to whom all below dir belongs.
func asNobody(t *testing.T, dir string, f func() error) {
	t.Helper()
	if os.Geteuid() != 0 {
		require.NoError(t, f())
		return
	}
	err := filepath.WalkDir(dir, func(at string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(at, nobody, nobody))
	})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) {
		t.Skip("this root has no other users: ", err)
	}
	require.NoError(t, err)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // it ends with this
		_, _, _ = unix.RawSyscall(unix.SYS_SETFSUID, nobody, 0, 0)
		if now, _, _ := unix.RawSyscall(unix.SYS_SETFSUID, ^uintptr(0), 0, 0); now != nobody {
			done <- nil
			return
		}
		done <- f()
	}()
	require.NoError(t, <-done)
}

// TestOnlySearched: what is below a directory that may be searched and not read is reached, and what is in one that may be searched and written, changed.
func TestOnlySearched(t *testing.T) {
	ways(t, func(t *testing.T, parts bool) {
		dir := t.TempDir()
		for _, name := range []string{"x", "x/sub", "wx"} {
			require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "x/sub/file"), []byte("text"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600))
		require.NoError(t, os.Symlink("x/sub/file", filepath.Join(dir, "link")))
		modes := map[string]os.FileMode{"x/sub": 0o111, "x": 0o111, "wx": 0o333, ".": 0o711}
		for _, name := range []string{"x/sub", "x", "wx", "."} {
			require.NoError(t, os.Chmod(filepath.Join(dir, name), modes[name]))
		}
		t.Cleanup(func() {
			for name := range modes {
				_ = os.Chmod(filepath.Join(dir, name), 0o700) //nolint:gosec // a directory
			}
		})
		tree := localBy(t, dir, false, parts)
		opens := func(name string, flags int) func() error {
			return func() error {
				f, err := tree.Open(name, flags)
				if err == nil {
					err = f.Close()
				}
				return err
			}
		}
		asNobody(t, dir, func() error {
			var errs []error
			for i, do := range []func() error{
				func() error { _, err := tree.Stat("x/sub/file", true); return err },
				func() error { _, err := tree.Stat("link", true); return err },
				opens("x/sub/file", unix.O_RDWR), opens("x/../x/sub/file", unix.O_RDONLY), opens("link", unix.O_RDONLY),
				func() error { return tree.SetTimes("x/sub/file", true, Times{Changed: time.Unix(1, 0)}) },
				opens("wx/new", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL),
				func() error { return tree.Rename("wx/new", "wx/renamed") },
				func() error { return tree.Unlink("wx/renamed") },
				func() error { return tree.Mkdir("wx/dir") },
				func() error { return tree.Rmdir("wx/dir") },
				func() error { return tree.Symlink("a", "wx/link") },
				func() error { _, err := tree.Readlink("wx/link"); return err },
				func() error { return tree.Unlink("wx/link") },
				func() error { return tree.Link("mine", "wx/mine") },
				func() error { return tree.Unlink("wx/mine") },
			} {
				if err := do(); err != nil {
					errs = append(errs, fmt.Errorf("%d: %w", i, err))
				}
			}
			for _, name := range []string{"x", "wx"} {
				if err := opens(name, unix.O_RDONLY|unix.O_DIRECTORY)(); !errors.Is(err, syscall.EACCES) {
					errs = append(errs, fmt.Errorf("%s is read: %w", name, err))
				}
			}
			if err := opens("x/new", unix.O_WRONLY|unix.O_CREAT)(); !errors.Is(err, syscall.EACCES) {
				errs = append(errs, fmt.Errorf("x is written to: %w", err))
			}
			return errors.Join(errs...)
		})
	})
}

// TestLongPaths: a path may be longer than one call takes, and lead through as many directories as it likes; links lead on, and in a circle nowhere.
func TestLongPaths(t *testing.T) {
	ways(t, func(t *testing.T, parts bool) {
		tree := localBy(t, t.TempDir(), false, parts)
		name, deep := strings.Repeat("n", 200), "."
		for len(deep) < 2*unix.PathMax {
			deep += "/" + name
			require.NoError(t, tree.Mkdir(deep))
		}
		_, err := tree.Stat(deep+"/..", true)
		require.NoError(t, err)
		f, err := tree.Open(deep+"/file", unix.O_WRONLY|unix.O_CREAT)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.NoError(t, tree.Unlink(deep+"/file"))
		for ; deep != "."; deep = filepath.Dir(deep) {
			require.NoError(t, tree.Rmdir(deep))
		}
		require.NoError(t, tree.Mkdir("d"))
		for i := range 60 {
			require.NoError(t, tree.Symlink(fmt.Sprintf("../d/./%d//", i-1), fmt.Sprintf("d/%d", i)))
		}
		require.NoError(t, tree.Unlink("d/0"))
		require.NoError(t, tree.Mkdir("d/0"))
		_, err = tree.Stat("d/20/../20", true)
		require.NoError(t, err)
		_, err = tree.Stat("d/59", true)
		require.Equal(t, syscall.ELOOP, err)
		_, err = tree.Stat("d/../..", true)
		require.Equal(t, syscall.EACCES, err)
		_, err = tree.Stat("", true)
		require.Equal(t, syscall.ENOENT, err)
	})
}

// TestNothingIsDoneOutsideInARace: while a directory and what is in it are exchanged for links that lead out, and are moved out of the tree and back, nothing outside is read or changed.
func TestNothingIsDoneOutsideInARace(t *testing.T) {
	ways(t, func(t *testing.T, parts bool) {
		dir, outside := t.TempDir(), t.TempDir()
		at := func(name string) string { return filepath.Join(dir, name) }
		require.NoError(t, os.WriteFile(filepath.Join(outside, "f"), []byte("secret"), 0o600))
		require.NoError(t, os.Symlink("secret", filepath.Join(outside, "text")))
		before, err := os.Stat(filepath.Join(outside, "f"))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(at("real/sub"), 0o700))
		require.NoError(t, os.WriteFile(at("real/f"), []byte("mine"), 0o600))
		require.NoError(t, os.Symlink("mine", at("real/text")))
		require.NoError(t, os.Symlink(outside, at("link")))
		require.NoError(t, os.Symlink(filepath.Join("..", filepath.Base(outside), "f"), at("real/l")))
		inside, err := unix.Open(at("real"), unix.O_PATH, 0)
		require.NoError(t, err)
		defer unix.Close(inside) //nolint:errcheck // only looked at
		away, err := unix.Open(t.TempDir(), unix.O_PATH, 0)
		require.NoError(t, err)
		defer unix.Close(away) //nolint:errcheck // only looked at
		tree := localBy(t, dir, false, parts)
		stop := make(chan struct{})
		var others sync.WaitGroup
		for _, do := range []func(){
			func() { _ = unix.Renameat2(unix.AT_FDCWD, at("real"), unix.AT_FDCWD, at("link"), unix.RENAME_EXCHANGE) },
			func() { _ = unix.Renameat2(inside, "f", inside, "l", unix.RENAME_EXCHANGE) },
			func() {
				if unix.Renameat(inside, "sub", away, "sub") == nil {
					_ = unix.Renameat(away, "sub", inside, "sub")
				}
			},
		} {
			others.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						do()
					}
				}
			})
		}
		reached := map[string]int{}
		for i := range 200 {
			way := []string{"real", "link", "real/sub/..", "real/../link"}[i%4]
			count := func(what string, err error) {
				if err == nil {
					reached[what]++
				}
			}
			if f, err := tree.Open(way+"/f", unix.O_RDWR); err == nil {
				b := make([]byte, 10)
				n, _ := f.ReadAt(b, 0)
				require.Equal(t, "mine", string(b[:n]))
				require.NoError(t, f.Close())
				reached["open"]++
			}
			info, err := tree.Stat(way+"/f", true)
			if count("stat", err); err == nil {
				require.EqualValues(t, len("mine"), info.Size)
			}
			text, err := tree.Readlink(way + "/text")
			if count("readlink", err); err == nil {
				require.Equal(t, "mine", text)
			}
			count("times", tree.SetTimes(way+"/f", true, Times{Changed: time.Unix(1, 0)}))
			count("mkdir", tree.Mkdir(way+"/d"))
			count("rename", tree.Rename(way+"/d", way+"/e"))
			count("rmdir", tree.Rmdir(way+"/e"))
			count("symlink", tree.Symlink("x", way+"/s"))
			count("link", tree.Link(way+"/text", way+"/t"))
			count("unlink", tree.Unlink(way+"/s"))
			count("unlink", tree.Unlink(way+"/t"))
			if f, err := tree.Open(way+"/n", unix.O_WRONLY|unix.O_CREAT); err == nil {
				require.NoError(t, f.Close())
				count("unlink", tree.Unlink(way+"/n"))
			}
		}
		close(stop)
		others.Wait()
		t.Log(reached)
		require.NotZero(t, reached["open"])
		require.NotZero(t, reached["unlink"])
		left, err := os.ReadDir(outside)
		require.NoError(t, err)
		require.Len(t, left, 2)
		after, err := os.Stat(filepath.Join(outside, "f"))
		require.NoError(t, err)
		require.Equal(t, before.ModTime(), after.ModTime())
	})
}
