package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	loadClients = 32
	loadFor     = 4 * time.Second
	loadMost    = 6000 // below the most apps that may be queued at once
	etcdWait    = 20 * time.Second
)

// submissions compares what three servers commit a second: apps submitted to Godwit, keys put into etcd; both as JSON over
// HTTP/1.1 to the leader, both with every entry synced to disk.
func (b *bench) submissions(ctx context.Context) error {
	r := row{what: "submissions, 3 servers, 32 clients", unit: "/s", higher: true}
	err := b.dev(ctx, 3, 0, 1, func(env []string) error {
		v, err := b.submitLoad(ctx, env)
		r.godwit = []float64{v}
		return err
	})
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("etcd"); err != nil {
		fmt.Fprintln(os.Stderr, "bench: no etcd: install etcd-server to compare")
	} else if v, err := b.etcdLoad(ctx); err != nil {
		return err
	} else {
		r.peers = []peerFigure{{peer: "etcd, puts", values: []float64{v}}}
	}
	b.core = append(b.core, r)
	return nil
}

// submitLoad submits apps that stay queued: the cluster has no workers.
func (b *bench) submitLoad(ctx context.Context, env []string) (float64, error) {
	digest, err := output(ctx, env, b.godwit, "module", "push", "examples/hello/hello.wasm")
	if err != nil {
		return 0, err
	}
	out, err := output(ctx, env, b.godwit, "servers", "-o", "json")
	if err != nil {
		return 0, err
	}
	var list struct {
		Servers []struct{ Addr, Role string }
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return 0, err
	}
	i := slices.IndexFunc(list.Servers, func(s struct{ Addr, Role string }) bool { return s.Role == "leader" })
	if i < 0 {
		return 0, errors.New("no leader")
	}
	body := fmt.Sprintf(`{"spec":{"name":"x","size":1,"module_digest":%q}}`, strings.TrimSpace(digest))
	return load(ctx, "http://"+list.Servers[i].Addr+"/godwit.v1.Control/Submit", body)
}

// load posts body from many clients and returns successes a second.
func load(ctx context.Context, url, body string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, loadFor)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: loadClients}}
	var done atomic.Int64
	var failed atomic.Value
	var wg sync.WaitGroup
	start := time.Now()
	for range loadClients {
		wg.Go(func() {
			for ctx.Err() == nil && done.Load() < loadMost {
				if err := post(ctx, client, url, body); err == nil {
					done.Add(1)
				} else if ctx.Err() == nil {
					failed.Store(err)
					cancel()
				}
			}
		})
	}
	wg.Wait()
	if err, ok := failed.Load().(error); ok {
		return 0, err
	}
	return float64(done.Load()) / time.Since(start).Seconds(), nil
}

func post(ctx context.Context, client *http.Client, url, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, text)
	}
	return err
}

// etcdLoad runs three etcd servers and puts keys through the leader.
func (b *bench) etcdLoad(ctx context.Context) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var clients, peers, cluster []string
	for i := range 3 {
		c, p, err := freePorts(ctx)
		if err != nil {
			return 0, err
		}
		clients, peers = append(clients, "http://"+c), append(peers, "http://"+p)
		cluster = append(cluster, fmt.Sprintf("e%d=http://%s", i, p))
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for i := range 3 {
		cmd := exec.CommandContext(ctx, "etcd", "--name", fmt.Sprintf("e%d", i), "--data-dir", filepath.Join(b.dir, fmt.Sprintf("etcd%d", i)),
			"--listen-client-urls", clients[i], "--advertise-client-urls", clients[i], "--listen-peer-urls", peers[i],
			"--initial-advertise-peer-urls", peers[i], "--initial-cluster", strings.Join(cluster, ","), "--log-level", "error")
		cmd.Env = os.Environ()
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		wg.Go(func() { _ = cmd.Wait() }) // killed with ctx
	}
	leader, err := etcdLeader(ctx, clients)
	if err != nil {
		return 0, err
	}
	key := base64.StdEncoding.EncodeToString([]byte("key"))
	value := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("v"), 128))
	return load(ctx, leader+"/v3/kv/put", fmt.Sprintf(`{"key":%q,"value":%q}`, key, value))
}

// freePorts are two addresses that nobody uses.
func freePorts(ctx context.Context) (string, string, error) {
	var addrs [2]string
	for i := range addrs {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		defer l.Close() //nolint:errcheck // held until both are chosen
		addrs[i] = l.Addr().String()
	}
	return addrs[0], addrs[1], nil
}

// etcdLeader waits for the leader's URL.
func etcdLeader(ctx context.Context, clients []string) (string, error) {
	type status struct {
		Header struct {
			MemberID string `json:"member_id"`
		} `json:"header"`
		Leader string `json:"leader"`
	}
	for deadline := time.Now().Add(etcdWait); time.Now().Before(deadline); time.Sleep(pollEach) {
		for _, c := range clients {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, c+"/v3/maintenance/status", strings.NewReader("{}"))
			if err != nil {
				return "", err
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				continue // not up yet
			}
			var s status
			err = json.NewDecoder(res.Body).Decode(&s)
			res.Body.Close() //nolint:errcheck,gosec // read
			if err == nil && s.Leader != "" && s.Leader != "0" && s.Leader == s.Header.MemberID {
				return c, nil
			}
		}
	}
	return "", errors.New("etcd has no leader")
}
