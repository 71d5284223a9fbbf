package objects

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hung is a directory that hangs: a file system whose server does not answer. It ends with the test.
func hung(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	server, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs file systems in user space: %v", err)
	}
	if err := syscall.Mount("godwit-test", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", server.Fd())); err != nil {
		_ = server.Close()
		t.Skipf("needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		require.NoError(t, server.Close()) // what hangs returns
		require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH))
		require.Eventually(t, func() bool {
			hanging.mu.Lock()
			defer hanging.mu.Unlock()
			return hanging.n[dir] == 0
		}, time.Minute, time.Millisecond)
	})
	return dir
}

// TestHungDirectory: a directory that does not answer is given up after a while, and at once by who is told to end; and no more calls hang in it than are bounded.
func TestHungDirectory(t *testing.T) {
	s := directory{hung(t), 50 * time.Millisecond}
	_, err := s.Put(t.Context(), "k", Text([]byte("x")))
	require.ErrorIs(t, err, errSilent)
	_, _, err = s.Get(t.Context(), "k")
	require.ErrorIs(t, err, errSilent)
	require.ErrorIs(t, s.List(t.Context(), "", func(string, int64) error { return nil }), errSilent)
	require.ErrorIs(t, s.Remove(t.Context(), "k"), errSilent)
	s.silence = time.Hour
	hang := func() int {
		hanging.mu.Lock()
		defer hanging.mu.Unlock()
		return hanging.n[s.dir]
	}
	require.GreaterOrEqual(t, hang(), 4)
	for hang() < mostHanging { // on a busy machine the time of one may be over before it has begun
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		require.ErrorIs(t, s.Remove(ctx, "k"), context.DeadlineExceeded)
		cancel()
	}
	require.ErrorContains(t, s.Remove(t.Context(), "k"), "calls hang")
	_, err = (directory{t.TempDir(), time.Hour}).Put(t.Context(), "k", Text([]byte("x")))
	require.NoError(t, err, "others are others")
}

// slowBody is one that is read slowly: what it has comes, or does not.
type slowBody struct {
	Body

	gate chan struct{}
}

func (b slowBody) Read(p []byte) (int, error) {
	<-b.gate
	return b.Body.Read(p[:1])
}

// TestSlowDirectory: what gets on may take its time; what stands is given up, is no object when it goes on, and nobody hears of its progress.
func TestSlowDirectory(t *testing.T) {
	s := directory{t.TempDir(), 200 * time.Millisecond}
	o, heard := Text([]byte("slow")), 0
	gate := make(chan struct{})
	o.Body, o.Progress = slowBody{o.Body, gate}, func(n int) { heard += n }
	go func() {
		for range 5 { // its bytes, and its end
			time.Sleep(s.silence / 2)
			gate <- struct{}{}
		}
	}()
	sent, err := s.Put(t.Context(), "k", o)
	require.NoError(t, err)
	require.True(t, sent)
	require.Equal(t, 4, heard)
	o = Text([]byte("stands"))
	o.Body, o.Progress = slowBody{o.Body, gate}, func(n int) { heard += n }
	_, err = s.Put(t.Context(), "l", o)
	require.ErrorIs(t, err, errSilent)
	close(gate)
	require.Eventually(t, func() bool {
		hanging.mu.Lock()
		defer hanging.mu.Unlock()
		return hanging.n[s.dir] == 0
	}, time.Minute, time.Millisecond)
	require.Equal(t, 4, heard)
	require.Equal(t, map[string]int64{"k": 4}, list(t, s, ""))
}
