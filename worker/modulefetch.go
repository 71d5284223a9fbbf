package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/durable"
	"github.com/godwit-run/godwit/internal/transport"
)

// await returns when the module's file is here, or cannot come, or ctx ends. It may wait for a disk only as long as ctx lasts.
func (c *moduleCache) await(ctx context.Context, use *moduleUse, digest string) error {
	for {
		t := c.join(ctx, use, digest)
		select {
		case <-t.done:
		case <-ctx.Done():
			c.part(t)
			return context.Cause(ctx)
		}
		if !t.vain { // nobody sets it while this one waits for it
			return t.err
		}
	}
}

// join returns the task under way for the module, or begins one that finds its file: for whoever joins, not for the first alone.
func (c *moduleCache) join(ctx context.Context, use *moduleUse, digest string) *moduleTask {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := use.task
	switch {
	case t == nil:
		t = &moduleTask{wanted: 1, done: make(chan struct{})}
		ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
		use.task = t
		c.enter(digest)      // until it has ended, whoever waits for it
		c.atWork.Go(func() { // ends with the last who wants it
			t.err = c.find(ctx, use, digest)
			t.cancel()
			c.measure(digest)
			if c.end(digest, use) {
				c.prune()
			}
		})
	case !t.vain:
		t.wanted++
	}
	return t
}

// part ends a wait for a task.
func (c *moduleCache) part(t *moduleTask) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.vain {
		return
	}
	if t.wanted--; t.wanted == 0 {
		t.vain = true
		t.cancel()
	}
}

// end ends the use that a task has, and then the task: who has waited for it finds no use but its own. It returns whether
// there is none left.
func (c *moduleCache) end(digest string, use *moduleUse) (unused bool) {
	c.mu.Lock()
	t := use.task
	use.task = nil
	c.mu.Unlock()
	unused = c.leave(digest)
	close(t.done)
	return unused
}

// find makes sure that the module's file is here, and fetches it if it is not: it asks all servers, again and again, until one gives it, all say
// that there is none, this host's disk refuses it, or ctx ends. That servers start again costs a start time, and not the app. It is a task's.
func (c *moduleCache) find(ctx context.Context, use *moduleUse, digest string) error {
	path, now := c.file(digest), time.Now()
	if os.Chtimes(path, now, now) == nil && c.checked(digest) { // it is here; the time says when it was used last
		return nil
	}
	defer use.trouble.Store(nil)
	use.most = 0
	clear(use.failed)
	pause := fetchPause
	for round := 0; ; round++ {
		err, hope, silent := errors.New("no server is known"), error(nil), false
		patience := c.patience[min(round, len(c.patience)-1)]
		for _, addr := range c.order(c.servers()) { // the workers of a large app come at once
			if err = c.fetch(ctx, use, source{addr, digest}, path, patience); err == nil {
				c.mu.Lock()
				c.sound[digest] = true
				c.mu.Unlock()
				return nil
			}
			if ctx.Err() != nil || errors.Is(err, errOwnDisk) {
				return err
			}
			silent = silent || errors.Is(err, errNoAnswer)
			if mayGive(err) {
				hope = err
			}
		}
		if hope == nil {
			return err
		}
		why := apierr.Message(hope)
		use.trouble.Store(&why)
		if silent && round == 0 {
			continue // with more patience
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
		pause = min(2*pause, maxFetchPause)
	}
}

// Pauses after all servers have been asked for a module: the first, and the longest that it grows to.
const (
	fetchPause    = 100 * time.Millisecond
	maxFetchPause = 5 * time.Second
)

// maxFailed is how many tries of a server may give something and fail before what it gives is a step of the start only if it is more than ever came:
// what comes again and again, and never whole, is none.
const maxFailed = 10

// mayGive says whether a server that gave an error instead of a module may give the module another time.
func mayGive(err error) bool {
	var said *connect.Error
	if !errors.As(err, &said) || !said.IsRemote() {
		return true // nobody has said so: what came could not be read, for one
	}
	switch said.Code() { //nolint:exhaustive // the others may pass
	case connect.CodeNotFound, connect.CodeInvalidArgument, connect.CodeUnimplemented, connect.CodeUnauthenticated, connect.CodePermissionDenied:
		return false
	}
	return true
}

func shuffled(addrs []string) []string {
	addrs = slices.Clone(addrs)
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return addrs
}

// How long a server may say nothing: before its first word at first little, since another one may stand closer to its answer; when all do so,
// and later, as long as it takes to know that it is not there. One that has others to serve first says so all the time.
const (
	answerWait    = time.Second
	transportWait = 15 * time.Second
)

// errNoAnswer is fetch's where the server says nothing.
var errNoAnswer = errors.New("the server does not answer")

// source is where a module is to come from.
type source struct{ addr, digest string }

// fetch streams the module into a temporary file, checks its digest, and moves it to path.
func (c *moduleCache) fetch(ctx context.Context, use *moduleUse, from source, path string, patience time.Duration) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(patience, func() { cancel(fmt.Errorf("%w: %s", errNoAnswer, from.addr)) })
	defer late.Stop()
	defer func() {
		if err != nil && errors.Is(context.Cause(ctx), errNoAnswer) {
			err = context.Cause(ctx)
		}
	}()
	said := false
	defer func() {
		use.line.Store(false)
		if err != nil && said {
			use.failed[from.addr]++
		}
	}()
	client := apiv1connect.NewClusterClient(transport.NewClient(c.http, from.addr))
	host, proof := c.caller()
	stream, err := client.FetchModule(ctx, &apiv1.FetchModuleRequest{Digest: from.digest, Host: host, Proof: proof})
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(c.dir, "fetch-*")
	if err != nil {
		return diskError(err)
	}
	defer func() {
		err = errors.Join(err, tmp.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	all := newContent()
	for size := 0; ; {
		late.Reset(patience) // for each part anew
		m, err := stream.Receive()
		late.Stop()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if size += len(m.Chunk); size > apiv1.MaxModuleBytes { // it has gone bad
			return fmt.Errorf("server %s sends more than a module may have: %d bytes", from.addr, apiv1.MaxModuleBytes)
		}
		use.line.Store(len(m.Chunk) == 0)
		said = true
		if got := int64(size); got > use.most {
			use.most = got
			clear(use.failed)
		}
		if use.failed[from.addr] < maxFailed { // a word that others come first is a step, too
			use.trouble.Store(nil)
			use.steps.Add(1)
		}
		patience = c.patience[len(c.patience)-1] // it is there
		all.Write(m.Chunk)
		if _, err := tmp.Write(m.Chunk); err != nil {
			return diskError(err)
		}
	}
	if err := all.is(from.digest); err != nil {
		return fmt.Errorf("server %s sent other bytes: %w", from.addr, err)
	}
	if err := tmp.Sync(); err != nil { // its name vouches for its bytes, also after a power cut
		return diskError(err)
	}
	return diskError(durable.Rename(tmp.Name(), path))
}

// errOwnDisk is of what this host's disk refuses.
var errOwnDisk = errors.New("this host's disk")

// diskError says what to do about what this host's disk refuses.
func diskError(err error) error {
	if err == nil {
		return nil
	}
	if what := durable.Mend(err); what != "" {
		err = fmt.Errorf("%w: %s", err, what)
	}
	return fmt.Errorf("%w: %w", errOwnDisk, err)
}
