package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// An app's home moves: the next one asks for it (homefetch.go), and says when it has all of it; then the log makes it the home, or has the old one, which
// gives it (homegive.go), go on.

// coming is one move to here. The app's goroutine owns it.
type coming struct {
	move     uint64
	end      context.CancelFunc
	home     *home  // all of it has come; nil: not yet
	fault    string // why it will not
	progress string
}

// status is what the leader is told of it.
func (c *coming) status() *apiv1.FilesStatus {
	return &apiv1.FilesStatus{Move: c.move, Held: c.home != nil, Fault: c.fault, Progress: c.progress}
}

// followMove brings what this host has of a move in line with the record.
func (a *app) followMove(ctx context.Context) {
	f, here := a.part.Record().App.GetFiles(), a.host.cfg.Name
	if h := a.home; h != nil && h.giving != nil && f.GetHost() == here && (f.GetTo() != h.giving.to || f.GetMove() != h.giving.move) {
		h.giving.end(h.server) // it stays
		h.giving = nil
	}
	c := a.coming
	switch {
	case c != nil && c.move == f.GetMove() && c.home != nil && f.GetHost() == here && !f.GetStored() && a.home == nil:
		a.home, a.filled, a.coming = c.home, true, nil
		a.noteHome(c.home)
		if c.home.server != nil { // it comes with what clients have open
			_ = a.share(&apiv1.FilesRequest{}) // else it is noted before the next request
		}
		a.serving.Store(c.home.server)
		a.watchRoom(ctx, c.home)
		a.log.Info("the app's files have moved here", "dir", c.home.dir)
		return
	case c != nil && (f.GetTo() != here || c.move != f.GetMove()):
		a.dropComing()
	}
	if a.coming == nil && f.GetTo() == here && f.GetMove() != 0 && !f.GetStored() && a.home == nil {
		a.fetchHome(ctx, f)
	}
}

// dropComing forgets what has come of a home.
func (a *app) dropComing() {
	c := a.coming
	if c == nil {
		return
	}
	a.coming = nil
	c.end()
	if c.home != nil {
		a.host.dropHome(c.home)
	}
}

// lackHome has the app fail whose files the log says are here, and which are not.
func (a *app) lackHome() {
	why := errors.New("they have moved here, and are not here any more")
	a.home = &home{dir: filepath.Join(a.host.homeDir(a.id), "none"), err: why}
	a.log.Error("the app's files are missing", "err", why)
}

// fetchHome asks the home for the directory.
func (a *app) fetchHome(ctx context.Context, f *apiv1.AppFiles) {
	c := &coming{move: f.Move}
	ctx, c.end = context.WithCancel(ctx)
	a.coming = c
	fetch := &homeFetch{
		w: a.host, from: f.Host, addr: a.part.Record().Addrs[f.Host], dir: filepath.Join(a.host.homeDir(a.id), strconv.FormatUint(f.Move, 16)),
		req:  &apiv1.MoveFilesRequest{App: a.id, Host: a.host.cfg.Name, Move: f.Move},
		tell: func(how string) { a.post(func() { c.progress = how }) },
	}
	ran := make(chan struct{})
	a.host.tasks.Go(func() error {
		fetch.watch(ran, homePatience, func() {
			a.host.suspectDisk()
			a.post(func() {
				c.fault = fmt.Sprintf("the disk of %s has stood still for %s", a.host.cfg.Name, homePatience)
				c.end()
				a.log.Warn("the app's files do not come here", "from", fetch.from, "err", c.fault)
			})
		})
		return nil
	})
	a.host.tasks.Go(func() error {
		h, err := fetch.run(ctx)
		close(ran)
		taken := false
		_ = a.ask(func() error { // if the app is over, it is not taken
			if a.coming != c || c.fault != "" {
				return nil
			}
			taken, c.home = true, h
			if err != nil {
				c.fault = clean(fmt.Sprintf("%s could not take the files from %s: %s", a.host.cfg.Name, fetch.from, reasonOf(err)))
				a.log.Warn("the app's files did not come here", "from", fetch.from, "err", err)
			}
			return nil
		})
		if taken {
			return nil
		}
		if h != nil {
			a.host.dropHome(h)
		}
		_ = os.Remove(a.host.homeDir(a.id)) // if nothing else of the app is there
		return nil
	})
}
