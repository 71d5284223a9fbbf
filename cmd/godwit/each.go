package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/text"
)

// each does something with every one of refs, whatever comes of the others, and says on stderr what came of each if there are
// several. It goes on unless no server can be asked any more. Its error has the exit code of the first that failed.
func each(ctx context.Context, noun, done string, refs []string, do func(ctx context.Context, ref string) error) error {
	var first error
	failed := 0
	for i, ref := range refs {
		err := do(ctx, ref)
		if len(refs) == 1 {
			if err != nil {
				return fmt.Errorf("%s: %w", ref, err)
			}
			return nil
		}
		said := done
		if err != nil {
			failed++
			said = message(err)
			if first == nil {
				first = err
			}
		}
		fmt.Fprintln(os.Stderr, text.Clean(ref+": "+said, maxShown))
		if ctx.Err() != nil || errors.Is(err, client.ErrUnreachable) {
			for _, rest := range refs[i+1:] {
				failed++
				fmt.Fprintln(os.Stderr, text.Clean(rest+": not tried", maxShown))
			}
			break
		}
	}
	if first == nil {
		return nil
	}
	return &exitError{exitCode(first), fmt.Sprintf("%d of %d %ss are not %s", failed, len(refs), noun, done)}
}
