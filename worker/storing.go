package worker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/archive"
	"github.com/godwit-run/godwit/internal/name"
	"github.com/godwit-run/godwit/internal/objects"
)

const (
	// storeAgain and storeAgainMost are how long is waited until an object store is tried again.
	storeAgain, storeAgainMost = time.Second, time.Minute
	// storeLook is how long is waited until it is looked again whether other hosts' parts are there, and storeLookMost the most.
	storeLook, storeLookMost = 100 * time.Millisecond, 5 * time.Second
	// storingAtOnce bounds the tasks of which something is brought to object stores at a time.
	storingAtOnce = 8
	// blobsAtOnce bounds the blobs that one of them sends at a time.
	blobsAtOnce = 4
)

// storing brings parts of checkpoints to object stores, or to other hosts, and removes there what is not wanted, as the leader says. What a session has begun ends with it: the next one's
// leader may say otherwise.
type storing struct {
	w    *Worker
	work chan struct{} // has one for each that is at work

	mu    sync.Mutex                    // guards the fields below
	tasks map[string]context.CancelFunc // by id
	news  map[string]*apiv1.StoreStatus // that the leader has not been sent
	said  map[string]string             // by app: the last trouble that was logged, until there is none
}

func newStoring(w *Worker) *storing {
	return &storing{w: w, work: make(chan struct{}, storingAtOnce), tasks: map[string]context.CancelFunc{}, news: map[string]*apiv1.StoreStatus{}, said: map[string]string{}}
}

// follow begins what the leader says, or ends it.
func (s *storing) follow(ctx context.Context, t *apiv1.StoreTask) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, known := s.tasks[t.Id]
	if t.Cancel {
		if known {
			end()
			delete(s.tasks, t.Id)
		}
		delete(s.news, t.Id)
		return
	}
	if known {
		return
	}
	ctx, s.tasks[t.Id] = context.WithCancel(ctx) //nolint:gosec // it is called when the task is over
	s.w.tasks.Go(func() error { s.run(ctx, t); return nil })
}

// end ends all.
func (s *storing) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, end := range s.tasks {
		end()
	}
	clear(s.tasks)
	clear(s.news)
	clear(s.said)
}

// tell has the leader hear how a task stands, if it is under way still.
func (s *storing) tell(st *apiv1.StoreStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tasks[st.Id] == nil {
		return
	}
	s.news[st.Id] = st
	if st.Done {
		s.tasks[st.Id]()
		delete(s.tasks, st.Id)
	}
	s.w.poke()
}

// takeNews returns what the leader is to be sent.
func (s *storing) takeNews() (out []*apiv1.StoreStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.news {
		out = append(out, st)
	}
	clear(s.news)
	return out
}

// isNews says whether an app's trouble is another one than before; empty: it is over.
func (s *storing) isNews(app, why string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if why == "" {
		delete(s.said, app)
		return false
	}
	news := s.said[app] != why
	s.said[app] = why
	return news
}

// run does a task, again and again until it is done.
func (s *storing) run(ctx context.Context, t *apiv1.StoreTask) {
	again, look := storeAgain, storeLook
	e := &errand{StoreTask: t, s: s, there: map[string]bool{}, far: farthest{}, looked: !t.Mend}
	over := e.rereads()
	defer over()
	for {
		select {
		case s.work <- struct{}{}:
		case <-ctx.Done():
			return
		}
		err := s.once(ctx, e)
		<-s.work
		if ctx.Err() != nil {
			return
		}
		if err == nil && s.lookThrough(ctx, e) {
			continue
		}
		if err == nil {
			over()
			s.isNews(t.App, "")
			s.tell(&apiv1.StoreStatus{Id: t.Id, Done: true})
			return
		}
		why := clean(fmt.Sprintf("host %s: %v", s.w.cfg.Name, err))
		e.torn = !e.Mend && (errors.Is(err, errDamaged) || errors.Is(err, errNotHeld))
		if e.inTrouble(why) { // the leader counts from here, and expects to hear soon whether it goes on
			again, look = storeAgain, storeLook
		}
		pause := &again
		most := storeAgainMost
		if errors.Is(err, archive.ErrMissing) {
			pause, most = &look, storeLookMost
		} else if s.isNews(t.App, why) {
			s.w.log.Warn("what is to be brought is tried again", "app", t.App, "to", cmp.Or(t.To, t.GiveTo), "err", err)
		}
		if s.lookThrough(ctx, e) { // which takes its time
			continue
		}
		if sleep(ctx, *pause) != nil {
			return
		}
		*pause = min(2**pause, most)
	}
}

func (s *storing) once(ctx context.Context, e *errand) error {
	c := e.Checkpoint
	if !name.Valid(e.App) || c != nil && (c.App != e.App || !name.Valid(c.Id)) {
		return fmt.Errorf("%.80q is no app's id, or the checkpoint is not its", e.App)
	}
	switch {
	case e.Mend:
		return s.mend(ctx, e)
	case e.GiveTo != "":
		return s.give(ctx, e)
	}
	a, err := archive.Open(ctx, e.To)
	if err != nil {
		return err
	}
	if c == nil {
		return a.Sweep(ctx, e.App, e.Keep)
	}
	for _, host := range e.Parts {
		if err := e.once("part of "+host, func() error { return s.part(ctx, a, e, host) }); err != nil {
			return err
		}
	}
	if !e.Describe {
		return nil
	}
	for _, digest := range c.GetSpec().Needs() {
		if err := e.once(digest, func() error { return s.need(ctx, a, e, digest) }); err != nil {
			return err
		}
	}
	switch hosts, err := a.Await(ctx, c); {
	case err != nil:
		return err
	case slices.ContainsFunc(hosts, func(h string) bool { return slices.Contains(e.Parts, h) }):
		e.forget()
		fallthrough
	case len(hosts) > 0:
		return fmt.Errorf("%w: the part of host %s", archive.ErrMissing, hosts[0])
	}
	_ = e.once("all parts", func() error { return nil })
	if err = a.Describe(ctx, c); errors.Is(err, archive.ErrMissing) {
		e.forget()
	}
	return err
}

// give brings parts that this host holds to another one, which expects them.
func (s *storing) give(ctx context.Context, e *errand) error {
	if e.Checkpoint == nil || checkID("host", e.GiveTo) != nil {
		return fmt.Errorf("what host %.80q is to hold is not said", e.GiveTo)
	}
	for _, host := range e.Parts {
		of, text, m, err := s.held(e.Checkpoint, host)
		if err != nil {
			return err
		}
		sizes := map[string]int64{}
		for _, b := range m.Blobs() {
			sizes[b.Digest] = b.Size
		}
		err = s.w.giveOnce(ctx, of, text, m, e.GiveAddr, func(digest string, at int64) { e.sent(digest, min(at, sizes[digest])) })
		switch {
		case errors.Is(err, errOwnCopy), errors.Is(err, errNotHeld):
			return fmt.Errorf("the part of host %s of checkpoint %s: %w", host, e.Checkpoint.Id, err)
		case err != nil:
			return fmt.Errorf("host %s does not take the part of host %s of checkpoint %s: %w", e.GiveTo, host, e.Checkpoint.Id, err)
		}
	}
	return nil
}

// held is a part that this host holds, as it was made.
func (s *storing) held(c *apiv1.Checkpoint, host string) (partName, []byte, *apiv1.CheckpointManifest, error) {
	of := partName{c.Id, host}
	text, err := s.w.checkpoints.manifestText(of)
	if errors.Is(err, errDamaged) {
		s.w.checkpoints.suspect(of)
	}
	if err != nil {
		return of, nil, nil, fmt.Errorf("the part of host %s of checkpoint %s: %w", host, c.Id, err)
	}
	m, err := parseManifest(text, of)
	if err != nil {
		return of, nil, nil, err
	}
	for _, p := range c.Parts {
		if p.Host == host && !bytes.Equal(sumOf(text), p.Digest) {
			return of, nil, nil, fmt.Errorf("the part of host %s of checkpoint %s is not the one that was made", host, c.Id)
		}
	}
	return of, text, m, nil
}

// part brings a part that this host holds: its blobs, and then what names them.
func (s *storing) part(ctx context.Context, a *archive.Archive, e *errand, host string) error {
	c := e.Checkpoint
	_, text, m, err := s.held(c, host)
	if err != nil {
		return err
	}
	begun := map[string]bool{}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(blobsAtOnce)
	for _, b := range m.Blobs() {
		if begun[b.Digest] {
			continue
		}
		begun[b.Digest] = true
		g.Go(func() error { return e.once(b.Digest, func() error { return s.blob(gctx, a, e, b) }) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return a.PutPart(ctx, c.App, c.Id, host, text)
}

func (s *storing) blob(ctx context.Context, a *archive.Archive, e *errand, b *apiv1.Blob) error {
	f, err := s.w.checkpoints.open(b.Digest)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	_, err = a.PutBlob(ctx, e.App, archive.Blob{Digest: b.Digest, Size: b.Size, Body: f}, e.progress(b.Digest, b.Size))
	if errors.Is(err, objects.ErrDamagedHere) { // as the store says, who does not know whether it became so on the way
		read := func(f *os.File) (string, int64, error) { return sumDisk(ctx, f, unpaced) }
		if own := s.w.checkpoints.verify(ctx, b.Digest, read); own != nil { // else all later checkpoints have it, too
			return ownCopy(b.Digest, err)
		}
		return fmt.Errorf("file %s is whole here, and came damaged there: %w", blobFile(b.Digest), err)
	}
	return err
}

// need brings what the servers have of an app: a module, or files that it begins with.
func (s *storing) need(ctx context.Context, a *archive.Archive, e *errand, digest string) error {
	path, release, err := s.w.modules.use(ctx, digest)
	if err != nil {
		return err
	}
	defer release()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	_, err = a.PutBlob(ctx, e.App, archive.Blob{Digest: digest, Size: info.Size(), Body: f}, e.progress(digest, info.Size()))
	return err
}
