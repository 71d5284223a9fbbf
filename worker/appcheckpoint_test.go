package worker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/apierr"
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

// TestTornSeriesBeginAnew: where a file of what earlier checkpoints have of a rank's memory is gone, cut short, cannot be looked at, or was found damaged, the executor is told to write all of it; and a
// checkpoint that was begun before is not made of it.
func TestTornSeriesBeginAnew(t *testing.T) {
	for name, tear := range map[string]func(s *checkpointStore, b *apiv1.Blob) error{
		"whole": func(*checkpointStore, *apiv1.Blob) error { return nil },
		"gone":  func(s *checkpointStore, b *apiv1.Blob) error { return os.Remove(s.blobPath(b.Digest)) },
		"cut":   func(s *checkpointStore, b *apiv1.Blob) error { return os.Truncate(s.blobPath(b.Digest), 1) },
		"doubt": func(s *checkpointStore, b *apiv1.Blob) error { s.doubt(b.Digest); return nil },
		"unseen": func(s *checkpointStore, b *apiv1.Blob) error {
			return errors.Join(os.Remove(s.blobPath(b.Digest)), os.Symlink(b.Digest, s.blobPath(b.Digest)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			store, of := b.a.host.checkpoints, partName{"c1", "h1"}
			store.know(&apiv1.Checkpoint{Id: "c1"})
			memory, other := store.blob(t, of, "memory of rank 0"), store.blob(t, of, "memory of rank 1")
			b.a.chains = map[int32]*savedChain{0: {memory: map[string]*apiv1.Blob{"c1": memory}}, 1: {memory: map[string]*apiv1.Blob{"c1": other}}, 2: {}}
			b.a.keepChains()
			require.NoError(t, tear(store, memory))

			c := &apiv1.Checkpoint{Id: "c2", App: "a"}
			b.a.with(t.Context()).BeginSaving(c)
			require.NoError(t, b.a.with(t.Context()).Write("c2", []int32{0, 1, 2, 3}))
			anew := []int32{2, 3}
			if name != "whole" {
				anew = []int32{0, 2, 3}
			}
			require.Equal(t, anew, b.next().GetCheckpoint().GetAnew())

			require.NoError(t, os.WriteFile(filepath.Join(b.a.saving.dir, "0.memory"), []byte("changed"), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(b.a.saving.dir, "0.state"), []byte("state"), 0o600))
			p := &partMaker{
				store: store, sv: b.a.saving, name: partName{"c2", "h1"}, part: &apiv1.CheckpointPart{}, manifest: &apiv1.CheckpointManifest{Checkpoint: "c2", App: "a", Host: "h1"},
				ranks: []*rankPart{{saved: &apiv1.ExecSaved{Memory: []string{"c1", "c2"}}, chain: b.a.chains[0]}},
			}
			_, err := p.make(t.Context())
			if name == "whole" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "rank 0: what was written of its memory for checkpoint c1 is gone from this host's disk, or damaged")
			p.ranks[0].saved.Memory = []string{"c2"}
			require.NoError(t, os.WriteFile(filepath.Join(b.a.saving.dir, "0.memory"), []byte("memory of rank 0"), 0o600)) // all of it, and it has not changed
			require.NoError(t, os.WriteFile(filepath.Join(b.a.saving.dir, "0.state"), []byte("state"), 0o600))
			p.manifest.Ranks = nil
			_, err = p.make(t.Context())
			require.NoError(t, err)
			require.True(t, store.sound(memory))
		})
	}
}

// TestTornOutputIsCutAgain: a run of a rank's output that was saved before, and is not whole any more, is saved again, with what follows: the log has it.
func TestTornOutputIsCutAgain(t *testing.T) {
	store, log := newStore(t, t.TempDir()), filepath.Join(t.TempDir(), "log")
	text := strings.Repeat("x", 400) + strings.Repeat("y", 40) + "z"
	require.NoError(t, os.WriteFile(log, []byte(text), 0o600))
	save := func(checkpoint string, size int64, chain *savedChain) (*partMaker, *savedChain) {
		store.know(&apiv1.Checkpoint{Id: checkpoint})
		p := &partMaker{
			store: store, sv: &saving{}, name: partName{checkpoint, "h1"}, part: &apiv1.CheckpointPart{}, manifest: &apiv1.CheckpointManifest{Checkpoint: checkpoint, Host: "h1"},
			ranks: []*rankPart{{output: outputEnd{size: size}, chain: chain, log: log}},
		}
		_, err := p.make(t.Context())
		require.NoError(t, err)
		return p, p.next[0]
	}
	_, chain := save("c1", 400, nil)
	_, chain = save("c2", 440, chain)
	require.Len(t, chain.log, 2)
	require.NoError(t, os.Remove(store.blobPath(chain.log[0].blob.Digest)))
	p, chain := save("c3", 441, chain)
	require.EqualValues(t, 441, p.part.NewBytes)
	var got []byte
	for _, piece := range chain.log {
		b, err := os.ReadFile(store.blobPath(piece.blob.Digest))
		require.NoError(t, err)
		got = append(got, b...)
	}
	require.Equal(t, text, string(got))
}

// TestWhatAnotherCheckpointMayDo: what is damaged here is written anew, and another second host may take what one does not; a disk that is full stays so.
func TestWhatAnotherCheckpointMayDo(t *testing.T) {
	for _, err := range []error{
		fmt.Errorf("rank 0: what was written of its memory for checkpoint c is %w", errTorn),
		ownCopy("d", errAnother),
		errNotHeld,
		fmt.Errorf("worker: checkpoints: %w", &fs.PathError{Op: "open", Path: "blob", Err: syscall.ENOENT}),
		fmt.Errorf("worker: checkpoints: %w", &fs.PathError{Op: "read", Path: "blob", Err: syscall.EIO}),
		apierr.New(connect.CodeResourceExhausted, apierr.ReasonRefused, "", "host h2: its disk has room for 1 MiB", ""),
		fmt.Errorf("it is whole here, and became damaged on each of 8 ways: %w", invalid(fieldBlob, "what came as blob", "")),
	} {
		require.True(t, anotherMayDo(err), "%v", err)
	}
	for _, err := range []error{
		errors.New("its disk has room for 1 MiB, and 2 MiB of a checkpoint are to come"),
		fmt.Errorf("worker: checkpoints: %w", &fs.PathError{Op: "write", Path: "blob", Err: syscall.ENOSPC}),
		invalid("lacking", "the other host asks for what is not of the checkpoint", ""),
		errors.New("its manifest would have too many bytes"),
	} {
		require.False(t, anotherMayDo(err), "%v", err)
	}
}
