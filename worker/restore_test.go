package worker

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/worker/part"
)

// TestRestoreCommandsAreFew: one command says what many ranks are made of, and none is longer than the link takes.
func TestRestoreCommandsAreFew(t *testing.T) {
	for _, c := range []struct {
		ranks, path int
		most        int // commands
	}{{5000, 100, 1}, {3000, 4000, 4}} {
		b := newBench(t)
		b.rec.Restore = &apiv1.Checkpoint{Id: "c", App: "a"}
		images, ids := map[int32]*restoredRank{}, []int32(nil)
		for id := range int32(c.ranks) {
			images[id] = &restoredRank{memory: []string{"/" + strings.Repeat("m", c.path)}, state: "/s"}
			ids = append(ids, id)
		}
		b.a.restoreRanks(images, ids)
		commands := 0
		for next := int32(0); int(next) < c.ranks; commands++ {
			x := b.next().GetRestore()
			require.Equal(t, "c", x.GetCheckpoint())
			require.Equal(t, "a", x.App)
			for _, r := range x.Ranks {
				require.Equal(t, next, r.Rank)
				require.Equal(t, images[next].memory, r.Memory)
				require.Equal(t, "/s", r.State)
				next++
			}
		}
		require.LessOrEqual(t, commands, c.most)
	}
}

// TestWhatComesAgainIsNoProgress: what is read, or comes, in one round after the other and leads to nothing counts a few times.
func TestWhatComesAgainIsNoProgress(t *testing.T) {
	r := &restoring{most: map[string]int64{}}
	for range 100 {
		r.rounds++
		r.progress("one")(5)
	}
	require.EqualValues(t, 5*maxFailed, r.moved.Load())
	why := "the rest does not come"
	r.why.Store(&why)
	count := r.progress("one")
	count(5)
	require.Equal(t, why, r.trouble())
	count(2)
	require.EqualValues(t, 5*maxFailed+2, r.moved.Load(), "more than ever")
	require.Empty(t, r.trouble())
	r.progress("two")(3)
	require.EqualValues(t, 5*maxFailed+5, r.moved.Load())
}

// TestThawsAreFew: one command has all ranks run that a migration has brought, or of which an earlier process had heard that they are made: an executor has room for less than there may be of ranks.
func TestThawsAreFew(t *testing.T) {
	const ranks = maxCommands + 100
	for _, restored := range []bool{true, false} {
		b := newBench(t)
		app := b.rec.App
		app.Size, app.Placement, app.Ranks = ranks, make([]string, ranks), make([]*apiv1.RankState, ranks)
		var stand []*apiv1.StandingRank
		for i := range int32(ranks) {
			app.Placement[i], app.Ranks[i] = "h1", &apiv1.RankState{Epoch: 2}
			stand = append(stand, &apiv1.StandingRank{Rank: i, State: apiv1.StandingRank_STATE_STAGED, Migration: "c", Staged: &apiv1.ExecStaged{Migration: "c", Rank: i, Digest: "00"}})
		}
		app.Epoch = 2
		if restored {
			b.rec.Restore, app.FirstEpoch = &apiv1.Checkpoint{Id: "c", App: "a"}, 2
		}
		b.adopts(stand...)
		thaw := b.next().GetThaw()
		if !restored {
			require.Nil(t, thaw, "the routes come first")
			thaw = b.next().GetThaw()
		}
		require.Len(t, thaw.GetRanks(), ranks)
		require.EqualValues(t, 2, thaw.Epoch)
		require.Nil(t, b.a.child.why.Load())
	}
}

// TestDroppedIsNotFetched: nothing comes after it was removed, which nobody would remove.
func TestDroppedIsNotFetched(t *testing.T) {
	b := newBench(t)
	b.rec.Restore = &apiv1.Checkpoint{Id: "c", App: "a"}
	r := b.a.newRestoring()
	_, err := r.fetch(t.Context(), nil, b.a.output)
	require.NoError(t, err)
	require.DirExists(t, r.dir)
	r.drop()
	_, err = r.fetch(t.Context(), nil, b.a.output)
	require.ErrorIs(t, err, context.Canceled)
	require.NoDirExists(t, r.dir)
}

// damaged gives other bytes than those that are asked for.
type damaged struct{ dataService }

func (damaged) FetchBlob(_ context.Context, _ *apiv1.FetchBlobRequest, stream apiv1connect.DataFetchBlobServerStream) error {
	return stream.Send(&apiv1.FetchBlobResponse{Chunk: []byte("other")})
}

// TestNobodyHasIt: that a part of a checkpoint is nowhere is known when all who could have it have answered, and only then.
func TestNobodyHasIt(t *testing.T) {
	b := newBench(t)
	b.rec.Restore = &apiv1.Checkpoint{Id: "k", App: "a"}
	far := &Worker{cfg: Config{Name: "h2"}, log: slog.New(slog.DiscardHandler), checkpoints: newStore(t, t.TempDir())}
	without := holder{"h2", serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterDataHandler(s, dataService{far}) })}
	wrong := holder{"h2", serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterDataHandler(s, damaged{dataService{far}}) })}
	gone, silent := holder{"h4", ""}, holder{"h5", "127.0.0.1:1"}
	other := holder{"h6", without.addr} // whose address is another's by now
	empty, absent := "file://"+t.TempDir(), "file://"+filepath.Join(t.TempDir(), "not-mounted")
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "checkpoints"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "checkpoints", "another"), nil, 0o600))
	store := "file://" + dir
	for name, tc := range map[string]struct {
		from  []holder
		store string
		own   error
		known bool
	}{
		"on this host alone":          {known: true},
		"on one that has not":         {from: []holder{without}, known: true},
		"damaged":                     {from: []holder{wrong, without}, known: true},
		"not readable here":           {own: syscall.EIO},
		"one is gone":                 {from: []holder{gone, without}},
		"one does not answer":         {from: []holder{without, silent}},
		"another host is there":       {from: []holder{other}},
		"and in no store":             {from: []holder{without}, store: store, known: true},
		"the store is not there":      {from: []holder{without}, store: absent},
		"the store may not be there":  {from: []holder{without}, store: empty},
		"gone, and in no store":       {from: []holder{gone}, store: store},
		"damaged, and in no store":    {from: []holder{wrong}, store: store, known: true},
		"not readable, and not there": {own: syscall.EIO, store: store},
	} {
		t.Run(name, func(t *testing.T) {
			r := b.a.newRestoring()
			r.checkpoint = &apiv1.Checkpoint{Id: "k", App: "a", To: tc.store}
			blob := &apiv1.Blob{Digest: hex.EncodeToString(sumOf([]byte("right"))), Size: 5}
			var got bytes.Buffer
			begin := func() (io.Writer, error) { got.Reset(); return &got, nil }
			err := r.obtain(t.Context(), wanted{partName{"k", "h2"}, blob.Digest, blob.Size, tc.own}, tc.from, begin, func() error {
				if got.String() != "right" {
					return errors.New("it is not what it was")
				}
				return nil
			})
			require.Error(t, err)
			require.Equal(t, tc.known, errors.Is(err, errNowhere), err)
			for range maxNowhere - 1 {
				require.False(t, r.hopeless(err), "it may be otherwise the next time")
			}
			require.Equal(t, tc.known, r.hopeless(err))
			require.False(t, r.hopeless(errors.New("host h4 is gone")))
			require.False(t, r.hopeless(err), "it is counted anew")
		})
	}
}

// TestManifestsThatAreNone: a manifest that is none, and is the one that was made, is so wherever it comes from; one of another version a newer worker may read.
func TestManifestsThatAreNone(t *testing.T) {
	b := newBench(t)
	b.rec.Restore = &apiv1.Checkpoint{Id: "k", App: "a"}
	r, p := b.a.newRestoring(), &apiv1.CheckpointPart{Host: "h"}
	for name, tc := range map[string]struct {
		manifest *apiv1.CheckpointManifest
		nowhere  bool
	}{
		"of another host":    {&apiv1.CheckpointManifest{Version: checkpointVersion, Checkpoint: "k", Host: "x"}, true},
		"of another version": {&apiv1.CheckpointManifest{Version: checkpointVersion + 1, Checkpoint: "k", Host: "h"}, false},
	} {
		_, err := r.parsed(mustMarshal(t, tc.manifest), p)
		require.Error(t, err)
		require.Equal(t, tc.nowhere, errors.Is(err, errNowhere), name)
	}
	_, err := r.parsed(mustMarshal(t, &apiv1.CheckpointManifest{Version: checkpointVersion, Checkpoint: "k", Host: "h"}), p)
	require.NoError(t, err)
}

// TestCancelWhileRanksAreMade: ranks that are not made of the checkpoint any more, for the app is to end, do not end those that run at once.
func TestCancelWhileRanksAreMade(t *testing.T) {
	b := newBench(t)
	b.rec.Restore, b.rec.App.FirstEpoch = &apiv1.Checkpoint{Id: "c", App: "a"}, 1
	b.has(part.None)
	require.Equal(t, []int32{0}, b.a.part.Begun())
	b.a.part.Ready()
	b.rec.App.Verdict = apiv1.AppCancelled
	b.step()
	require.NotNil(t, b.next().GetCancel())
	b.a.rankStaged(t.Context(), &apiv1.ExecStaged{Migration: "c", Rank: 0, Error: "cancelled: enough"})
	require.Nil(t, b.a.child.why.Load())
}
