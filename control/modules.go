package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// moduleStore holds modules' bytes by digest. A file is whole and checked before it gets its name.
type moduleStore struct{ dir string }

func newModuleStore(dataDir string) (*moduleStore, error) {
	s := &moduleStore{dir: filepath.Join(dataDir, "modules")}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("control: modules: %w", err)
	}
	return s, nil
}

func (s *moduleStore) path(digest string) string { return filepath.Join(s.dir, digest+".wasm") }

func (s *moduleStore) has(digest string) bool {
	_, err := os.Stat(s.path(digest))
	return err == nil
}

func (s *moduleStore) read(digest string) ([]byte, error) { return os.ReadFile(s.path(digest)) }

// put stores code, whose digest has been checked, durably.
func (s *moduleStore) put(digest string, code []byte) (err error) {
	if s.has(digest) {
		return nil
	}
	tmp, err := os.CreateTemp(s.dir, "put-*")
	if err != nil {
		return fmt.Errorf("control: store module: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name()) // half a file is worth nothing
		}
	}()
	if _, err := tmp.Write(code); err != nil {
		return errors.Join(fmt.Errorf("control: store module: %w", err), tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("control: store module: %w", err)
	}
	if err := os.Rename(tmp.Name(), s.path(digest)); err != nil {
		return fmt.Errorf("control: store module: %w", err)
	}
	return syncDir(s.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("control: store module: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("control: store module: %w", err)
	}
	return nil
}

// receiveCode reads a streamed module of at most maxModuleBytes, whose first chunk has come already, and checks its
// digest. next returns further chunks, then io.EOF.
func receiveCode(digest string, code []byte, next func() ([]byte, error)) ([]byte, error) {
	for {
		chunk, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(code)+len(chunk) > maxModuleBytes {
			return nil, invalid("chunk", "the module is over 64 MiB", "strip it, or link less")
		}
		code = append(code, chunk...)
	}
	sum := sha256.Sum256(code)
	if got := hex.EncodeToString(sum[:]); got != digest {
		return nil, apierr.New(connect.CodeDataLoss, apierr.ReasonInvalid, "digest",
			fmt.Sprintf("the module arrived with digest %.12s, not %.12s", got, digest), "send it again")
	}
	return code, nil
}

// UploadModule implements the Control service.
func (c *Control) UploadModule(ctx context.Context, stream apiv1connect.ControlUploadModuleServerStream) (*apiv1.UploadModuleResponse, error) {
	first, err := stream.Receive()
	if err != nil {
		return nil, invalid("digest", "the stream is empty", "")
	}
	if err := errors.Join(checkKey(first.IdempotencyKey), checkDigest("digest", first.Digest)); err != nil {
		return nil, err
	}
	code, err := receiveCode(first.Digest, first.Chunk, func() ([]byte, error) {
		m, err := stream.Receive()
		return m.GetChunk(), err
	})
	if err != nil {
		return nil, err
	}
	mod, err := c.cfg.Inspect(code)
	if err != nil {
		return nil, invalid("chunk", err.Error(), "")
	}
	mod.Digest, mod.Size, mod.Name = first.Digest, int64(len(code)), first.Name
	if err := c.replicate(ctx, mod.Digest, code); err != nil {
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

// replicate stores the module here and on enough other servers for a majority.
func (c *Control) replicate(ctx context.Context, digest string, code []byte) error {
	if err := c.modules.put(digest, code); err != nil {
		return apiError(err)
	}
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
			go func() { answers <- c.push(ctx, s.Addr, digest, code) }() // ends by its own deadline
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
func (c *Control) push(ctx context.Context, addr, digest string, code []byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pushWait)
	defer cancel()
	stream, err := apiv1connect.NewClusterClient(transport.NewClient(c.http, addr)).PushModule(ctx)
	if err != nil {
		return err
	}
	for first := true; first || len(code) > 0; first = false {
		n := min(len(code), transport.ChunkBytes)
		m := &apiv1.PushModuleRequest{Chunk: code[:n]}
		if first {
			m.Digest = digest
		}
		if err := stream.Send(m); err != nil {
			break // CloseAndReceive has the reason
		}
		code = code[n:]
	}
	_, err = stream.CloseAndReceive()
	return err
}

// PushModule implements the Cluster service.
func (c *Control) PushModule(_ context.Context, stream apiv1connect.ClusterPushModuleServerStream) (*apiv1.PushModuleResponse, error) {
	first, err := stream.Receive()
	if err != nil {
		return nil, invalid("digest", "the stream is empty", "")
	}
	if err := checkDigest("digest", first.Digest); err != nil {
		return nil, err
	}
	code, err := receiveCode(first.Digest, first.Chunk, func() ([]byte, error) {
		m, err := stream.Receive()
		return m.GetChunk(), err
	})
	if err != nil {
		return nil, err
	}
	if err := c.modules.put(first.Digest, code); err != nil {
		return nil, apiError(err)
	}
	return &apiv1.PushModuleResponse{Size: int64(len(code))}, nil
}

// FetchModule implements the Cluster service. A server that missed a module gets it from another first.
func (c *Control) FetchModule(ctx context.Context, req *apiv1.FetchModuleRequest, stream apiv1connect.ClusterFetchModuleServerStream) error {
	if err := checkDigest("digest", req.Digest); err != nil {
		return err
	}
	code, err := c.modules.read(req.Digest)
	if errors.Is(err, os.ErrNotExist) {
		code, err = c.pull(ctx, req.Digest)
	}
	if err != nil {
		return err
	}
	for len(code) > 0 {
		n := min(len(code), transport.ChunkBytes)
		if err := stream.Send(&apiv1.FetchModuleResponse{Chunk: code[:n]}); err != nil {
			return err
		}
		code = code[n:]
	}
	return nil
}

// pull gets a module from the other servers. Only a module known to the log is asked for, and only the servers that
// have it answer, so that requests do not go round.
func (c *Control) pull(ctx context.Context, digest string) ([]byte, error) {
	missing := apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "digest", fmt.Sprintf("no server has module %.12s", digest), "upload it")
	if hopped(ctx) {
		return nil, missing
	}
	for _, s := range c.group.Servers() {
		if s.ID == c.group.ID() {
			continue
		}
		if code, err := c.pullFrom(ctx, s.Addr, digest); err == nil {
			return code, c.modules.put(digest, code)
		}
	}
	return nil, missing
}

func (c *Control) pullFrom(ctx context.Context, addr, digest string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, pushWait)
	defer cancel()
	ctx, info := connect.NewClientContext(ctx)
	info.RequestHeader().Set(hopHeader, "1")
	stream, err := apiv1connect.NewClusterClient(transport.NewClient(c.http, addr)).FetchModule(ctx, &apiv1.FetchModuleRequest{Digest: digest})
	if err != nil {
		return nil, err
	}
	return receiveCode(digest, nil, func() ([]byte, error) {
		m, err := stream.Receive()
		return m.GetChunk(), err
	})
}

// hopped says whether the request under way comes from another server.
func hopped(ctx context.Context) bool {
	info, ok := connect.CallInfoForServerContext(ctx)
	return ok && info.RequestHeader().Get(hopHeader) != ""
}
