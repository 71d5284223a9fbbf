package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Receiver writes entries and their bytes, as they come, into a directory that exists. Nothing outside of it is written, whatever links there are in it.
type Receiver struct {
	root  *os.Root
	at    *apiv1.TreeEntry // which bytes are of
	file  *os.File         // of that; nil: it is no file
	times []*apiv1.TreeEntry
	// Files is how many files have come.
	Files int
}

// NewReceiver writes into dir.
func NewReceiver(dir string) (*Receiver, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Receiver{root: root}, nil
}

// Entry makes what an entry says; a directory's time is set at the end.
func (r *Receiver) Entry(e *apiv1.TreeEntry) error {
	if err := r.closeFile(); err != nil {
		return err
	}
	if !fs.ValidPath(e.Path) || e.Path == "." || e.Size < 0 {
		return fmt.Errorf("there is a file %.200q of %d bytes", e.Path, e.Size)
	}
	if err := makeEntry(r.root, e); err != nil {
		return fmt.Errorf("%s: %w", e.Path, err)
	}
	r.at = e
	if e.Kind == apiv1.TreeEntry_KIND_DIRECTORY {
		r.times = append(r.times, e)
	}
	if e.Kind != apiv1.TreeEntry_KIND_FILE {
		return nil
	}
	r.Files++
	f, err := r.root.OpenFile(e.Path, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	r.file = f
	return f.Truncate(e.Size)
}

// Data writes bytes of the last entry.
func (r *Receiver) Data(at int64, b []byte) error {
	if r.file == nil || at < 0 || at > math.MaxInt64-int64(len(b)) {
		return errors.New("there are bytes of no file")
	}
	_, err := r.file.WriteAt(b, at)
	return err
}

func (r *Receiver) closeFile() error {
	if r.file == nil {
		return nil
	}
	f := r.file
	r.file = nil
	return errors.Join(f.Close(), r.stamp(r.at))
}

func (r *Receiver) stamp(e *apiv1.TreeEntry) error {
	at := time.Unix(0, e.Changed)
	return r.root.Chtimes(e.Path, at, at)
}

// Close ends it; all that came is there.
func (r *Receiver) Close() error {
	errs := []error{r.closeFile()}
	for _, e := range r.times {
		errs = append(errs, r.stamp(e))
	}
	return errors.Join(append(errs, r.root.Close())...)
}
