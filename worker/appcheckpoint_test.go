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
	sv.do(b.a.host, func() {
		<-sv.ctx.Done()
		time.Sleep(20 * time.Millisecond) // as long as a disk may take, say
		require.NoError(t, os.MkdirAll(sv.dir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(sv.dir, "files"), nil, 0o600))
	})
	b.a.with(t.Context()).EndSaving("c", false, false)
	require.NoError(t, b.a.host.tasks.Wait())
	require.NoDirExists(t, sv.dir)
}
