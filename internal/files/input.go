package files

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

const (
	// inputAhead bounds how much of an input there is that nobody has read.
	inputAhead = 8 << 20
	// inputWait is how long a request waits for what is not there yet, or for room.
	inputWait = 5 * time.Second
)

// Input is an app's standard input, in a file: what has come stays, so that a rank which moves, or another rank, reads it from where it is.
type Input struct {
	file *os.File

	mu    sync.Mutex // guards the fields below
	size  int64
	read  int64         // up to where somebody has read
	ended bool          // nothing comes any more
	moved chan struct{} // closed at each change
}

// NewInput keeps an input in a file of its own, in a directory.
func NewInput(dir string) (*Input, error) {
	f, err := os.CreateTemp(dir, "stdin-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Input{file: f, moved: make(chan struct{})}, nil
}

// Close forgets the input.
func (i *Input) Close() error { return i.file.Close() }

// change says that there is something new. Holds mu.
func (i *Input) change() {
	close(i.moved)
	i.moved = make(chan struct{})
}

// await waits until ready says so, called with mu held, or for a while.
func (i *Input) await(ready func() bool) {
	t := time.NewTimer(inputWait)
	defer t.Stop()
	for {
		if ready() {
			return
		}
		moved := i.moved
		i.mu.Unlock()
		select {
		case <-moved:
			i.mu.Lock()
		case <-t.C:
			i.mu.Lock()
			return
		}
	}
}

// do does what is asked.
func (i *Input) do(req *apiv1.FilesRequest) *apiv1.FilesResponse {
	i.mu.Lock()
	defer i.mu.Unlock()
	if req.At < 0 || req.At > i.size && req.Op == apiv1.FilesRequest_OP_INPUT_WRITE {
		return &apiv1.FilesResponse{Errno: int32(syscall.EINVAL), At: i.size}
	}
	if req.Op == apiv1.FilesRequest_OP_INPUT_WRITE {
		return i.write(req)
	}
	i.await(func() bool { return req.At < i.size || i.ended })
	if req.At >= i.size {
		return &apiv1.FilesResponse{At: req.At, End: i.ended}
	}
	p := make([]byte, min(max(req.Size, 1), PieceBytes, i.size-req.At))
	n, err := i.file.ReadAt(p, req.At)
	if err != nil && !errors.Is(err, io.EOF) {
		return &apiv1.FilesResponse{Errno: int32(numberOf(err))}
	}
	if to := req.At + int64(n); to > i.read {
		i.read = to
		i.change()
	}
	return &apiv1.FilesResponse{Data: p[:n], At: req.At}
}

// write adds what is new of the data. Holds mu.
func (i *Input) write(req *apiv1.FilesRequest) *apiv1.FilesResponse {
	i.await(func() bool { return i.size-i.read < inputAhead || len(req.Data) == 0 })
	if i.size-i.read >= inputAhead && len(req.Data) > 0 {
		return &apiv1.FilesResponse{At: i.size}
	}
	data := req.Data[min(int64(len(req.Data)), i.size-req.At):] // the rest has come before
	if len(data) > 0 && !i.ended {
		if _, err := i.file.WriteAt(data, i.size); err != nil {
			return &apiv1.FilesResponse{Errno: int32(numberOf(err)), At: i.size}
		}
		i.size += int64(len(data))
	}
	i.ended = i.ended || req.Size > 0
	i.change()
	return &apiv1.FilesResponse{At: i.size, End: i.ended}
}
