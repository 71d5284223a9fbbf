package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/gate"
	"github.com/godwit-run/godwit/internal/text"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	// turnWait bounds how long an upload waits for its turn to be looked at, commitWait how long for the log, once other servers have it.
	turnWait   = 5 * time.Minute
	commitWait = 2 * time.Minute
)

// receive takes a module from a stream whose first chunk has come. next returns further ones, then io.EOF.
func (m *incoming) receive(ctx context.Context, place *gate.Place, first []byte, next func() ([]byte, error)) error {
	add := func(data []byte) error { return place.Work(func() error { return m.add(data) }) }
	if err := add(first); err != nil {
		return err
	}
	for {
		data, err := within(ctx, next)
		if errors.Is(err, io.EOF) {
			return m.check()
		}
		if err != nil {
			return err
		}
		if err := add(data); err != nil {
			return err
		}
	}
}

// UploadModule implements the Control service.
func (c *Control) UploadModule(ctx context.Context, stream apiv1connect.ControlUploadModuleServerStream) (*apiv1.UploadModuleResponse, error) {
	select {
	case c.uploads <- struct{}{}:
		defer func() { <-c.uploads }()
	default:
		return nil, placeError(gate.ErrFull, "uploads")
	}
	up, err := c.takeUpload(ctx, stream)
	if err != nil {
		return nil, err
	}
	defer up.in.drop()
	return c.addModule(ctx, up)
}

// upload is a module that a client has sent: it is in this server's store, and in no other.
type upload struct {
	in  *incoming
	mod *apiv1.Module
	key string // of the client's request
}

// takeUpload takes what a client sends. It has a place for as long as that is work for this server, and not while others are waited for.
func (c *Control) takeUpload(ctx context.Context, stream apiv1connect.ControlUploadModuleServerStream) (*upload, error) {
	up := &upload{}
	check := func(first *apiv1.UploadModuleRequest) error {
		up.key = first.IdempotencyKey
		return errors.Join(checkKey(first.IdempotencyKey), apierr.CheckDigest("digest", first.Digest), checkText("name", first.Name, fsm.MaxWordBytes))
	}
	in, err := take(ctx, c.modules, c.incoming, "uploads", stream.Receive, check, func(ctx context.Context, in *incoming, first *apiv1.UploadModuleRequest) (err error) {
		if ctx.Err() != nil {
			return streamError(ctx) // the place went with the last chunk
		}
		if up.mod, err = c.inspectModule(ctx, in, first.Name); err != nil {
			return err
		}
		return in.keep()
	})
	up.in = in
	return up, err
}

// digested is a message of a stream that brings what a digest names; the first has the digest.
type digested interface {
	GetDigest() string
	GetChunk() []byte
}

// take takes what a stream brings into a store. It has a place in a line for as long as that is work for this server: until keep, which is given what
// has come, checked, has returned. What it returns is to be dropped in the end; with an error it has been.
func take[M digested](ctx context.Context, store *moduleStore, line *gate.Gate, what string, receive func() (M, error), check func(first M) error,
	keep func(ctx context.Context, in *incoming, first M) error,
) (_ *incoming, err error) {
	ctx, place, err := enterReading(ctx, line, what)
	if err != nil {
		return nil, err
	}
	defer place.Leave()
	first, err := within(ctx, receive)
	transport.Yield(ctx) // what follows is the disk's
	if err != nil {
		return nil, emptyStream(err)
	}
	if err := check(first); err != nil {
		return nil, err
	}
	in, err := store.begin(first.GetDigest())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			in.drop()
		}
	}()
	err = in.receive(ctx, place, first.GetChunk(), func() ([]byte, error) {
		m, err := receive()
		return m.GetChunk(), err
	})
	if err != nil {
		return nil, err
	}
	return in, place.Work(func() error { return keep(ctx, in, first) })
}

// checkDigest and keepWhole are for what is known by its digest alone.
func checkDigest[M digested](first M) error { return apierr.CheckDigest("digest", first.GetDigest()) }

func keepWhole[M digested](_ context.Context, in *incoming, _ M) error { return in.keep() }

// addModule makes what has come a module of the cluster.
func (c *Control) addModule(ctx context.Context, up *upload) (*apiv1.UploadModuleResponse, error) {
	if err := c.replicate(ctx, up.mod.Digest); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, commitWait)
	defer cancel()
	cmd := c.command(up.key)
	cmd.Op = &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: up.mod}}
	res, err := c.log.Propose(ctx, cmd)
	if err != nil {
		return nil, apiError(err)
	}
	if res.Code != "" && fsm.Code(res.Code) != fsm.CodeAlreadyExists {
		return nil, refusal(res.Code, res.Reason)
	}
	return &apiv1.UploadModuleResponse{Module: up.mod, Index: res.Index}, nil
}

// inspectModule says what the module is. One at a time: it holds all of it in memory.
func (c *Control) inspectModule(ctx context.Context, in *incoming, name string) (*apiv1.Module, error) {
	turn, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	select {
	case c.inspecting <- struct{}{}:
		defer func() { <-c.inspecting }()
	case <-turn.Done():
		return nil, streamError(turn)
	}
	code, err := in.bytes()
	if err != nil {
		return nil, err
	}
	mod, err := c.cfg.Inspect(code)
	if err != nil {
		return nil, invalid("chunk", text.Clean(err.Error(), maxReasonBytes), "")
	}
	mod.Digest, mod.Size, mod.Name = in.digest, in.size, name
	return mod, checkModule(mod)
}

// replicate has enough other servers store the module, which this one has, for a majority. The rest go on storing it when it returns, unless
// there is none, or ctx has ended.
func (c *Control) replicate(ctx context.Context, digest string) error {
	servers := c.group.Servers()
	voters, have := 0, 0
	answers := make(chan error, len(servers))
	asked := 0
	pushes, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	var under sync.WaitGroup
	for _, s := range servers {
		if !s.Voter {
			continue
		}
		voters++
		if s.ID == c.group.ID() {
			have++
			continue
		}
		asked++
		under.Go(func() { // ends when nothing moves any more
			answers <- c.errands.do(pushes, func(ctx context.Context) error { return c.push(ctx, s.Addr, digest) })
		})
	}
	go func() { under.Wait(); giveUp() }() // ends with the pushes
	var failed error
	for ; asked > 0 && have <= voters/2; asked-- {
		select {
		case err := <-answers:
			if err != nil {
				failed = err
				continue
			}
			have++
		case <-ctx.Done(): // nobody waits for it any more
			giveUp()
			return streamError(ctx)
		}
	}
	if have <= voters/2 {
		giveUp()
		return apierr.New(connect.CodeUnavailable, apierr.ReasonNoLeader, "",
			fmt.Sprintf("only %d of %d servers could store what was sent (%v)", have, voters, failed), "try again when a majority is up")
	}
	return nil
}

// push sends a module to another server, for as long as that takes of it.
func (c *Control) push(ctx context.Context, addr, digest string) (err error) {
	ctx, moved, end := c.moving(ctx)
	defer end()
	defer func() { err = stillOr(ctx, err) }()
	stream, err := apiv1connect.NewClusterClient(transport.NewClient(c.servers, addr)).PushModule(c.asPusher(ctx, digest))
	if err != nil {
		return err
	}
	sent := false
	err = c.modules.read(digest, func(data []byte) error {
		m := &apiv1.PushModuleRequest{Chunk: data}
		if !sent {
			m.Digest, sent = digest, true
		}
		defer moved()
		return stream.Send(m)
	})
	_, answer := stream.CloseAndReceive() // has the reason why sending failed
	if answer != nil {
		return answer
	}
	return err
}

// eachChunk calls f with the parts of what r gives, at least with one, which may be empty: a blob may be, such as the list of an empty directory. f must
// not keep them.
func eachChunk(r io.Reader, f func([]byte) error) error {
	buf := make([]byte, transport.ChunkBytes)
	for first := true; ; first = false {
		n, err := io.ReadFull(r, buf)
		if n > 0 || first && errors.Is(err, io.EOF) {
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
	in, err := take(ctx, c.modules, c.pushLineOf(ctx), "modules on their way", stream.Receive, checkDigest, keepWhole)
	if err != nil {
		return nil, err
	}
	defer in.drop()
	return &apiv1.PushModuleResponse{Size: in.size}, nil
}

// FetchModule implements the Cluster service. A server that missed a module gets it from another first.
func (c *Control) FetchModule(ctx context.Context, req *apiv1.FetchModuleRequest, stream apiv1connect.ClusterFetchModuleServerStream) error {
	return c.give(ctx, req.Digest, c.lineOf(req), func(chunk []byte) error { return stream.Send(&apiv1.FetchModuleResponse{Chunk: chunk}) })
}

// give sends what a digest names to whoever asks for it, once it has its turn in a line.
func (c *Control) give(ctx context.Context, digest string, line *gate.Gate, send func(chunk []byte) error) error {
	if err := apierr.CheckDigest("digest", digest); err != nil {
		return err
	}
	transport.Yield(ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var place *gate.Place
	leave := func() {}
	var inside atomic.Bool
	seen := int64(0)
	tell := func() error {
		// Only what is sure to go on is told: the line in front of the gate, and another server's sending. Who waits for this server's disk
		// does better with another.
		got := c.pulling.got(digest)
		if inside.Load() && got == seen {
			return nil
		}
		seen = got
		return send(nil)
	}
	err := telling(ctx, cancel, tell, func() (err error) {
		ctx, place, leave, err = enterWriting(ctx, line, "modules are being fetched")
		inside.Store(true)
		if err != nil {
			leave = func() {}
			return err
		}
		return place.Work(func() error {
			if hopped(ctx) {
				return c.modules.lacks(digest) // requests must not go round
			}
			return c.fetched(ctx, digest)
		})
	})
	defer func() { leave() }()
	if err != nil {
		return err
	}
	err = c.modules.read(digest, func(data []byte) error {
		err := send(data)
		place.Moved(len(data))
		return err
	})
	if ctx.Err() != nil {
		return streamError(ctx)
	}
	return err
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
		return nil, c.errands.do(context.WithoutCancel(ctx), func(ctx context.Context) error { // ends when nothing moves any more
			return c.pull(ctx, digest)
		})
	})
	select {
	case r := <-done:
		return r.Err
	case <-ctx.Done():
		return apiError(ctx.Err())
	}
}

// pull gets a module from one of the other servers, in any order: one that hangs must not be the first each time. Only those that
// have it give it. What this server's own disk refuses ends it: it would refuse the same of the next. A file that it does not give comes
// anew, if another server has it.
func (c *Control) pull(ctx context.Context, digest string) error {
	lacks := c.modules.lacks(digest)
	if lacks == nil {
		return nil
	}
	defer c.pulling.end(digest)
	servers := slices.Clone(c.group.Servers())
	rand.Shuffle(len(servers), func(i, j int) { servers[i], servers[j] = servers[j], servers[i] })
	asked, unsure, failed := 0, 0, error(nil)
	for _, s := range servers {
		if s.ID == c.group.ID() {
			continue
		}
		asked++
		err := c.pullFrom(ctx, s.Addr, digest)
		switch {
		case err == nil, ownDisk(err):
			return err
		case connect.CodeOf(err) != connect.CodeNotFound:
			unsure, failed = unsure+1, err
		}
	}
	if ownDisk(lacks) {
		return lacks
	}
	if unsure > 0 {
		return apierr.New(connect.CodeUnavailable, apierr.ReasonNotFound, "digest",
			fmt.Sprintf("this server lacks module %.12s, and %d of %d others do not say whether they have it (%v)", digest, unsure, asked, failed),
			"try again when they are up")
	}
	return noModule(digest)
}

// pullFrom gets a module from another server, for as long as that sends of it, or says that others come first.
func (c *Control) pullFrom(ctx context.Context, addr, digest string) (err error) {
	in, err := c.modules.begin(digest) // before anybody is asked for it
	if err != nil {
		return err
	}
	defer in.drop()
	ctx, moved, end := c.moving(ctx)
	defer end()
	defer func() { err = stillOr(ctx, err) }()
	ctx, info := connect.NewClientContext(ctx)
	info.RequestHeader().Set(hopHeader, "1")
	stream, err := apiv1connect.NewClusterClient(transport.NewClient(c.bulk, addr)).FetchModule(ctx, c.asServer(digest))
	if err != nil {
		return err
	}
	for {
		m, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		moved()
		c.pulling.step(digest)
		if err := in.add(m.Chunk); err != nil {
			return err
		}
	}
	if err := in.check(); err != nil {
		return err
	}
	return in.keep()
}

// hopped says whether the request under way comes from another server.
func hopped(ctx context.Context) bool {
	info, ok := connect.CallInfoForServerContext(ctx)
	return ok && info.RequestHeader().Get(hopHeader) != ""
}
