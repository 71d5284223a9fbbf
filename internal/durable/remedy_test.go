package durable

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAdvise: what the operating system refused is answered with what to do, also where only the text of it is left; nothing else is.
func TestAdvise(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{syscall.EIO, diskFails},
		{&os.PathError{Op: "sync", Path: "d", Err: syscall.EIO}, diskFails},
		{fmt.Errorf("file sync error: %s", &os.PathError{Op: "sync", Path: "d", Err: syscall.EIO}), diskFails},      //nolint:errorlint // as libraries do
		{fmt.Errorf("file resize error: %v", syscall.ENOSPC), "its file system is full: make room and start again"}, //nolint:errorlint // as libraries do
		{syscall.EISDIR, "the operating system refuses it: mend that and start again"},
		{nil, ""},
		{os.ErrNotExist, ""},
		{syscall.ENOENT, ""},
		{fmt.Errorf("open d: %s", syscall.ENOENT), ""}, //nolint:errorlint // as libraries do
		{errors.New("input/output error of a kind"), ""},
	} {
		require.Equal(t, tc.want, Remedy(tc.err), "%v", tc.err)
		require.Equal(t, tc.want == diskFails, DiskFails(tc.err))
		if tc.want == "" {
			require.Equal(t, tc.err, Advise(tc.err))
			continue
		}
		require.ErrorIs(t, Advise(tc.err), tc.err)
		require.EqualError(t, Advise(tc.err), tc.err.Error()+": "+tc.want)
	}
}
