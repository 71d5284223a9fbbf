package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/text"
)

// errNotTried is what came of a ref for which nothing was asked.
var errNotTried = errors.New("not tried")

// each does something with every one of refs, whatever comes of the others, and says on stderr what came of each if there are
// several. It goes on unless no server can be asked any more. Its error has the exit code of the first that failed.
func each(ctx context.Context, noun, done string, refs []string, do func(ctx context.Context, ref string) error) error {
	t := &tally{done: done, lack: fmt.Sprintf("%ss are not %s", noun, done), of: len(refs)}
	var over bool
	for _, ref := range refs {
		err := errNotTried
		if !over {
			err = do(ctx, ref)
		}
		t.add(ref, err)
		over = over || ctx.Err() != nil || errors.Is(err, client.ErrUnreachable)
	}
	return t.err()
}

// tally counts what came of several refs.
type tally struct {
	done, lack string // of one with which it is done, and of all with which it is not
	of, failed int
	first      error // that failed
}

// add says what came of a ref, if there are several: nil, it is done.
func (t *tally) add(ref string, err error) {
	said := t.done
	if err != nil {
		t.failed++
		said = message(err)
		if t.first == nil {
			t.first = fmt.Errorf("%s: %w", ref, err)
		}
	}
	if t.of > 1 {
		fmt.Fprintln(os.Stderr, text.Clean(ref+": "+said, maxShown))
	}
}

// err is nil if all are done. Its exit code is that of the first that failed.
func (t *tally) err() error {
	if t.first == nil || t.of == 1 {
		return t.first
	}
	return &exitError{exitCode(t.first), fmt.Sprintf("%d of %d %s", t.failed, t.of, t.lack)}
}
