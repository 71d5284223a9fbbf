package control

import (
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
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/text"
	"github.com/godwit-run/godwit/internal/transport"
)

// Bounds of modules on their way, for all callers together: what has come lies in files, at the most maxIncoming of
// fsm.MaxModuleBytes each; one chunk of each is in memory, and the whole of one module, while it is looked at.
const (
	maxIncoming = 8
	maxOutgoing = 64
	// chunkWait bounds the time between two chunks, incomingWait that of all.
	chunkWait    = 10 * time.Second
	incomingWait = 10 * time.Minute
	pushWait     = 30 * time.Second
	pullWait     = 2 * time.Minute
)

// gate bounds how many callers are inside. It turns the others away, rather than have them wait with what they hold.
type gate chan struct{}

func (g gate) enter(what string) (leave func(), err error) {
	select {
	case g <- struct{}{}:
		return func() { <-g }, nil
	default:
		return nil, apierr.New(connect.CodeResourceExhausted, apierr.ReasonOverloaded, "", "too many "+what+" at a time", "try again in a moment")
	}
}

// wait is enter for callers that hold nothing while they wait.
func (g gate) wait(ctx context.Context) (leave func(), err error) {
	select {
	case g <- struct{}{}:
		return func() { <-g }, nil
	case <-ctx.Done():
		return nil, apiError(ctx.Err())
	}
}

// errStalled is the answer to who sends nothing.
func errStalled() error {
	return apierr.New(connect.CodeDeadlineExceeded, apierr.ReasonInvalid, "chunk", fmt.Sprintf("nothing of the module came for %s", chunkWait), "send it again")
}

// soon returns a stream's first message, if it comes within chunkWait.
func soon[M any](ctx context.Context, receive func() (M, error)) (M, error) {
	type message struct {
		m   M
		err error
	}
	ch := make(chan message, 1)
	go func() { // ends with the stream, which ends with the request
		m, err := receive()
		ch <- message{m, err}
	}()
	late := time.NewTimer(chunkWait)
	defer late.Stop()
	var none M
	select {
	case r := <-ch:
		if errors.Is(r.err, io.EOF) {
			return none, invalid("digest", "the stream is empty", "send the module")
		}
		return r.m, r.err
	case <-late.C:
		return none, errStalled()
	case <-ctx.Done():
		return none, apiError(ctx.Err())
	}
}

// receive takes a module from a stream whose first chunk has come. next returns further ones, then io.EOF. What stalls for
// chunkWait is given up.
func (m *incoming) receive(ctx context.Context, first []byte, next func() ([]byte, error)) error {
	if err := m.add(first); err != nil {
		return err
	}
	type chunk struct {
		data []byte
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	chunks := make(chan chunk)
	go func() { // ends with the stream, which ends with the request
		for err := error(nil); err == nil; {
			var data []byte
			data, err = next()
			select {
			case chunks <- chunk{data, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	idle := time.NewTimer(chunkWait)
	defer idle.Stop()
	for {
		select {
		case c := <-chunks:
			if errors.Is(c.err, io.EOF) {
				return m.check()
			}
			if c.err != nil {
				return c.err
			}
			if err := m.add(c.data); err != nil {
				return err
			}
			idle.Reset(chunkWait)
		case <-idle.C:
			return errStalled()
		case <-ctx.Done():
			return apiError(ctx.Err())
		}
	}
}

// UploadModule implements the Control service.
func (c *Control) UploadModule(ctx context.Context, stream apiv1connect.ControlUploadModuleServerStream) (*apiv1.UploadModuleResponse, error) {
	leave, err := c.incoming.enter("uploads")
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, incomingWait)
	defer cancel()
	first, err := soon(ctx, stream.Receive)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checkKey(first.IdempotencyKey), checkDigest("digest", first.Digest), checkText("name", first.Name, fsm.MaxWordBytes)); err != nil {
		return nil, err
	}
	in, err := c.modules.begin(first.Digest)
	if err != nil {
		return nil, apiError(err)
	}
	defer in.drop()
	err = in.receive(ctx, first.Chunk, func() ([]byte, error) {
		m, err := stream.Receive()
		return m.GetChunk(), err
	})
	if err != nil {
		return nil, err
	}
	mod, err := c.inspectModule(ctx, in, first.Name)
	if err != nil {
		return nil, err
	}
	if err := in.keep(); err != nil {
		return nil, apiError(err)
	}
	if err := c.replicate(ctx, mod.Digest); err != nil {
		return nil, err
	}
	cmd := c.command(first.IdempotencyKey)
	cmd.Op = &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: mod}}
	res, err := c.log.Propose(ctx, cmd)
	if err != nil {
		return nil, apiError(err)
	}
	if res.Code != "" && fsm.Code(res.Code) != fsm.CodeAlreadyExists {
		return nil, refusal(res.Code, res.Reason)
	}
	return &apiv1.UploadModuleResponse{Module: mod, Index: res.Index}, nil
}

// inspectModule says what the module is. One at a time: it holds all of it in memory.
func (c *Control) inspectModule(ctx context.Context, in *incoming, name string) (*apiv1.Module, error) {
	leave, err := c.inspecting.wait(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	code, err := in.bytes()
	if err != nil {
		return nil, apiError(err)
	}
	mod, err := c.cfg.Inspect(code)
	if err != nil {
		return nil, invalid("chunk", text.Clean(err.Error(), maxReasonBytes), "")
	}
	mod.Digest, mod.Size, mod.Name = in.digest, in.size, name
	return mod, checkModule(mod)
}

// replicate has enough other servers store the module, which this one has, for a majority.
func (c *Control) replicate(ctx context.Context, digest string) error {
	servers := c.group.Servers()
	voters, have := 0, 0
	answers := make(chan error, len(servers))
	asked := 0
	for _, s := range servers {
		if s.Voter {
			voters++
		}
		if s.ID == c.group.ID() {
			have++
			continue
		}
		if s.Voter {
			asked++
			go func() { answers <- c.push(ctx, s.Addr, digest) }() // ends by its own deadline
		}
	}
	var failed error
	for ; asked > 0 && have <= voters/2; asked-- {
		if err := <-answers; err != nil {
			failed = err
			continue
		}
		have++
	}
	if have <= voters/2 {
		return apierr.New(connect.CodeUnavailable, apierr.ReasonNoLeader, "",
			fmt.Sprintf("only %d of %d servers could store the module (%v)", have, voters, failed), "try again when a majority is up")
	}
	return nil
}

// push sends a module to another server.
func (c *Control) push(ctx context.Context, addr, digest string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pushWait)
	defer cancel()
	stream, err := apiv1connect.NewClusterClient(transport.NewClient(c.http, addr)).PushModule(ctx)
	if err != nil {
		return err
	}
	sent := false
	err = c.modules.read(digest, func(data []byte) error {
		m := &apiv1.PushModuleRequest{Chunk: data}
		if !sent {
			m.Digest, sent = digest, true
		}
		return stream.Send(m)
	})
	_, answer := stream.CloseAndReceive() // has the reason why sending failed
	if answer != nil {
		return answer
	}
	return err
}

// eachChunk calls f with the parts of what r gives. f must not keep them.
func eachChunk(r io.Reader, f func([]byte) error) error {
	buf := make([]byte, transport.ChunkBytes)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if err := f(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return storeError(err)
		}
	}
}

// PushModule implements the Cluster service.
func (c *Control) PushModule(ctx context.Context, stream apiv1connect.ClusterPushModuleServerStream) (*apiv1.PushModuleResponse, error) {
	leave, err := c.pushed.enter("modules on their way")
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, incomingWait)
	defer cancel()
	first, err := soon(ctx, stream.Receive)
	if err != nil {
		return nil, err
	}
	if err := checkDigest("digest", first.Digest); err != nil {
		return nil, err
	}
	in, err := c.modules.begin(first.Digest)
	if err != nil {
		return nil, apiError(err)
	}
	defer in.drop()
	err = in.receive(ctx, first.Chunk, func() ([]byte, error) {
		m, err := stream.Receive()
		return m.GetChunk(), err
	})
	if err != nil {
		return nil, err
	}
	if err := in.keep(); err != nil {
		return nil, apiError(err)
	}
	return &apiv1.PushModuleResponse{Size: in.size}, nil
}

// FetchModule implements the Cluster service. A server that missed a module gets it from another first.
func (c *Control) FetchModule(ctx context.Context, req *apiv1.FetchModuleRequest, stream apiv1connect.ClusterFetchModuleServerStream) error {
	if err := checkDigest("digest", req.Digest); err != nil {
		return err
	}
	leave, err := c.outgoing.wait(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if hopped(ctx) && !c.modules.has(req.Digest) {
		return noModule(req.Digest) // requests must not go round
	}
	if err := c.fetched(ctx, req.Digest); err != nil {
		return err
	}
	return c.modules.read(req.Digest, func(data []byte) error {
		transport.WriteWithin(ctx, chunkWait) // who does not read gives the place to others
		return stream.Send(&apiv1.FetchModuleResponse{Chunk: data})
	})
}

func noModule(digest string) error {
	return apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "digest", fmt.Sprintf("no server has module %.12s", digest), "upload it")
}

// fetched returns nil once this server has the module, which it gets from another if it must: once, for all who ask.
func (c *Control) fetched(ctx context.Context, digest string) error {
	if c.modules.has(digest) {
		return nil
	}
	done := c.pulls.DoChan(digest, func() (any, error) {
		pctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pullWait)
		defer cancel()
		return nil, c.pull(pctx, digest)
	})
	select {
	case r := <-done:
		return r.Err
	case <-ctx.Done():
		return apiError(ctx.Err())
	}
}

// pull gets a module from one of the other servers, in any order: one that hangs must not be the first each time. Only those that
// have it answer.
func (c *Control) pull(ctx context.Context, digest string) error {
	if c.modules.has(digest) {
		return nil
	}
	servers := slices.Clone(c.group.Servers())
	rand.Shuffle(len(servers), func(i, j int) { servers[i], servers[j] = servers[j], servers[i] })
	for _, s := range servers {
		if s.ID == c.group.ID() {
			continue
		}
		if err := c.pullFrom(ctx, s.Addr, digest); err == nil {
			return nil
		}
	}
	return noModule(digest)
}

func (c *Control) pullFrom(ctx context.Context, addr, digest string) error {
	ctx, cancel := context.WithTimeout(ctx, pushWait)
	defer cancel()
	ctx, info := connect.NewClientContext(ctx)
	info.RequestHeader().Set(hopHeader, "1")
	stream, err := apiv1connect.NewClusterClient(transport.NewClient(c.http, addr)).FetchModule(ctx, &apiv1.FetchModuleRequest{Digest: digest})
	if err != nil {
		return err
	}
	in, err := c.modules.begin(digest)
	if err != nil {
		return err
	}
	defer in.drop()
	err = in.receive(ctx, nil, func() ([]byte, error) {
		m, err := stream.Receive()
		return m.GetChunk(), err
	})
	if err != nil {
		return err
	}
	return in.keep()
}

// hopped says whether the request under way comes from another server.
func hopped(ctx context.Context) bool {
	info, ok := connect.CallInfoForServerContext(ctx)
	return ok && info.RequestHeader().Get(hopHeader) != ""
}
