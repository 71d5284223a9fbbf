package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// first is the directory of what the first server of a secured dev cluster is known by, with the tokens for the others.
func (d *dev) first() string { return filepath.Join(d.procs[0].DataDir, "tls") }

// joins are the arguments with which a process is of a secured cluster: the first server makes it, others join by its tokens.
func (d *dev) joins(p *devProcess) []string {
	switch {
	case !d.flags.secure:
		return nil
	case p == d.procs[0]:
		return []string{"--secure"}
	case p.Role == "server":
		return []string{"--retry-join", d.procs[0].Addr, "--join-token", "@" + filepath.Join(d.first(), serveFile)}
	}
	return []string{"--join-token", "@" + filepath.Join(d.first(), workFile)}
}

// awaitTokens waits until the first server has made the tokens by which others join, and the admin's.
func (d *dev) awaitTokens(ctx context.Context) error {
	deadline := time.Now().Add(devReadyWait)
	for {
		_, err := os.Stat(filepath.Join(d.first(), "identity.pem")) // it is made last
		if err == nil {
			b, err := os.ReadFile(filepath.Join(d.first(), adminFile))
			d.token = strings.TrimSpace(string(b))
			return err
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if why := d.children[0].ended(); why != "" {
			return fmt.Errorf("dev: %s", why)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("dev: the first server has made no tokens within %s (log: %s)", devReadyWait, d.procs[0].Log)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tokenShown says with the cluster's addresses where the token is to call it by.
func (d *dev) tokenShown() string {
	if d.token == "" {
		return ""
	}
	return " GODWIT_TOKEN=$(cat " + filepath.Join(d.first(), adminFile) + ")"
}
