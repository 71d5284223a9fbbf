package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// moduleCache keeps modules fetched from the servers, by digest.
type moduleCache struct {
	dir     string
	http    *http.Client
	servers func() []string // API addresses

	mu      sync.Mutex // guards pending
	pending map[string]*sync.Mutex
}

func newModuleCache(dir string, h *http.Client, servers func() []string) (*moduleCache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("worker: modules: %w", err)
	}
	return &moduleCache{dir: dir, http: h, servers: servers, pending: map[string]*sync.Mutex{}}, nil
}

// path returns the file of the module, fetched first if need be. Concurrent calls for one module fetch it once.
func (c *moduleCache) path(ctx context.Context, digest string) (string, error) {
	if err := checkDigest(digest); err != nil {
		return "", err
	}
	c.mu.Lock()
	one := c.pending[digest]
	if one == nil {
		one = new(sync.Mutex)
		c.pending[digest] = one
	}
	c.mu.Unlock()
	one.Lock()
	defer one.Unlock()
	path := filepath.Join(c.dir, digest+".wasm")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	err := errors.New("no server is known")
	for _, addr := range c.servers() {
		if err = c.fetch(ctx, addr, digest, path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("worker: fetch module %.12s: %w", digest, err)
}

// fetch streams the module into a temporary file, checks its digest, and moves it to path.
func (c *moduleCache) fetch(ctx context.Context, addr, digest, path string) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := apiv1connect.NewClusterClient(transport.NewClient(c.http, addr))
	stream, err := client.FetchModule(ctx, &apiv1.FetchModuleRequest{Digest: digest})
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(c.dir, "fetch-*")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, tmp.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	sum := sha256.New()
	for {
		m, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		sum.Write(m.Chunk)
		if _, err := tmp.Write(m.Chunk); err != nil {
			return err
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest {
		return fmt.Errorf("server %s sent other bytes: digest %.12s", addr, got)
	}
	return os.Rename(tmp.Name(), path)
}
