package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	homeSilence  = 30 * time.Second // after so long without a sign of the home it is asked again
	homePatience = 30 * time.Second // after so long in which it has done nothing, this host gives up
	homeTries    = 3                // streams of which something has come; then it gives up too
	homePause    = 20 * time.Millisecond
	homeTold     = time.Second // between two words about how far it has come
)

// homeFetch has a directory come from its home.
type homeFetch struct {
	w          *Worker
	from, addr string
	dir        string
	req        *apiv1.MoveFilesRequest
	tell       func(how string)

	disk  atomic.Int64 // since when this host's disk is at something, in Unix time in ns; 0: it is at nothing
	moved time.Time    // when the home had done something last
	tries int          // in which it has
	told  time.Time
}

// run asks until all has come, or nothing comes for long, or ctx ends.
func (f *homeFetch) run(ctx context.Context) (*home, error) {
	f.moved = time.Now()
	for pause := homePause; ; pause = min(2*pause, time.Second) {
		h, err := f.once(ctx)
		if err == nil {
			return h, nil
		}
		if rerr := f.onDisk(func() error { return os.RemoveAll(f.dir) }); rerr != nil {
			f.w.log.Warn("files are left", "dir", f.dir, "err", rerr)
		}
		var own *ownDiskError
		if errors.As(err, &own) || errors.Is(err, files.ErrDamaged) || ctx.Err() != nil || f.tries == homeTries || time.Since(f.moved) > homePatience {
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// onDisk does f, which may stand still in this host's disk.
func (f *homeFetch) onDisk(do func() error) error {
	f.disk.Store(time.Now().UnixNano())
	defer f.disk.Store(0)
	return do()
}

// watch calls stands when this host's disk has done nothing for long, of what run wants of it. It ends then, or when done is closed.
func (f *homeFetch) watch(done <-chan struct{}, patience time.Duration, stands func()) {
	t := time.NewTicker(patience / 4)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-done:
			return
		}
		if at := f.disk.Load(); at != 0 && time.Since(time.Unix(0, at)) > patience {
			stands()
			return
		}
	}
}

// ownDiskError is of what cannot be had here.
type ownDiskError struct{ error }

func (e *ownDiskError) Unwrap() error { return e.error }

// errHomeStands is returned when a home is there, and does nothing.
var errHomeStands = errors.New("it gives nothing, and says that it is at work")

// once takes one stream of it.
func (f *homeFetch) once(ctx context.Context) (_ *home, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var u *files.Unpacker
	if err = f.onDisk(func() (err error) { u, err = files.NewUnpacker(f.dir); return err }); err != nil {
		f.w.suspectDisk()
		return nil, &ownDiskError{err}
	}
	defer func() {
		if err != nil {
			_ = u.Close() // the directory is removed
		}
	}()
	silent := time.AfterFunc(homeSilence, cancel)
	defer silent.Stop()
	stream, err := apiv1connect.NewDataClient(transport.NewClient(f.w.http, f.addr)).MoveFiles(ctx, f.req)
	if err != nil {
		return nil, err
	}
	found := int64(0)
	for first := true; !u.Whole(); {
		silent.Reset(homeSilence)
		m, err := stream.Receive()
		silent.Stop() // the disk may take its time
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: the stream has ended", files.ErrDamaged)
		}
		if err != nil {
			return nil, err
		}
		switch {
		case len(m.Parts) > 0 || m.GetFound().GetLooked() > found:
			f.moved, found = time.Now(), max(found, m.GetFound().GetLooked())
			if first {
				first = false
				f.tries++
			}
		case time.Since(f.moved) > homePatience:
			return nil, errHomeStands
		}
		if why := f.w.lacksRoom(m.Found); why != "" {
			return nil, &ownDiskError{errors.New(why)}
		}
		if err := f.add(u, m.Parts); err != nil {
			return nil, err
		}
	}
	h := &home{dir: f.dir}
	if err = f.onDisk(func() (err error) { h.server, h.trees, err = u.Server(); return err }); err != nil {
		return nil, &ownDiskError{err}
	}
	return h, nil
}

// add puts what has come where it is to be.
func (f *homeFetch) add(u *files.Unpacker, parts []*apiv1.FilePart) error {
	for _, part := range parts {
		err := f.onDisk(func() error { return u.Add(part) })
		switch {
		case errors.Is(err, files.ErrDamaged):
			return err
		case err != nil:
			f.w.suspectDisk()
			return &ownDiskError{err}
		}
		f.moved = time.Now()
	}
	f.say(u)
	return nil
}

// say tells how far it has come.
func (f *homeFetch) say(u *files.Unpacker) {
	now := time.Now()
	if now.Sub(f.told) < homeTold {
		return
	}
	f.told = now
	got, sum := u.Progress()
	f.tell(fmt.Sprintf("%.1f of %.1f MiB, %d of %d files have come", mib(got.Bytes), mib(max(got.Bytes, sum.GetBytes())), got.Files, max(got.Files, sum.GetFiles())))
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
