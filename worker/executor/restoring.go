package executor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/failpoint"
	"github.com/godwit-run/godwit/mpi"
)

// mostLoads is how many ranks are made of files at a time: enough for a disk, and for what is done with what it gives. Each has its files open, a few.
const mostLoads = 8

// restore makes ranks of what a checkpoint has of them. It returns when all are made, or could not be.
func (e *Executor) restore(ctx context.Context, x *apiv1.ExecRestore) {
	told := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() { e.tellRead(told) })
	defer telling.Wait()
	defer close(told)
	var loads errgroup.Group
	loads.SetLimit(mostLoads)
	for _, from := range x.Ranks {
		ev := &apiv1.ExecStaged{Migration: x.Checkpoint, Rank: from.Rank}
		r, err := e.expectRank(ctx, x.Checkpoint, mpi.Rank(from.Rank), nil)
		if err != nil {
			ev.Error = err.Error()
			e.staged(ev)
			continue
		}
		loads.Go(func() error { // until it is read, or is not wanted any more
			digest, err := e.load(r, x, from)
			if ev.Digest = digest; err != nil {
				ev.Error = err.Error()
			}
			e.staged(ev)
			return nil
		})
	}
	_ = loads.Wait() // each has told its own error
}

// tellRead tells the worker how much has been read, while that becomes more, until over is closed.
func (e *Executor) tellRead(over <-chan struct{}) {
	t := time.NewTicker(tellEvery)
	defer t.Stop()
	for last := int64(0); ; {
		select {
		case <-t.C:
		case <-over:
			return
		}
		if n := e.read.Load(); n > last {
			last = n
			e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Restoring{Restoring: &apiv1.ExecRestoring{Bytes: n}}})
		}
	}
}

// counted is a file of which it is counted how much is read.
type counted struct {
	io.Reader
	n *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n.Add(int64(n))
	return n, err
}

func (e *Executor) staged(s *apiv1.ExecStaged) {
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Staged{Staged: s}})
}

// load fills an expected rank from files, and says what its image's digest is.
func (e *Executor) load(r *rank, x *apiv1.ExecRestore, from *apiv1.RestoredRank) (string, error) {
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close() // only read
		}
	}()
	fault := func(file int, err error) error { return r.loadFault(x.Checkpoint, file, len(from.Memory), err) }
	for i, name := range append(slices.Clip(from.Memory), from.State) {
		f, err := os.Open(name)
		if err != nil {
			return "", fault(i, err)
		}
		files = append(files, f)
	}
	if err := r.coming.beginFiles(files); err != nil {
		return "", fmt.Errorf("executor: rank %d: %w", r.id, err)
	}
	defer r.coming.readers.Done()
	for i, f := range files[:len(from.Memory)] {
		if err := r.coming.rounds(counted{f, &e.read}); err != nil {
			return "", fault(i, err)
		}
	}
	failpoint.Here("executor.stage")
	state := files[len(from.Memory)]
	info, err := state.Stat()
	if err != nil {
		return "", fault(len(from.Memory), err)
	}
	ev, err := e.stage(r, bufio.NewReaderSize(counted{state, &e.read}, saveBytes), x.App, min(info.Size(), maxHeaderBytes))
	failpoint.Here("executor.staged")
	if err != nil {
		return "", fmt.Errorf("%w (of checkpoint %s)", err, x.Checkpoint)
	}
	return ev.Digest, nil
}

// loadFault says what is wrong with a file, without this host's name of it.
func (r *rank) loadFault(checkpoint string, file, memory int, err error) error {
	what := "state"
	if file < memory {
		what = fmt.Sprintf("part %d of %d of the memory", file+1, memory)
	}
	var of *fs.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	return fmt.Errorf("executor: rank %d: read the %s in checkpoint %s: %w", r.id, what, checkpoint, err)
}

// beginFiles has the rank come from files. It is waited for until it says that it has ended.
func (c *coming) beginFiles(files []*os.File) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.takes.Over {
		return errNotExpected
	}
	for _, f := range files {
		c.conns = append(c.conns, f)
	}
	c.readers.Add(1)
	return nil
}

// rounds takes all rounds of a file.
func (c *coming) rounds(f io.Reader) error {
	br := bufio.NewReaderSize(f, saveBytes)
	for {
		switch _, err := br.Peek(1); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if _, err := c.receiver.Round(br); err != nil {
			return err
		}
	}
}
