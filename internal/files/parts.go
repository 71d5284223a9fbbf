package files

import (
	"sync"
	"syscall"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// write writes, and returns how much was appended, and where the end is, or how much was written at a place.
func (f *opened) write(req *apiv1.FilesRequest) (done, at int64, err error) {
	to := f.File
	if local, ok := to.(*localFile); ok && req.Flags&writeAhead != 0 {
		to = &localFile{f: local.f} // of no tree that may be full
	}
	data, at := req.Data, req.At
	if req.Flags&writeAhead == 0 {
		var last bool
		if data, last, err = f.take(req.Data, req.Flags&partMore != 0); err != nil || !last {
			return 0, 0, err
		}
		at -= int64(len(data) - len(req.Data))
		defer f.taken()
	}
	if req.Op == apiv1.FilesRequest_OP_APPEND {
		n, end, err := to.Append(data)
		return int64(n), end, err
	}
	n, err := to.WriteAt(data, at)
	return 0, int64(n), err
}

// wholes are what parts of writes are kept in, each of MaxWhole bytes: one for each file of which a part has come and not the last. What a lane does not end goes with it.
var wholes = sync.Pool{New: func() any { b := make([]byte, 0, MaxWhole); return &b }} //nolint:gochecknoglobals // a pool of memory

// take keeps what has come of a write until the last of it has: then it is all of it, until taken.
func (f *opened) take(data []byte, more bool) (all []byte, last bool, err error) {
	switch {
	case len(f.parts)+len(data) > MaxWhole:
		f.taken()
		return nil, false, syscall.EINVAL
	case len(f.parts) == 0 && !more:
		return data, true, nil
	case cap(f.parts) < MaxWhole: // it is none of those yet
		f.parts = append(*wholes.Get().(*[]byte), f.parts...) //nolint:forcetypeassert // it has nothing else
	}
	f.parts = append(f.parts, data...)
	return f.parts, !more, nil
}

// taken gives back what was kept.
func (f *opened) taken() {
	if cap(f.parts) >= MaxWhole {
		b := f.parts[:0]
		wholes.Put(&b)
	}
	f.parts = nil
}
