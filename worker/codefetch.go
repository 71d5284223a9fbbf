package worker

import (
	"bytes"
	"context"
	"crypto/hmac"
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
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/worker/native"
)

const (
	// mostComing bounds the modules whose code is fetched at once.
	mostComing = 4
	// longestFetchPause bounds the pauses after fetches that have come to nothing.
	longestFetchPause = 30 * time.Second
	// codesGiven bounds the files of code that are given to others at once, and codesWaiting who waits for that.
	codesGiven, codesWaiting = 4, 64
)

// pause is the time between two tries, which grows.
type pause struct {
	last time.Duration
	over time.Time
}

// begin begins the next pause, and returns how long it is.
func (p *pause) begin(first, longest time.Duration) time.Duration {
	p.last = min(max(first, 2*p.last), longest)
	p.over = time.Now().Add(p.last)
	return p.last
}

// lasts says whether it does.
func (p *pause) lasts() bool { return time.Now().Before(p.over) }

// fetchFunc has a sealed object come from a host, to a file of this one.
type fetchFunc func(ctx context.Context, from *apiv1.CodeHolder, to io.Writer) error

// codeNameOf is a name as it is told to others.
func codeNameOf(n native.Name) *apiv1.CodeName {
	return &apiv1.CodeName{Module: n.Module, Translator: int32(n.Translator), Flags: n.Flags, Level: n.Level, Optimisation: n.O, Compiler: n.Compiler} //nolint:gosec // a version
}

// nameOf is a name as others have told it.
func nameOf(n *apiv1.CodeName) native.Name {
	return native.Name{
		Module: n.GetModule(),
		Recipe: native.Recipe{Translator: int(n.GetTranslator()), Flags: n.GetFlags(), Level: n.GetLevel(), O: n.GetOptimisation(), Compiler: n.GetCompiler()},
	}
}

// fetchable is a module of which another host has better code than there is here; nil: there is none that is to be fetched now.
func (k *codes) fetchable() *code {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.coming >= mostComing || k.key == nil {
		return nil
	}
	for _, c := range k.known {
		if k.wanted(c) && !c.fetching && !c.pause.lasts() && len(k.offered(c)) > 0 {
			c.fetching = true
			k.coming++
			return c
		}
	}
	return nil
}

// offered are the hosts that have better code of a module, the best first. Holds mu.
func (k *codes) offered(c *code) (out []*apiv1.CodeHolder) {
	for _, h := range k.records[c.digest].GetHolders() {
		if gradeOf(h.GetName().GetOptimisation()) > c.grade() && !c.refused[h.Host] {
			out = append(out, h)
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	slices.SortStableFunc(out, func(a, b *apiv1.CodeHolder) int {
		return int(gradeOf(b.Name.Optimisation) - gradeOf(a.Name.Optimisation))
	})
	return out
}

// obtain has better code of a module come from who has it. A try in vain is followed by a pause.
func (k *codes) obtain(ctx context.Context, c *code) {
	k.mu.Lock()
	from := k.offered(c)
	k.mu.Unlock()
	err := k.obtainFrom(ctx, c, from)
	k.comesFrom(c, "")
	k.look(c.digest)
	k.mu.Lock()
	defer k.mu.Unlock()
	c.fetching, c.trouble = false, ""
	k.coming--
	switch {
	case err == nil:
		c.pause = pause{}
	case ctx.Err() == nil:
		if errors.Is(err, errOwnDisk) || errors.Is(err, errNoModule) {
			c.trouble = clean(err.Error())
		}
		time.AfterFunc(c.pause.begin(k.fetchPause, longestFetchPause), k.wake.Set)
	}
	k.isNews(c.digest)
	k.tell(c)
	k.wake.Set()
}

// errNoModule is returned where code cannot be kept, as its module cannot be had.
var errNoModule = errors.New("its module is not here")

// obtainFrom has code come from one of those who have it. Only one that has given something else is to blame for that it does not: others may be busy, or be starting.
func (k *codes) obtainFrom(ctx context.Context, c *code, from []*apiv1.CodeHolder) error {
	_, release, err := k.modules.use(ctx, c.digest) // so that its directory stays
	if err != nil {
		return fmt.Errorf("%w: %w", errNoModule, err)
	}
	defer release()
	for _, h := range from {
		k.comesFrom(c, h.Host)
		key := k.sealKey()
		if err = k.obtainAs(ctx, c.digest, h, key); err == nil || ctx.Err() != nil {
			return err
		}
		k.log.Warn("code of a module does not come", "module", c.digest, "from", h.Host, "err", err)
		if errors.Is(err, errOwnDisk) {
			return err
		}
		k.mu.Lock()
		if errors.Is(err, native.ErrSeal) && bytes.Equal(key, k.key) { // else one of both may not have heard of the new one
			c.refused[h.Host] = true
		}
		k.mu.Unlock()
	}
	return err
}

func (k *codes) comesFrom(c *code, host string) {
	k.work.Add(1)
	k.mu.Lock()
	defer k.mu.Unlock()
	c.comesFrom = host
	k.tell(c)
}

// obtainAs has code come from a host, and keeps it if it is what it is to be.
func (k *codes) obtainAs(ctx context.Context, digest string, h *apiv1.CodeHolder, key []byte) error {
	n := nameOf(h.Name)
	if n.Module != digest || !k.fits(n) {
		return fmt.Errorf("%w: it is %q", native.ErrSeal, n)
	}
	return k.keep(n, func(f *os.File) error {
		if err := k.fetch(ctx, h, ownFile{f}); err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return diskError(err)
		}
		switch is, err := native.Check(key, f); {
		case err != nil && !errors.Is(err, native.ErrSeal):
			return diskError(err)
		case err == nil && is.Name != n:
			return fmt.Errorf("%w: it is %q", native.ErrSeal, is.Name)
		default:
			return err
		}
	})
}

// ownFile is a file of this host's: what refuses to be written is its disk.
type ownFile struct{ f *os.File }

// Write implements io.Writer.
func (o ownFile) Write(p []byte) (int, error) {
	n, err := o.f.Write(p)
	return n, diskError(err)
}

// fetchCode implements fetchFunc.
func (w *Worker) fetchCode(ctx context.Context, from *apiv1.CodeHolder, to io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(transportWait, func() { cancel(errNoAnswer) })
	defer late.Stop()
	stream, err := apiv1connect.NewDataClient(transport.NewClient(w.bulk, from.Addr)).FetchCode(ctx, &apiv1.FetchCodeRequest{
		Name: from.Name, Holder: from.Host, Proof: native.Proof(w.codes.sealKey(), from.Host, nameOf(from.Name)),
	})
	for size := 0; err == nil; {
		late.Reset(transportWait)
		var m *apiv1.FetchCodeResponse
		if m, err = stream.Receive(); err != nil {
			break
		}
		if size += len(m.Chunk); size > native.MaxSealedBytes {
			return fmt.Errorf("%w: it is longer than any", native.ErrSeal)
		}
		if _, err := to.Write(m.Chunk); err != nil {
			return err
		}
		w.codes.work.Add(1)
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	}
	return err
}

// FetchCode implements the Data service, for workers of the cluster alone. What is given is what its name says: a damaged file is removed.
func (s dataService) FetchCode(ctx context.Context, req *apiv1.FetchCodeRequest, stream apiv1connect.DataFetchCodeServerStream) error {
	k, n := s.w.codes, nameOf(req.GetName())
	absent := apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "name", "host "+s.w.hostName()+" has no such code", "")
	if err := apierr.CheckDigest("name.module", n.Module); err != nil {
		return err
	}
	if k == nil || req.Holder != s.w.hostName() {
		return absent
	}
	if key := k.sealKey(); key == nil || !hmac.Equal(req.Proof, native.Proof(key, req.Holder, n)) {
		return apierr.New(connect.CodePermissionDenied, apierr.ReasonForbidden, "proof", "code is given to workers of the cluster alone, and this one's key may be older", "try again")
	}
	request := ctx
	ctx, place, err := k.giving.EnterTold(ctx, waitSign, func(ctx context.Context) error { return giveChunk(ctx, stream, nil) })
	if err != nil {
		return apierr.New(connect.CodeUnavailable, apierr.ReasonOverloaded, "", "others come first", "try again")
	}
	defer place.Leave()
	defer context.AfterFunc(ctx, func() { transport.WriteWithin(request, lastWait) })() // a write may wait for one who does not read
	var f *os.File
	_ = place.Work(func() error { f = k.give(n); return nil }) // it returns nil
	if f == nil {
		return absent
	}
	defer f.Close() //nolint:errcheck // only read
	for chunk := make([]byte, transport.ChunkBytes); ; {
		n, err := io.ReadFull(f, chunk)
		if n > 0 {
			if err := giveChunk(ctx, stream, chunk[:n]); err != nil {
				return err
			}
			place.Moved(n)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return apierr.New(connect.CodeUnavailable, apierr.ReasonInternal, "", "the code cannot be read: "+clean(err.Error()), "")
		}
	}
}

// giveChunk sends bytes of code; none show that the caller waits for others.
func giveChunk(ctx context.Context, stream apiv1connect.DataFetchCodeServerStream, chunk []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	transport.WriteWithin(ctx, takeWait)
	return stream.Send(&apiv1.FetchCodeResponse{Chunk: chunk})
}
