package executor

import (
	"context"
	"io"
	"strconv"
	"syscall"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/mpi"
)

// stdin is the standard input of a rank; nil: it is empty. asks is called before the rank waits for more of it.
func (e *Executor) stdin(id mpi.Rank, asks func()) io.Reader {
	if e.start.Stdin != "all" && e.start.Stdin != strconv.Itoa(int(id)) {
		return nil
	}
	readers := int32(1)
	if e.start.Stdin == "all" {
		readers = e.start.Size
	}
	return &homeInput{lane: e.home.laneOf(e.filing, id), readers: readers, asks: asks}
}

// homeInput reads the app's standard input, which its home has, from any place.
type homeInput struct {
	lane    *homeLane
	readers int32  // how many ranks read it
	asks    func() // what the rank has asked for without a newline is shown before it waits for the answer
	at      int64
	ahead   []byte // what has come and was not asked for yet, from at on
	ended   bool   // nothing comes after that
}

// Read implements io.Reader: it waits for what is not there yet.
func (i *homeInput) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := i.fetch(i.lane.ctx); err != nil {
		return 0, err
	}
	if len(i.ahead) == 0 {
		return 0, io.EOF
	}
	n := copy(p, i.ahead)
	i.at, i.ahead = i.at+int64(n), i.ahead[n:]
	return n, nil
}

// Await implements wasm.Awaiter.
func (i *homeInput) Await(stop <-chan struct{}) {
	if len(i.ahead) > 0 || i.ended {
		return
	}
	ctx, cancel := context.WithCancel(i.lane.ctx)
	defer cancel()
	go func() {
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	_ = i.fetch(ctx) // what is wrong Read finds again
}

// fetch waits until there is something to read, or the input has ended, or ctx has.
func (i *homeInput) fetch(ctx context.Context) error {
	if len(i.ahead) == 0 && !i.ended {
		i.asks()
	}
	for len(i.ahead) == 0 && !i.ended {
		res, err := i.lane.ask(ctx, &apiv1.FilesRequest{
			App: i.lane.home.app, Op: apiv1.FilesRequest_OP_INPUT_READ, Client: i.lane.home.client, Lane: i.lane.lane, At: i.at, Size: files.PieceBytes,
			Flags: i.readers,
		})
		switch {
		case err != nil:
			return err
		case res.Errno != 0:
			return syscall.Errno(res.Errno)
		}
		i.ahead, i.ended = res.Data, len(res.Data) == 0 && res.End
	}
	return nil
}

// Resume implements wasm.Resumer, for a rank that has read before it has moved.
func (i *homeInput) Resume(at uint64) { i.at, i.ahead = int64(at), nil }
