package worker

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/worker/native"
)

// sealedAt is what another host has of module "a".
func (k *testCodes) sealedAt(key []byte, o string) (*apiv1.CodeHolder, []byte) {
	n := native.Name{Module: k.digests["a"], Recipe: k.own}
	n.O, n.Compiler = o, "another's compiler"
	return &apiv1.CodeHolder{Name: codeNameOf(n), Host: "other", Addr: "other:1"}, native.Seal(key, n, []byte("other's object at "+o))
}

// A host without a compiler has code come from others, the best first, and takes none that was not sealed with the cluster's key.
func TestCodeComes(t *testing.T) {
	k := newTestCodes(t, t.TempDir(), "a")
	k.own.Compiler, k.lacks = "", "no clang"
	var mu sync.Mutex
	gives := map[string][]byte{}
	k.fetch = func(_ context.Context, from *apiv1.CodeHolder, to io.Writer) error {
		mu.Lock()
		defer mu.Unlock()
		if b := gives[from.Host+from.Name.Optimisation]; b != nil {
			_, err := to.Write(b)
			return err
		}
		return errors.New("no answer")
	}
	quick, sealed := k.sealedAt(testKey, native.Quick)
	gives["other-O1"] = sealed
	k.leaderSays("a", &apiv1.CodeRecord{Holders: []*apiv1.CodeHolder{quick}, Why: "host other compiles it at -O3"})
	var h heard
	w := k.wish([]string{k.digests["a"]})
	defer w.end()
	w.follow(h.tell)
	require.NoError(t, w.await(t.Context()))
	c := k.await(t, &h, "a", hasGrade(gradeQuick))
	require.Equal(t, "other's object at -O1", object(t, c))
	require.Equal(t, "compiled at -O1 until that is done at -O3: host other compiles it at -O3", w.standing(k.digests["a"]).Why)
	require.Eventually(t, func() bool { return len(k.told("a").GetHas()) == 1 }, 10*time.Second, time.Millisecond)

	best, _ := k.sealedAt(testKey, native.Best)
	_, forged := k.sealedAt([]byte("another key"), native.Best)
	mu.Lock()
	gives["other-O3"] = forged
	mu.Unlock()
	third := proto.CloneOf(best)
	third.Host = "third"
	k.leaderSays("a", &apiv1.CodeRecord{Holders: []*apiv1.CodeHolder{quick, best}})
	require.Eventually(t, func() bool { return len(k.told("a").GetRefused()) == 1 }, 10*time.Second, time.Millisecond)
	require.Equal(t, []string{"other"}, k.told("a").Refused)
	require.Equal(t, int32(gradeQuick), w.standing(k.digests["a"]).Grade)
	_, sealed = k.sealedAt(testKey, native.Quick) // sealed by the cluster, but not what it was to be
	mu.Lock()
	gives["third-O3"] = sealed
	mu.Unlock()
	k.leaderSays("a", &apiv1.CodeRecord{Holders: []*apiv1.CodeHolder{quick, best, third}})
	require.Eventually(t, func() bool { return len(k.told("a").GetRefused()) == 2 }, 10*time.Second, time.Millisecond)
	fourth := proto.CloneOf(best)
	fourth.Host = "fourth"
	_, sealed = k.sealedAt(testKey, native.Best)
	mu.Lock()
	gives["fourth-O3"] = sealed
	mu.Unlock()
	k.leaderSays("a", &apiv1.CodeRecord{Holders: []*apiv1.CodeHolder{quick, best, third, fourth}})
	c = k.await(t, &h, "a", hasGrade(gradeBest))
	require.Equal(t, "other's object at -O3", object(t, c))
	require.Equal(t, "compiled at -O3 for x86-64-v2 by another's compiler", c.Made)
	require.Empty(t, c.Why)
	require.Empty(t, k.maker.begun())

	n := nameOf(best.Name)
	given := k.give(n)
	got, err := io.ReadAll(given)
	require.NoError(t, errors.Join(err, given.Close()))
	require.Equal(t, sealed, got, "others have it from here")
	path := k.path(n)
	mu.Lock()
	delete(gives, "fourth-O3") // so that it does not come anew
	mu.Unlock()
	require.NoError(t, os.WriteFile(path, forged, 0o600))
	require.Nil(t, k.give(n))
	require.NoFileExists(t, path)
	require.Eventually(t, func() bool { return len(k.told("a").GetHas()) == 1 }, 10*time.Second, time.Millisecond, "the leader hears that it is gone")
}

// giver gives others' code once it is asked that often.
type giver struct {
	mu     sync.Mutex
	fails  int
	asked  int
	sealed []byte
}

func (g *giver) fetch(_ context.Context, _ *apiv1.CodeHolder, to io.Writer) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asked++; g.asked <= g.fails {
		return apierr.New(connect.CodeUnavailable, apierr.ReasonOverloaded, "", "others come first", "try again")
	}
	_, err := to.Write(g.sealed)
	return err
}

// A host that has others to serve first, or is being started, is asked again, however often it was in vain, and nobody hears that its code is bad.
func TestCodeOfABusyHost(t *testing.T) {
	k := newTestCodes(t, t.TempDir(), "a")
	k.own.Compiler, k.lacks, k.fetchPause = "", "no clang", time.Millisecond
	best, sealed := k.sealedAt(testKey, native.Best)
	g := &giver{fails: 8, sealed: sealed}
	k.fetch = g.fetch
	k.leaderSays("a", &apiv1.CodeRecord{Holders: []*apiv1.CodeHolder{best}})
	w := k.wish([]string{k.digests["a"]})
	defer w.end()
	require.NoError(t, w.await(t.Context()))
	require.Equal(t, int32(gradeBest), w.standing(k.digests["a"]).Grade)
	g.mu.Lock()
	defer g.mu.Unlock()
	require.Equal(t, 9, g.asked)
	require.Empty(t, k.told("a").GetRefused())
}

// What this host's own disk does not take is its own trouble: nobody else is blamed, or waited for, and it comes when there is room.
func TestCodeThatCannotBeKept(t *testing.T) {
	k := newTestCodes(t, t.TempDir(), "a")
	k.own.Compiler, k.lacks, k.fetchPause = "", "no clang", time.Millisecond
	best, sealed := k.sealedAt(testKey, native.Best)
	g := &giver{sealed: sealed}
	k.fetch = g.fetch
	dir := k.modules.codeDir(k.digests["a"])
	require.NoError(t, os.WriteFile(dir, []byte("x"), 0o600)) // as a full disk
	k.leaderSays("a", &apiv1.CodeRecord{Holders: []*apiv1.CodeHolder{best}})
	w := k.wish([]string{k.digests["a"]})
	defer w.end()
	require.NoError(t, w.await(t.Context()))
	require.Contains(t, w.standing(k.digests["a"]).Why, "this host cannot keep it: this host's disk: ")
	require.Empty(t, k.told("a").GetRefused())
	require.NoError(t, os.Remove(dir))
	require.Eventually(t, func() bool { return w.standing(k.digests["a"]).Grade == gradeBest }, 10*time.Second, time.Millisecond)
	require.Empty(t, w.standing(k.digests["a"]).Why)
}

// Code is given to who has the cluster's key, and what is not kept is not looked for.
func TestCodeIsGivenToWorkers(t *testing.T) {
	k := newTestCodes(t, t.TempDir(), "a")
	n := k.put(t, "a", k.best(), []byte("object"))
	s := dataService{w: &Worker{cfg: Config{Name: "h"}, codes: k.codes}}
	ask := func(n native.Name, proof []byte) error {
		return s.FetchCode(t.Context(), &apiv1.FetchCodeRequest{Name: codeNameOf(n), Holder: "h", Proof: proof}, apiv1connect.DataFetchCodeServerStream{})
	}
	require.Equal(t, connect.CodePermissionDenied, connect.CodeOf(ask(n, nil)))
	require.Equal(t, connect.CodePermissionDenied, connect.CodeOf(ask(n, native.Proof([]byte("another key"), "h", n))))
	require.Equal(t, connect.CodePermissionDenied, connect.CodeOf(ask(n, native.Proof(testKey, "another host", n))))
	n.Compiler = "another"
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(ask(n, native.Proof(testKey, "h", n))))
}
