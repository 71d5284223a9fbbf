package raftnode

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/godwit-run/godwit/internal/durable"
)

// dataIsWell ends each sentence about an obstacle.
const dataIsWell = "; nothing says that the data is damaged, keep it"

// obstacle returns what stands between this process and its data, or "" if the error tells of the data itself. What the operating
// system refused is an obstacle, also where nobody thought of it; a file that is gone is not.
func obstacle(err error) string {
	if errors.Is(err, bolterrors.ErrTimeout) {
		return "end the process that has it open, a backup perhaps, and start again" + dataIsWell
	}
	what := durable.Remedy(err)
	switch {
	case what == "":
		return ""
	case durable.DiskFails(err):
		what += "; only if it cannot be mended, and a majority of the other servers is well, start with an empty directory on another disk"
	}
	return what + dataIsWell
}

// remedy ends the sentence about a failed write with what to do, if it is known.
func remedy(err error) string {
	if what := obstacle(err); what != "" {
		return ": " + what
	}
	return ""
}

// unreadable says in one sentence why what lies at path cannot be used and what to do. Only what is surely damage is called so: whoever
// follows that advice gives the data up.
func unreadable(path string, err error) error {
	if errors.Is(err, ErrLocked) {
		return err
	}
	what := obstacle(err)
	if what == "" {
		if cannot := readThrough(path); obstacle(cannot) != "" {
			err, what = fmt.Errorf("%w: %w", oneLine{err}, cannot), obstacle(cannot)
		}
	}
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%w: %s cannot be used (%w): %s", ErrLocked, path, err, what)
	case what != "":
		return fmt.Errorf("%s cannot be used (%w): %s", path, err, what)
	}
	return damaged(path, err)
}

// readThrough reads a file from its beginning to its end. What bbolt reads through its memory map, or as the file's first page, it finds
// damaged where the disk did not give it.
func readThrough(path string) error {
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, f)
	return errors.Join(err, f.Close())
}

func damaged(path string, err error) error {
	return fmt.Errorf("%s cannot be read (%w): if a majority of the other servers is well, move this server's data directory away "+
		"and start again with an empty one, it joins as a new server; else restore the directory from a backup", path, oneLine{err})
}

// oneLine is an error whose text, which a panic may have made, is one line.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.ReplaceAll(e.error.Error(), "\n", "; ") }
func (e oneLine) Unwrap() error { return e.error }

// senseless is what the runtime says where a library follows bytes that lead nowhere. Its text is about the library's code, and helps nobody.
type senseless struct{ cause runtime.Error }

func (e senseless) Error() string { return "what it holds makes no sense" }
func (e senseless) Unwrap() error { return e.cause }

// recovered makes an error of what a library panicked with; nil for nil.
func recovered(p any) error {
	if p == nil {
		return nil
	}
	switch p := p.(type) {
	case runtime.Error:
		return senseless{p}
	case error:
		return p
	}
	return fmt.Errorf("%v", p)
}
