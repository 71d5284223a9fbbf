package files

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

const (
	// inputAhead bounds how much of an input there is that nobody has read.
	inputAhead = 8 << 20
	// inputWait is how long a request waits for what is not there yet, or for room.
	inputWait = 5 * time.Second
	// inputForget is how much is forgotten at a time, at the least.
	inputForget = 1 << 20
	// maxReaders bounds how many ranks read an input.
	maxReaders = 1 << 20
)

// Input is an app's standard input, in a file: what has come stays until all ranks that read it have passed it, so that one which moves, or another one, reads it
// from where it is. The slowest decides how much that is.
type Input struct {
	file *os.File
	home string // that it is kept beside; empty: it has no name

	mu    sync.Mutex // guards the fields below
	size  int64
	read  int64         // up to where somebody has read
	ended bool          // nothing comes any more
	moved chan struct{} // closed at each change

	passed map[int32]int64 // by rank: up to where it has read, and will not ask again
	gone   int64           // up to where what was there is forgotten

	sealed bool // it moves to another host: nothing is done
}

// NewInput keeps an input in a file of its own, in a directory.
func NewInput(dir string) (*Input, error) {
	f, err := Unnamed(dir)
	if err != nil {
		return nil, err
	}
	return &Input{file: f, moved: make(chan struct{}), passed: map[int32]int64{}}, nil
}

// The names of an input that outlives this process begin with its home's.
const (
	inputSuffix = ".input"
	endSuffix   = ".input-end"
)

// OpenInput keeps an input in a file beside its home, and where it goes on it has what one before this had of it.
func OpenInput(home string, goesOn bool) (*Input, error) {
	if !goesOn {
		if err := RemoveInput(home); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(home+inputSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	_, err = os.Stat(home + endSuffix)
	return &Input{file: f, home: home, size: info.Size(), ended: err == nil, moved: make(chan struct{}), passed: map[int32]int64{}}, nil
}

// RemoveInput removes what OpenInput keeps.
func RemoveInput(home string) error {
	var errs []error
	for _, suffix := range []string{inputSuffix, endSuffix} {
		if err := os.Remove(home + suffix); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// noteEnd notes that the input has ended for who opens it again.
func (i *Input) noteEnd() error {
	if i.home == "" {
		return nil
	}
	return os.WriteFile(i.home+endSuffix, nil, 0o600)
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
	if req.Op != apiv1.FilesRequest_OP_INPUT_WRITE && req.Op != apiv1.FilesRequest_OP_INPUT_READ {
		return &apiv1.FilesResponse{Errno: int32(syscall.ENOSYS)}
	}
	if req.At < 0 || req.At > i.size && req.Op == apiv1.FilesRequest_OP_INPUT_WRITE {
		return &apiv1.FilesResponse{Errno: int32(syscall.EINVAL), At: i.size}
	}
	if req.Op == apiv1.FilesRequest_OP_INPUT_WRITE {
		return i.write(req)
	}
	if i.sealed {
		return &apiv1.FilesResponse{At: req.At}
	}
	if req.At < i.gone {
		return &apiv1.FilesResponse{Errno: int32(syscall.EINVAL)} // an old one that came late: nobody waits for it
	}
	i.pass(req)
	if at := min(req.At, i.size); at > i.read { // by the process before this one
		i.read = at
		i.change()
	}
	i.await(func() bool { return req.At < i.size || i.ended || i.sealed })
	if i.sealed {
		return &apiv1.FilesResponse{At: req.At}
	}
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

// pass notes that a rank needs nothing of what is before the place where it reads, and forgets what none of them needs. Holds mu.
func (i *Input) pass(req *apiv1.FilesRequest) {
	readers := int(req.Flags)
	if readers < 1 || readers > maxReaders || req.Lane < 0 || req.Lane >= maxReaders || req.At > i.size {
		return
	}
	i.passed[req.Lane] = max(i.passed[req.Lane], req.At)
	if len(i.passed) < readers || req.At-i.gone < inputForget {
		return
	}
	all := req.At
	for _, at := range i.passed {
		all = min(all, at)
	}
	if all-i.gone < inputForget {
		return
	}
	// A file system that cannot do that keeps it: it is no loss but of room.
	_ = unix.Fallocate(int(i.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, i.gone, all-i.gone)
	i.gone = all
}

// write adds what is new of the data. Holds mu.
func (i *Input) write(req *apiv1.FilesRequest) *apiv1.FilesResponse {
	i.await(func() bool { return i.size-i.read < inputAhead || len(req.Data) == 0 || i.sealed })
	if i.sealed || i.size-i.read >= inputAhead && len(req.Data) > 0 {
		return &apiv1.FilesResponse{At: i.size}
	}
	data := req.Data[min(int64(len(req.Data)), i.size-req.At):] // the rest has come before
	if len(data) > 0 && !i.ended {
		if _, err := i.file.WriteAt(data, i.size); err != nil {
			return &apiv1.FilesResponse{Errno: int32(numberOf(err)), At: i.size}
		}
		i.size += int64(len(data))
	}
	if req.Size > 0 && !i.ended {
		if err := i.noteEnd(); err != nil {
			return &apiv1.FilesResponse{Errno: int32(numberOf(err)), At: i.size}
		}
		i.ended = true
	}
	i.change()
	return &apiv1.FilesResponse{At: i.size, End: i.ended}
}
