package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/tree"
)

// An app that runs has its files on its home: what is there at this moment is read from it, through a server.

// usesFiles says whether an app runs, and has files.
func usesFiles(app *apiv1.App) bool {
	return !apiv1.AppOver(app.Phase) && app.GetFiles() != nil && !app.Files.Stored
}

// readRunning reads what the home has, and gives each message to take; again is called before it is read anew.
func readRunning(ctx context.Context, c *client.Client, req *apiv1.ReadFilesRequest, again func() error, take func(*apiv1.ReadFilesResponse) error) error {
	var own error // which no other server can change
	err := c.Do(ctx, func(ctx context.Context, control apiv1connect.ControlClient) error {
		if own = again(); own != nil {
			return nil
		}
		stream, err := control.ReadFiles(ctx, req)
		if err != nil {
			return err
		}
		for {
			m, err := stream.Receive()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if own = take(m); own != nil {
				return nil
			}
		}
	})
	return errors.Join(err, own)
}

// fetchRunning gets what a running app has in its directory, and says how many files that are.
func fetchRunning(ctx context.Context, c *client.Client, app, pattern, dir string) (n int, err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil { //nolint:gosec // as mkdir
		return 0, err
	}
	var to *tree.Receiver
	found := false
	end := func() (err error) {
		if to != nil {
			err = to.Close()
			n, to = to.Files, nil
		}
		return err
	}
	err = readRunning(ctx, c, &apiv1.ReadFilesRequest{App: app, Pattern: pattern}, func() (err error) {
		if err := end(); err != nil {
			return err
		}
		to, err = tree.NewReceiver(dir)
		return err
	}, func(m *apiv1.ReadFilesResponse) error {
		for _, e := range m.Entries {
			found = true
			if err := to.Entry(e); err != nil {
				return err
			}
		}
		if len(m.Data) > 0 {
			return to.Data(m.At, m.Data)
		}
		return nil
	})
	err = errors.Join(err, end())
	if err == nil && !found && pattern != "" {
		err = nothingNamed(app, pattern)
	}
	return n, err
}

// listRunning shows what a running app has in its directory.
func listRunning(ctx context.Context, c *client.Client, app, pattern string, show func(*apiv1.TreeEntry) error) error {
	last, found := "", false
	err := readRunning(ctx, c, &apiv1.ReadFilesRequest{App: app, Pattern: pattern, List: true}, func() error { return nil }, func(m *apiv1.ReadFilesResponse) error {
		for _, e := range m.Entries {
			if last != "" && !comesAfter(e.Path, last) {
				continue // it was shown before the stream broke
			}
			last, found = e.Path, true
			if err := show(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && !found && pattern != "" {
		err = nothingNamed(app, pattern)
	}
	return err
}

// comesAfter says whether a path is behind another one in the order of a list: that of names, part by part.
func comesAfter(path, other string) bool {
	for i := range min(len(path), len(other)) {
		switch a, b := path[i], other[i]; {
		case a == b:
		case a == '/':
			return false
		case b == '/':
			return true
		default:
			return a > b
		}
	}
	return len(path) > len(other)
}

func nothingNamed(app, pattern string) error {
	return &exitError{exitFailed, fmt.Sprintf("%s has nothing that %q names: godwit ls %s shows what there is", app, pattern, app)}
}
