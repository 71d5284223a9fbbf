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
	const failing = diskFails + ", then start again"
	for _, tc := range []struct {
		err  error
		want string
	}{
		{syscall.EIO, failing},
		{&os.PathError{Op: "sync", Path: "d", Err: syscall.EIO}, failing},
		{fmt.Errorf("file sync error: %s", &os.PathError{Op: "sync", Path: "d", Err: syscall.EIO}), failing},        //nolint:errorlint // as libraries do
		{fmt.Errorf("file resize error: %v", syscall.ENOSPC), "its file system is full: make room and start again"}, //nolint:errorlint // as libraries do
		{syscall.EISDIR, "the operating system refuses it: mend that and start again"},
		{nil, ""},
		{os.ErrNotExist, ""},
		{syscall.ENOENT, ""},
		{fmt.Errorf("open d: %s", syscall.ENOENT), ""}, //nolint:errorlint // as libraries do
		{errors.New("input/output error of a kind"), ""},
	} {
		require.Equal(t, tc.want, Remedy(tc.err), "%v", tc.err)
		require.Equal(t, tc.want == failing, DiskFails(tc.err))
		if tc.want == "" {
			require.Equal(t, tc.err, Advise(tc.err))
			continue
		}
		require.ErrorIs(t, Advise(tc.err), tc.err)
		require.EqualError(t, Advise(tc.err), tc.err.Error()+": "+tc.want)
	}
}

// TestMend: what to do while the process goes on speaks of no next start.
func TestMend(t *testing.T) {
	for _, h := range hindrances() {
		for _, is := range h.is {
			require.NotEmpty(t, Mend(is))
			require.NotContains(t, Mend(is), "start again")
			require.Contains(t, Remedy(is), Mend(is))
		}
	}
	require.Equal(t, "the operating system refuses it: mend that", Mend(syscall.EISDIR))
	require.Empty(t, Mend(errors.New("another")))
	require.Empty(t, Mend(nil))
}
