package files

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestAccess: what a user may do is what the kernel says to that user.
func TestAccess(t *testing.T) {
	trees(t, func(t *testing.T, tree Tree, dir string) {
		at := func(name string) string { return filepath.Join(dir, name) }
		modes := map[string]os.FileMode{"none": 0, "read": 0o400, "write": 0o200, "run": 0o500, "all": 0o777}
		for name, mode := range modes {
			require.NoError(t, os.WriteFile(at(name), nil, 0o600))
			require.NoError(t, os.Chmod(at(name), mode))
			require.NoError(t, os.Mkdir(at(name+"-dir"), 0o700))
			require.NoError(t, os.Chmod(at(name+"-dir"), mode))
		}
		require.NoError(t, os.Symlink("none", at("link")))
		require.NoError(t, os.Symlink("nowhere", at("dangling")))
		names := []string{"link", "dangling", "missing", "link/", "read/", "all/x", "all-dir/", "none-dir/x", ".", "all-dir/.."}
		for name := range modes {
			names = append(names, name, name+"-dir")
		}
		root, err := unix.Open(dir, unix.O_PATH, 0)
		require.NoError(t, err)
		defer unix.Close(root) //nolint:errcheck // only looked at
		asNobody(t, dir, func() (all error) {
			for _, name := range names {
				for mode := range 8 {
					for follow, flags := range map[bool]int{true: unix.AT_EACCESS, false: unix.AT_EACCESS | unix.AT_SYMLINK_NOFOLLOW} {
						want := unix.Faccessat(root, name, uint32(mode), flags)
						if got := tree.Access(name, mode, follow); !errors.Is(got, want) {
							all = errors.Join(all, fmt.Errorf("%s, %d, follow %t: %w, and is %w", name, mode, follow, got, want))
						}
					}
				}
			}
			return all
		})
	})
}

// TestAccessOfReadOnly: nothing there is written to, and it is asked for before.
func TestAccessOfReadOnly(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "l")))
	tree := local(t, dir, true)
	for _, name := range []string{"f", "."} {
		require.NoError(t, tree.Access(name, unix.R_OK, true))
		require.Equal(t, syscall.EROFS, tree.Access(name, unix.R_OK|unix.W_OK, true))
	}
	require.Equal(t, syscall.EROFS, tree.Access("l", unix.W_OK, false))
	require.Equal(t, syscall.ENOENT, tree.Access("l", unix.W_OK, true))
}

// before is a home that knows of no access.
type before struct{ direct }

func (b *before) Ask(req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	if req.Op == apiv1.FilesRequest_OP_ACCESS {
		req.Op = apiv1.FilesRequest_OP_SET_TIMES + 9 // none
	}
	return b.direct.Ask(req)
}

// TestAccessIsOneRequest; a home of before says what is there.
func TestAccessIsOneRequest(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
	input, err := NewInput(t.TempDir())
	require.NoError(t, err)
	s := NewServer(local(t, dir, false), local(t, t.TempDir(), false), input)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	now := &direct{server: s, random: rand.New(rand.NewPCG(1, 2))}
	require.NoError(t, NewRemote(now, false).Access("f", unix.R_OK|unix.W_OK, true))
	require.EqualValues(t, 1, now.number)
	old := NewRemote(&before{direct{server: s, random: rand.New(rand.NewPCG(1, 2)), client: 1}}, false)
	require.NoError(t, old.Access("f", unix.R_OK|unix.W_OK, true))
	require.Equal(t, syscall.EACCES, old.Access("f", unix.X_OK, true))
	require.NoError(t, old.Access(".", unix.X_OK, true))
	require.Equal(t, syscall.ENOENT, old.Access("g", unix.F_OK, true))
}
