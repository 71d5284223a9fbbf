package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
	// codeVain is how often a host may be asked for code in vain before it is asked no more, and the leader hears of it.
	codeVain = 5
	// codePause is the time between two tries.
	codePause = time.Second
	// codesGiven bounds the files of code that are given to others at once.
	codesGiven = 2
)

// fetchFunc has a sealed object come from a host.
type fetchFunc func(ctx context.Context, from *apiv1.CodeHolder) ([]byte, error)

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
		if k.wanted(c) && !c.fetching && len(k.offered(c)) > 0 {
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
	got := false
	for _, h := range from {
		k.comesFrom(c, h.Host)
		err := k.obtainFrom(ctx, c, h)
		if got = err == nil; got || ctx.Err() != nil {
			break
		}
		k.refuse(c, h, err)
	}
	k.comesFrom(c, "")
	if !got {
		select {
		case <-time.After(codePause):
		case <-ctx.Done():
		}
	}
	best := k.kept(c.digest)
	k.mu.Lock()
	defer k.mu.Unlock()
	c.fetching = false
	k.coming--
	if got {
		clear(c.vain)
	}
	if best.GetGrade() > c.grade() {
		c.best = best
	}
	k.isNews(c.digest)
	k.tell(c)
	k.wake.Set()
}

func (k *codes) comesFrom(c *code, host string) {
	k.work.Add(1)
	k.mu.Lock()
	defer k.mu.Unlock()
	c.comesFrom = host
	k.tell(c)
}

// refuse notes that a host was asked for code in vain. One that has given something else is asked no more.
func (k *codes) refuse(c *code, h *apiv1.CodeHolder, err error) {
	k.log.Warn("code of a module does not come", "module", c.digest, "from", h.Host, "err", err)
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.vain[h.Host]++; errors.Is(err, native.ErrSeal) || c.vain[h.Host] >= codeVain {
		c.refused[h.Host] = true
		k.isNews(c.digest)
	}
}

// obtainFrom has code come from a host, and keeps it if it is what it is to be.
func (k *codes) obtainFrom(ctx context.Context, c *code, h *apiv1.CodeHolder) error {
	n := nameOf(h.Name)
	if n.Module != c.digest || !k.fits(n) {
		return fmt.Errorf("%w: it is %q", native.ErrSeal, n)
	}
	sealed, err := k.fetch(ctx, h)
	if err != nil {
		return err
	}
	is, _, err := native.Unseal(k.sealKey(), sealed)
	if err == nil && is != n {
		err = fmt.Errorf("%w: it is %q", native.ErrSeal, is)
	}
	if err != nil {
		return err
	}
	_, release, err := k.modules.use(ctx, c.digest) // so that its directory stays
	if err != nil {
		return err
	}
	defer release()
	return k.keep(n, sealed)
}

// fetchCode implements fetchFunc.
func (w *Worker) fetchCode(ctx context.Context, from *apiv1.CodeHolder) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(transportWait, func() { cancel(errNoAnswer) })
	defer late.Stop()
	stream, err := apiv1connect.NewDataClient(transport.NewClient(w.modules.http, from.Addr)).FetchCode(ctx, &apiv1.FetchCodeRequest{Name: from.Name, Holder: from.Host})
	if err != nil {
		return nil, err
	}
	var all bytes.Buffer
	for {
		late.Reset(transportWait)
		m, err := stream.Receive()
		switch {
		case errors.Is(err, io.EOF):
			return all.Bytes(), nil
		case err != nil && context.Cause(ctx) != nil:
			return nil, context.Cause(ctx)
		case err != nil:
			return nil, err
		case all.Len()+len(m.Chunk) > native.MaxSealedBytes:
			return nil, fmt.Errorf("%w: it is longer than any", native.ErrSeal)
		}
		all.Write(m.Chunk)
		w.codes.work.Add(1)
	}
}

// FetchCode implements the Data service. What is given is what its name says: a damaged file is removed.
func (s dataService) FetchCode(ctx context.Context, req *apiv1.FetchCodeRequest, stream apiv1connect.DataFetchCodeServerStream) error {
	k := s.w.codes
	absent := apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "name", "host "+s.w.hostName()+" has no such code", "")
	if err := apierr.CheckDigest("name.module", req.GetName().GetModule()); err != nil {
		return err
	}
	if k == nil || k.sealKey() == nil || req.Holder != s.w.hostName() {
		return absent
	}
	select {
	case k.giving <- struct{}{}:
		defer func() { <-k.giving }()
	default:
		return apierr.New(connect.CodeUnavailable, apierr.ReasonOverloaded, "", "others come first", "try again")
	}
	sealed := k.give(nameOf(req.Name))
	if sealed == nil {
		return absent
	}
	for len(sealed) > 0 {
		n := min(len(sealed), transport.ChunkBytes)
		transport.WriteWithin(ctx, takeWait)
		if err := stream.Send(&apiv1.FetchCodeResponse{Chunk: sealed[:n]}); err != nil {
			return err
		}
		sealed = sealed[n:]
	}
	return nil
}
