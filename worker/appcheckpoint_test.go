package worker

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestNothingIsLeftOfACheckpoint: what is still written for a checkpoint as it ends is removed, too.
func TestNothingIsLeftOfACheckpoint(t *testing.T) {
	b := newBench(t)
	b.a.with(t.Context()).BeginSaving(&apiv1.Checkpoint{Id: "c", App: "a"})
	sv := b.a.saving
	sv.do(b.a, func() {
		<-sv.ctx.Done()
		time.Sleep(20 * time.Millisecond) // as long as a disk may take, say
		require.NoError(t, os.MkdirAll(sv.dir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(sv.dir, "files"), nil, 0o600))
	})
	b.a.with(t.Context()).EndSaving("c", false, false)
	require.NoError(t, b.a.host.tasks.Wait())
	require.NoDirExists(t, sv.dir)
}

// TestProgressOfAPartIsTold: while a part is packed, hashed or sent, and nothing else happens, the app tells how far it is.
func TestProgressOfAPartIsTold(t *testing.T) {
	b := newBench(t)
	b.a.with(t.Context()).BeginSaving(&apiv1.Checkpoint{Id: "c", App: "a"})
	sv, goOn := b.a.saving, make(chan struct{})
	sv.do(b.a, func() {
		for range goOn {
			sv.progress.Add(10)
		}
	})
	for range 3 {
		goOn <- struct{}{}
		select {
		case f := <-b.a.inbox:
			f()
		case <-time.After(time.Minute):
			t.Fatal("nothing is told")
		}
	}
	close(goOn)
	b.a.with(t.Context()).EndSaving("c", false, false)
	over := make(chan error)
	go func() { over <- b.a.host.tasks.Wait() }()
	for {
		select {
		case f := <-b.a.inbox: // of what had grown by then
			f()
		case err := <-over:
			require.NoError(t, err)
			return
		}
	}
}
