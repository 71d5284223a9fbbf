package worker

import (
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// newHomeBench is a bench whose host is the home of an app that begins with files which no server gives.
func newHomeBench(t *testing.T) *bench {
	b := newBench(t)
	w := b.a.host
	var err error
	w.modules, err = newModuleCache(filepath.Join(w.cfg.DataDir, "modules"), filepath.Join(w.cfg.DataDir, "code"), 1<<20, slog.New(slog.DiscardHandler),
		http.DefaultClient, func() []string { return nil })
	require.NoError(t, err)
	b.rec.App.Spec.Inputs = &apiv1.Tree{List: strings.Repeat("0", 64)}
	b.rec.App.Files = &apiv1.AppFiles{Host: "h1"}
	b.step()
	require.NotNil(t, b.a.home)
	require.False(t, b.a.filled)
	t.Cleanup(func() { b.a.leaveHome() })
	return b
}

// TestStopDoesNotWaitForInputs: an app that is stopped before its files have come ends without them.
func TestStopDoesNotWaitForInputs(t *testing.T) {
	b := newHomeBench(t)
	b.rec.App.Verdict = apiv1.AppCancelled
	for r := range b.rec.App.Ranks {
		b.rec.App.Ranks[r] = &apiv1.RankState{Epoch: 1, Ended: true}
	}
	b.step()
	require.Contains(t, b.status().Files.GetFault(), "before what it begins with had come")
}

// TestTroubleWithFilesIsTold: what is tried again and again is said to the leader.
func TestTroubleWithFilesIsTold(t *testing.T) {
	b := newHomeBench(t)
	b.a.filled = true
	b.a.homeTrouble(b.a.home, errors.New("no room"))
	require.Equal(t, "no room", b.status().Files.GetTrouble())
}

// TestRestoredHomeTellsHowFarItIs: a directory that comes from a checkpoint tells how much of it has come, and what keeps it from coming.
func TestRestoredHomeTellsHowFarItIs(t *testing.T) {
	b := newBench(t)
	b.rec.Restore = &apiv1.Checkpoint{Id: "k", App: "a", Parts: []*apiv1.CheckpointPart{{Host: "h2", Files: true, Digest: make([]byte, 32)}}}
	b.a.home = &home{restored: b.a.newRestoring()}
	require.Contains(t, b.status().Files.GetProgress(), "0 bytes")
	b.a.home.restored.progress("blob")(7)
	require.Contains(t, b.status().Files.GetProgress(), "7 bytes")
	why := "host h2 is gone"
	b.a.home.restored.why.Store(&why)
	require.Equal(t, why, b.status().Files.GetTrouble())
	b.a.home.restored.progress("blob")(8)
	require.Empty(t, b.status().Files.GetTrouble(), "it gets on")
}
