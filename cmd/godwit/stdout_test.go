package main

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// A run whose output nobody reads ends as one of SIGPIPE, one whose terminal is gone as one of SIGHUP, any other as failed.
func TestExitOfLostOutput(t *testing.T) {
	lost := func(f *os.File) error {
		defer func(old *os.File) { os.Stdout = old }(os.Stdout)
		os.Stdout = f
		out := newOutput(func(l *apiv1.LogLine) error {
			_, err := os.Stdout.Write(l.Text)
			return err
		})
		require.NoError(t, out.line(&apiv1.LogLine{Text: []byte("line\n")}))
		require.True(t, closed(out.lost))
		return out.exit()
	}
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, reader.Close())
	require.Equal(t, 128+int(syscall.SIGPIPE), exitCode(lost(writer)))

	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("needs pseudo terminals: %v", err)
	}
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	fd, err := unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, master.Close())
	require.Equal(t, 128+int(syscall.SIGHUP), exitCode(lost(os.NewFile(uintptr(fd), "/dev/stdout"))))

	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	require.Equal(t, exitFailed, exitCode(lost(full)))
}
