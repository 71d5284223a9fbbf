package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

const (
	tempPrefix = "godwit-dev-"
	// sweepTries and sweepPause bound how long a sweeper removes what processes that are being killed may still write.
	sweepTries = 50
	sweepPause = 200 * time.Millisecond
	// swept is what a sweeper reads when there is nothing left to do for it.
	swept = 'k'
)

// temporary is a directory, with a process that removes it when this one, which made it, has ended without doing so, however it ended. That process
// waits for the end of a pipe of which this process, and those of the cluster in the directory, hold the other end. It is no child of this process, so that
// whoever kills this one with all of its descendants leaves it.
type temporary struct {
	dir  string
	pipe *os.File
	done *os.File // ends with that process
}

// tempDir makes a temporary directory, and the process that sweeps it. The process is there first: no moment is left to be killed in between.
func tempDir() (*temporary, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the godwit binary: %w", err)
	}
	dir, err := filepath.Abs(filepath.Join(os.TempDir(), tempPrefix+uuid.NewString()[:8]))
	if err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reader.Close() //nolint:errcheck // the sweeper holds its own
	done, alive, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	defer alive.Close() //nolint:errcheck // the sweeper holds its own
	s := &temporary{dir: dir, pipe: writer, done: done}
	if err := startSweeper(self, reader, alive, "--leave", s.dir).Run(); err != nil {
		return nil, errors.Join(fmt.Errorf("start what removes %s: %w", s.dir, err), writer.Close(), done.Close())
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// startSweeper is a process of this binary that waits for the end of a pipe, and is there until alive ends.
func startSweeper(self string, pipe, alive *os.File, args ...string) *exec.Cmd {
	cmd := exec.Command(self, append([]string{"sweep"}, args...)...) //nolint:gosec,noctx // this very binary; it ends with who holds the pipe
	cmd.Args[0], cmd.Stdin, cmd.ExtraFiles = "godwit", pipe, []*os.File{alive}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what a terminal sends to this process is not for it
	return cmd
}

// remove removes the directory and ends the sweeper.
func (s *temporary) remove() error {
	err := os.RemoveAll(s.dir)
	if err == nil {
		_, _ = s.pipe.Write([]byte{swept}) // else it looks again, which does no harm
	}
	_ = s.pipe.Close() // it is only written
	if err == nil {
		_, _ = s.done.Read(make([]byte, 1)) // nobody writes there
	}
	return errors.Join(err, s.done.Close())
}

// inheritedFile is the number of the first file that a process has from its parent beside the three streams.
const inheritedFile = 3

func newSweep() *cobra.Command {
	leave := false
	c := &cobra.Command{
		Use: "sweep DIR", Short: "Remove a temporary cluster's directory when standard input ends", Hidden: true, Args: wants("a directory", 1),
		RunE: func(c *cobra.Command, args []string) error {
			if !leave {
				return sweep(c.Context(), args[0], os.Stdin)
			}
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find the godwit binary: %w", err)
			}
			return startSweeper(self, os.Stdin, os.NewFile(inheritedFile, "alive"), args[0]).Start() // it is left to the machine's first process
		},
	}
	c.Flags().BoolVar(&leave, "leave", false, "have another process do it, which is no child of the caller")
	return c
}

// sweep waits until nobody holds the other end of the pipe, and removes the directory then.
func sweep(ctx context.Context, dir string, in io.Reader) error {
	if name := filepath.Base(dir); !filepath.IsAbs(dir) || !strings.HasPrefix(name, tempPrefix) {
		return usagef("sweep %s: it is not the directory of a temporary cluster", dir)
	}
	var word [1]byte
	if n, _ := in.Read(word[:]); n == 1 && word[0] == swept {
		return nil
	}
	var err error
	for range sweepTries { // executors may be on their way out after all who held the pipe
		if err = os.RemoveAll(dir); err == nil {
			break
		}
		select {
		case <-time.After(sweepPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}
